"""The matrix of pre-trainings and probes, from hand-made records."""

import runpy
from pathlib import Path
from typing import Any

from bench.report import findings, markdown, words
from bench.report.content import Content
from transfer.leaderboard import leaderboard
from transfer.probes import matrices

SAMPLE = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries = SAMPLE["made"], SAMPLE["entries"]


def probed(probe: str, linv: float, aug: str) -> Any:
    name = f"representation@{probe}" if probe else "representation"
    return made("representation", {"Linv": linv, "Ldiv": linv - 0.25}, kind="measure", aug=aug, protocol=name)


RECORDS = [
    probed("", 0.9, "none"),
    probed("cutout(side=0.5)", 0.5, "none"),
    probed("cutout(side=0.1)", 0.8, "none"),
    probed("cutout(side=0.1)", 0.85, "cutout"),
    probed("mixup", 0.4, "cutout"),
    made("linear", {"top1": 50.0}),
]


def test_a_matrix_has_a_column_per_probe_in_the_order_of_its_strength() -> None:
    found = matrices(leaderboard(entries(RECORDS)))
    assert [matrix.measure for matrix in found] == ["Linv", "Ldiv"]
    linv = found[0]
    assert linv.probes == ("none", "cutout(side=0.1)", "cutout(side=0.5)", "mixup")
    assert sorted(linv.values.values(), key=str) == [(0.9, 0.8, 0.5, None), (None, 0.85, None, 0.4)]


def test_one_probe_makes_no_matrix_and_other_settings_make_another() -> None:
    assert matrices(leaderboard(entries(RECORDS[:1]))) == ()
    other = made("representation", {"Linv": 0.3}, kind="measure", protocol="representation@mixup", changed={"size": 64})
    assert matrices(leaderboard(entries([RECORDS[0], other]))) == ()


def test_probes_have_tables_of_their_own_and_no_columns_on_the_board() -> None:
    content = Content.of(entries(RECORDS))
    assert {column.probe for _, column in words.columns(content.board)} == {""}
    first = findings.probe_tables(content)[0]
    assert first.headings == ("pre-training", "none", "cutout(side=0.1)", "cutout(side=0.5)", "mixup")
    text = markdown.render(content, Path())
    assert "| 0.900 | 0.800 | 0.500 | – |" in text
    assert "### Linv on shapes" in text

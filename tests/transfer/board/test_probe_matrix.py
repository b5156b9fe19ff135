"""The matrix of pre-trainings and probes, and the sweeps, from hand-made records."""

import runpy
from pathlib import Path
from typing import Any

from bench.report import markdown, measures, words
from bench.report.content import Content
from transfer.board.leaderboard import leaderboard
from transfer.board.probe_matrix import Value, matrices, sweeps, value

SAMPLE = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries = SAMPLE["made"], SAMPLE["entries"]
GOLDEN = Path(__file__).resolve().parents[2] / "bench" / "golden"
"""`measures.md` was checked by eye, number by number."""


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
    assert [matrix.column.name for matrix in found] == ["Linv", "Ldiv"]
    linv = found[0]
    assert linv.probes == ("none", "cutout(side=0.1)", "cutout(side=0.5)", "mixup")
    means = [tuple(one and one.mean for one in line) for line in linv.values.values()]
    assert sorted(means, key=str) == [(0.9, 0.8, 0.5, None), (None, 0.85, None, 0.4)]


def test_one_probe_makes_no_matrix_and_other_settings_make_another() -> None:
    assert matrices(leaderboard(entries(RECORDS[:1]))) == ()
    other = made("representation", {"Linv": 0.3}, kind="measure", protocol="representation@mixup", changed={"size": 64})
    assert matrices(leaderboard(entries([RECORDS[0], other]))) == ()


def test_what_only_blends_have_is_a_matrix_with_one_probe_too() -> None:
    blend = made("representation", {"Linv": 0.5, "Linv_primary": 0.3}, kind="measure", protocol="representation@mixup")
    found = matrices(leaderboard(entries([RECORDS[0], blend])))
    assert [(matrix.column.name, matrix.probes) for matrix in found] == [
        ("Linv", ("none", "mixup")),
        ("Linv_primary", ("mixup",)),
    ]


def test_probes_have_tables_of_their_own_and_no_columns_on_the_board() -> None:
    content = Content.of(entries(RECORDS))
    assert {column.probe for column in words.columns(content.board)} == {""}
    first = measures.matrices(content)[0]
    assert first.headings == ("pre-training", "none", "cutout(side=0.1)", "cutout(side=0.5)", "mixup")
    text = markdown.render(content, Path())
    assert "| 0.900 | 0.800 | 0.500 | – |" in text
    assert "### Linv (cosine to the original, higher is more invariant) on shapes" in text


def test_the_interval_of_repetitions_is_the_mean_of_theirs_and_absent_where_one_has_none() -> None:
    def seen(seed: int, **more: Any) -> Any:
        return made("representation", {"Linv": 0.5 + seed / 10}, kind="measure", seed=seed, **more)

    both = leaderboard(entries([seen(0, intervals={"Linv": (0.4, 0.6)}), seen(1, intervals={"Linv": (0.58, 0.66)})]))
    found = value(both, 0, both.columns[0])
    assert found is not None
    assert found.interval is not None
    assert (round(found.mean, 9), [round(end, 9) for end in found.interval]) == (0.55, [0.49, 0.63])
    without = leaderboard(entries([seen(0, intervals={"Linv": (0.4, 0.6)}), seen(1)]))
    assert value(without, 0, without.columns[0]) == Value(0.55, None)


def swept(side: float, linv: float, *, fill: str = "zero", name: str | None = None, **more: Any) -> Any:
    """A measure under CutOut, with all the fields of the augmentation in the record."""
    probe = {
        "augmentation": "cutout",
        "options": {"side": side, "fill": fill},
        "meanings": {"side": "Share of the shorter side", "fill": "What it becomes"},
    }
    metrics = {"Linv": linv, "Ldiv": linv - 0.1}
    intervals = {key: (number - 0.01, number + 0.02) for key, number in metrics.items()}
    protocol = f"representation@{name or f'cutout(fill={fill}, side={side})'}"
    return made("representation", metrics, kind="measure", protocol=protocol, probe=probe, intervals=intervals, **more)


SWEPT = [swept(0.5, 0.6), swept(0.1, 0.9), swept(0.3, 0.8), swept(0.1, 0.7, aug="cutmix"), swept(0.5, 0.4, aug="cutmix")]


def test_a_sweep_is_the_strengths_of_one_field_in_order_with_a_line_for_each_pre_training() -> None:
    (found,) = sweeps(leaderboard(entries(SWEPT)))
    assert (found.augmentation, found.field, found.meaning, found.fixed) == (
        "cutout",
        "side",
        "Share of the shorter side",
        {"fill": "zero"},
    )
    assert (found.strengths, found.numeric) == ((0.1, 0.3, 0.5), True)
    means = [[one and round(one.mean, 9) for one in line] for line in found.values["Ldiv"].values()]
    assert means == [[0.8, 0.7, 0.5], [0.6, None, 0.3]]
    ends = [one and one.interval and [round(end, 9) for end in one.interval] for one in found.values["Linv"][1]]
    assert ends == [[0.69, 0.72], None, [0.39, 0.42]]


def test_other_fields_that_differ_make_sweeps_of_their_own_and_words_are_no_numbers() -> None:
    found = sweeps(leaderboard(entries([*SWEPT, swept(0.5, 0.65, fill="noise")])))
    assert sorted((sweep.field, sweep.strengths, sweep.numeric) for sweep in found) == [
        ("fill", ("noise", "zero"), False),
        ("side", (0.1, 0.3, 0.5), True),
    ]


def test_the_same_strength_by_its_default_is_one_point_and_one_strength_is_no_sweep() -> None:
    default = swept(0.5, 0.6, name="cutout")
    (found,) = sweeps(leaderboard(entries([*SWEPT, default])))
    assert found.strengths == (0.1, 0.3, 0.5)
    assert sweeps(leaderboard(entries([SWEPT[0], default]))) == ()
    assert sweeps(leaderboard(entries([SWEPT[0], swept(0.1, 0.9, changed={"size": 64})]))) == ()


def test_the_tables_of_what_was_measured_are_the_golden_ones() -> None:
    plain = {"Linv": 0.95, "Ldiv": 0.9, "diversity": 0.1, "diversity_cap": 0.111, "anisotropy": 0.5, "effective_rank": 31.25}
    around = {name: (number - 0.004, number + 0.005) for name, number in plain.items()}
    records = [made("representation", plain, kind="measure", intervals=around, aug="cutmix")]
    records += [made("representation", plain | {"Linv": 0.95 + seed / 50}, kind="measure", seed=seed) for seed in (0, 1)]
    text = markdown.render(Content.of(entries([*SWEPT, *records])), Path())
    part = text[text.index(f"## {measures.FEATURES}") : text.index("## What it cost")]
    assert part == (GOLDEN / "measures.md").read_text(encoding="utf-8")

"""`bench demo`: the study that it runs, the file that it leaves, and what it says at the end."""

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import places
from bench.report import RENDERINGS
from bench.study import plan as planning
from bench.verbs import demo
from pretrain.core.errors import ConfigError

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, random = _shared["made"], _shared["RANDOM"]
write = _shared["write"]
BASES = {("mocov2", "none"): 80.0, ("mocov2", "cutmix"): 81.0, ("supervised", "none"): 90.0}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return tmp_path


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A demo whose runs are done the moment they are asked for: the files that were run."""
    ran: list[Path] = []

    def run(file: Path, elsewhere: Any, options: Any, say: Any, show: Any) -> int:
        ran.append(file)
        for cell in planning.read(file).cells.values():
            cell.folder.mkdir(parents=True)
            write(_record(cell), cell.folder / "result.json")
        return 0

    monkeypatch.setattr(demo.local, "run", run)
    monkeypatch.setattr(demo.places, "generated", lambda journal, kind: None)
    return ran


def _record(cell: Any) -> Any:
    """A record of a cell: untrained 50, without labels 80, with CutMix 81, with labels 90, and a seed's own deviation."""
    if cell.subject is None:
        return made("pretrain", {"loss": 1.0}, kind="pretrain", **_trained(cell.values), seed=cell.values["seed"])
    metric = {"knn": "knn", "linear-cached": "top1", "voc0712": "AP50", "cityscapes": "mIoU"}[cell.task]
    values = cell.subject.values
    seed = values["seed"] if values else int(cell.subject.checkpoint[-1])
    base = BASES[values["method"], values["aug"]] if values else 50.0
    provenance = _trained(values) if values else random
    return made(cell.task, {metric: base + (0.0, 3.0, -3.0)[seed]}, **provenance, seed=seed, of_name="fabrics")


def _trained(values: Any) -> dict[str, Any]:
    supervision = "self" if values["method"] == "mocov2" else "full"
    return {"aug": values["aug"], "method": values["method"], "supervision": supervision, "data": "fabrics"}


def test_it_compares_an_augmentation_and_labels_over_three_seeds_beside_untrained_backbones(here: Path) -> None:
    demo.write_file()
    plan = planning.read(demo.FILE)
    trained = Counter((cell.values["method"], cell.values["aug"]) for cell in plan.pretrainings)
    assert trained == {("mocov2", "none"): 3, ("mocov2", "cutmix"): 3, ("supervised", "none"): 3}
    assert {cell.settings.supervision for cell in plan.pretrainings if cell.values["method"] == "mocov2"} == {"self"}
    assert Counter(cell.task for cell in plan.evaluations) == {"linear-cached": 12, "knn": 12, "voc0712": 4, "cityscapes": 4}
    assert {Path(cell.data).name for cell in plan.cells.values()} == {"fabrics"}


def test_rows_differ_in_nothing_but_what_they_compare(here: Path) -> None:
    demo.write_file()
    by_method = {cell.values["method"]: cell.settings for cell in planning.read(demo.FILE).pretrainings}
    self_supervised, labelled = by_method["mocov2"], by_method["supervised"]
    assert labelled.recipe == self_supervised.recipe
    same = ("arch", "size", "bn_splits", "precision", "cache", "cache_side", "num_workers")
    assert [getattr(labelled, name) for name in same] == [getattr(self_supervised, name) for name in same]


def test_a_file_that_is_there_is_run_as_it_is(here: Path, finished: list[Path]) -> None:
    text = places.configs("study")["demo"].read_text().replace("seeds: 3", "seeds: 2")
    demo.FILE.write_text(text)
    demo.run(here)
    assert (demo.FILE.read_text(), finished) == (text, [demo.FILE])


def test_it_says_what_it_found_how_to_read_it_and_where_everything_is(
    here: Path, finished: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    demo.run(here / "out")
    shown = capsys.readouterr().out
    joined = "".join(shown.split())
    assert "thetableisin" + ",".join(str(here / "out" / name) for name in RENDERINGS) in joined
    assert "41runsinruns/,0ofthemreused;demo.yamlasksforthem" in joined
    lines = shown.splitlines()
    gained = next(line for line in lines if line.startswith("  ▲ mocov2"))
    assert "+30.0 against random" in gained
    assert "different (95 % interval" in gained
    assert next(line for line in lines if "cutmix" in line and "+1.0 against" in line).startswith("  ?")
    assert all(line in shown for line in demo.HOW_TO_READ)
    assert "undecided:" not in shown  # no verdicts on claims that none of it is about


def test_what_is_done_is_counted_and_a_run_that_failed_is_an_error_that_says_where_to_look(
    here: Path, finished: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.run(here)
    capsys.readouterr()
    monkeypatch.setattr(demo.local, "run", lambda *_: 1)
    with pytest.raises(ConfigError, match=r"bench study status demo\.yaml --failed"):
        demo.run(here)
    assert "41 runs, 2 at a time, 41 of them done" in " ".join(capsys.readouterr().err.split())

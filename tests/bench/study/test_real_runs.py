"""A tiny study of real commands: what the plan says of a record is what the runs write."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.study import plan, reported, snakefile
from bench.study.local import Coordinator, Machine
from bench.study.plan import StudyPlan
from bench.study.states import Observer, State
from pretrain.checkpoint import save_backbone
from pretrain.provenance import Provenance
from transfer import record, sources
from transfer.board.leaderboard import RowKey, row_key, row_of

TINY = """
study: tiny
data: {pretrain: images, imagefolder: images}
precision: fp32
budget: small
pretrain:
  a:
    set: {epochs: 2, size: 16, batch: 4, queue: 8, num_workers: 0}
    checkpoints: [1, final]
evaluate:
  - {of: a, task: knn, set: {size: 32, neighbours: 2}}
  - {of: "random:resnet18", measure: {probe: cutout, sweep: {side: [0.2]}}, set: {size: 32, views: 2, batch: 2},
     grid: {classes: [null, 0.5]}}
"""


def stand_where_they_were_planned(whole: StudyPlan) -> None:
    """Check that each record's row and columns are those that the settings said before it was there, fingerprints aside."""
    look = Observer.of(whole).look(whole)
    done = {key: record.read(found[0].folder / "result.json") for key, found in look.found.items()}
    for before, after in zip(reported.runs(look, {}), reported.runs(look, done), strict=True):
        assert before.row._replace(data_fingerprint=after.row.data_fingerprint) == after.row
        assert (before.seed, before.state) == (after.seed, after.state)
        if before.protocol and after.protocol:
            assert before.protocol._replace(fingerprint=after.protocol.fingerprint) == after.protocol


def test_a_study_of_real_runs_is_done_by_the_records_that_they_write_wherever_these_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_images(tmp_path / "images", train=4, val=2)
    path = Path("tiny.yaml")
    path.write_text(TINY, encoding="utf-8")
    said: list[str] = []
    assert Coordinator(path, (), Machine(("0",), gpus=False), said.append, poll=0.1).run() == 0, said
    whole = plan.read(path)
    assert len(whole.cells) == 5
    assert set(Observer.of(whole).look(whole).states.values()) == {State.DONE}
    stand_where_they_were_planned(whole)
    Path("runs").rename("kept")
    assert State.DONE not in Observer.of(whole).look(whole).states.values()
    assert set(Observer.of(whole, [Path("kept")]).look(whole).states.values()) == {State.DONE}
    for file in Path("kept").rglob("*.pth"):
        file.rename(file.with_suffix(".gone"))
    assert set(Observer.of(whole, [Path("kept")]).look(whole).states.values()) == {State.DONE}  # records alone are enough
    (tmp_path / "images" / "train" / "ant" / "ant_0.png").unlink()
    states = Observer.of(whole, [Path("kept")]).look(whole).states  # it is other data now, but for the half that has no ants
    assert ["--classes 0.5" in whole.cells[key].line() for key, state in states.items() if state is State.DONE] == [True]


DRAWN = """
study: drawn
data: {pretrain: images, imagefolder: images}
precision: fp32
budget: small
pretrain:
  shares:
    set: {classes: 0.4, epochs: 2, size: 16, batch: 4, num_workers: 0, method: mocov2, queue: 8}
    zip: {supervision: [self, semi], keep_iterations: [true, false]}
    seeds: [0, 1]
    checkpoints: [1, final]
  labels:
    set: {label_fraction: 0.5, supervision: semi, epochs: 1, size: 16, batch: 4, num_workers: 0, method: mocov2, queue: 8}
    seeds: [0, 1]
"""


def test_repetitions_that_draw_other_classes_and_labels_are_one_row_whatever_epochs_these_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path], typed: Callable[..., int]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, count in {"ant": 2, "bee": 4, "cat": 6, "dog": 8, "eel": 12}.items():
        lay_images(tmp_path / "images", (name,), train=count, val=2)
    path = Path("drawn.yaml")
    path.write_text(DRAWN, encoding="utf-8")
    whole = plan.read(path)
    for cell in whole.cells.values():
        assert typed(*cell.command()[1:]) == 0
    look = Observer.of(whole).look(whole)
    done = {key: record.read(found[0].folder / "result.json") for key, found in look.found.items()}
    assert done.keys() == whole.cells.keys()
    kept = {key: each for key, each in done.items() if each.changed.get("keep_iterations")}
    assert len({each.checkpoint.provenance.epochs for each in kept.values()}) == 2  # the classes drawn are of other sizes
    assert len({each.data.fingerprint for each in kept.values()}) == 2
    rows: dict[RowKey, set[int | None]] = {}
    for each in done.values():
        rows.setdefault(row_key(each), set()).add(each.checkpoint.provenance.seed)
    assert list(rows.values()) == [{0, 1}] * 3
    on_the_way = {row_of(sources.load(str(whole.cells[key].folder / "backbone-0001.pth")).provenance) for key in kept}
    assert len(on_the_way) == 1
    assert not on_the_way & rows.keys()
    stand_where_they_were_planned(whole)
    first = next(iter(whole.cells))
    planned = reported.runs(look, {key: each for key, each in done.items() if key != first})
    assert planned[0].row == row_key(done[first])  # a seed that is missing stands beside the others


CONVERTED = """
study: c
data: {imagefolder: images}
precision: fp32
pretrain: {lars: {files: {big: big.pth}}}
convert: {rescaled: {of: lars, norm_rescale: {constant: 0.5, sgd: small.pth, gone: nowhere.pth}}}
evaluate:
  - {of: [lars, rescaled], task: knn}
resources: [{when: {kind: convert}, devices: 2}]
"""


def test_a_conversion_is_a_cell_that_is_done_by_its_file_of_these_weights_and_this_anchor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path], typed: Callable[..., int]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_images(tmp_path / "images", train=2, val=2)
    came = Provenance(method="byol", arch="resnet18", seed=1)
    for name, seed in (("big.pth", 1), ("small.pth", 2)):
        save_backbone(Path(name), sources.load(f"random:resnet18:{seed}").state, came)
    path = Path("c.yaml")
    path.write_text(CONVERTED, encoding="utf-8")
    whole = plan.read(path)
    half, sgd, gone = (cell for cell in whole.cells.values() if cell.kind == "convert")
    followers = {cell.needs: cell.id for cell in whole.evaluations}

    def states() -> dict[str, State]:
        found = Observer.of(whole).look(whole).states
        return {f"{name} {what}": found[key] for name, cell in named for what, key in (("made", cell), ("of", followers[cell]))}

    named = (("half", half.id), ("sgd", sgd.id), ("gone", gone.id))
    ready, done = [State.READY, State.WAITING], [State.DONE, State.READY]
    assert list(states().values()) == ready * 2 + [State.IMPOSSIBLE] * 2
    assert Observer.of(whole).look(whole).why[gone.id] == "no anchor at nowhere.pth"
    for cell in (half, sgd):
        assert typed("study", "cell", "c.yaml", cell.id) == 0
    assert list(states().values()) == done * 2 + [State.IMPOSSIBLE] * 2
    torch.testing.assert_close(
        sources.load(str(half.path)).state["conv1.weight"], 0.5 * sources.load("big.pth").state["conv1.weight"]
    )
    rows = {row_of(sources.load(str(cell.path)).provenance) for cell in (half, sgd)}
    assert len(rows) == 2  # two anchors make no repetitions of one backbone
    save_backbone(Path("small.pth"), sources.load("random:resnet18:3").state, came)
    assert list(states().values()) == done + ready + [State.IMPOSSIBLE] * 2
    text = snakefile.text(Observer.of(whole).look(whole))
    assert 'output: update("{run}/backbone.pth.json")' in text
    assert f"'{sgd.path}.json'," in text
    half.path.unlink()
    assert list(states().values()) == ready * 2 + [State.IMPOSSIBLE] * 2

"""A linear evaluation that was broken anywhere ends as if it had not been, to the last bit."""

import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pretrain.core import interrupt
from pretrain.core.errors import CheckpointError, TrainingError
from pretrain.core.journal import LOG_EVERY
from transfer.engines import Job, Outcome, state
from transfer.engines.probe import engine
from transfer.engines.probe.classifiers import Classifiers

ProbeJob = Callable[..., Job]
pytestmark = pytest.mark.usefixtures("proven_once")
Said = dict[tuple[str, int], dict[str, float]]
"""Stage and step → what was measured at it."""
FIELDS: dict[str, dict[str, object]] = {
    "linear": {},
    "linear-cached": {"save_every": 2},
    "search": {"lr_search": (0.1, 1.0), "held_out": 0.3},
}


class KilledError(Exception):
    """Stands for SIGKILL: nothing of ours runs after it."""


class Course:
    """Runs a job, stops it where told, and remembers what it said."""

    def __init__(self, make: ProbeJob, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.make, self.kind = make, kind
        self.said: Said = {}
        self.steps: set[tuple[str, int]] = set()
        self._mark: signal.Signals | None = None
        self._stop: tuple[str, int] | None = None
        self._kill = False
        self._monkeypatch, self._cache = monkeypatch, os.environ["BENCH_CACHE"]
        monkeypatch.setattr(interrupt, "asked", lambda: self._mark)

    def run(self, folder: str, stop: tuple[str, int] | None = None, *, kill: bool = False, **changes: object) -> Outcome:
        self._mark, self._stop, self._kill = None, stop, kill
        self._monkeypatch.setenv("BENCH_CACHE", f"{self._cache}/{folder}")  # else it would find the other run's features
        task = "linear" if self.kind == "search" else self.kind
        return engine.Probe.fit(self.make(task, self._hear, folder=folder, **{**FIELDS[self.kind], **changes}))

    def _hear(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        self.steps.add((stage, done))
        if values:
            assert self.said.setdefault((stage, done), values) == values  # what is done again is done alike
        if (stage, done) == self._stop:
            if self._kill:
                raise KilledError
            self._mark = signal.SIGTERM


@pytest.mark.parametrize("kind", FIELDS)
def test_an_interrupted_run_goes_on_to_the_same_losses_and_metrics(
    kind: str, probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = Course(probe_job, kind, monkeypatch)
    wanted = whole.run("whole")
    broken = Course(probe_job, kind, monkeypatch)
    per_epoch = len([step for stage, step in whole.steps if stage == "linear"]) // 3
    assert {step for stage, step in whole.said if stage == "linear"} == {*range(1, 3 * per_epoch, LOG_EVERY), 3 * per_epoch}
    stops = [("features of val", 8), ("features of val", 18)]
    stops += [(stage, 8) for stage in ("features of train", "features of held-out") if (stage, 8) in whole.steps]
    stops += [("linear", step) for step in (1, per_epoch - 1, per_epoch, 2 * per_epoch + 1, 3 * per_epoch - 1)]
    for stop in stops:
        with pytest.raises(interrupt.Interrupted) as stopped:
            broken.run("broken", stop)
        assert stopped.value.code == 143
        saved = f"step {stop[1]} of {3 * per_epoch}" if stop[0] == "linear" else f"features of {stop[1]} of"
        assert saved in stopped.value.saved
    outcome = broken.run("broken")
    assert broken.said == whole.said
    assert outcome == wanted
    assert set((tmp_path / "broken").iterdir()) == set(outcome.spent)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_killed_run_goes_on_from_the_last_epoch_that_was_saved(
    kind: str, probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Course(probe_job, kind, monkeypatch)
    wanted = whole.run("whole")
    course = Course(probe_job, kind, monkeypatch)
    per_epoch = len([step for stage, step in whole.steps if stage == "linear"]) // 3
    for step in (2, per_epoch + 2, 3 * per_epoch):
        with pytest.raises(KilledError):
            course.run("killed", ("linear", step), kill=True)
    assert course.run("killed") == wanted
    assert course.said == whole.said


def test_a_loss_that_is_not_finite_is_seen_before_the_next_save_and_nothing_is_saved(
    probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    course, steps = Course(probe_job, "linear-cached", monkeypatch), iter(range(1, 100))
    step = Classifiers.step

    def broken(self: Classifiers, optimizer: torch.optim.SGD, features: torch.Tensor, *rest: object) -> None:
        step(self, optimizer, features * (float("nan") if next(steps) == 3 else 1.0), *rest)

    monkeypatch.setattr(Classifiers, "step", broken)
    with pytest.raises(TrainingError, match="not finite in epoch 1"):
        course.run("run", ("linear", 4))
    assert not (tmp_path / "run" / "last.pth").exists()


def test_a_signal_at_the_last_step_comes_too_late(probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(probe_job, "linear-cached", monkeypatch)
    assert course.run("late", ("linear", 15)).metrics["top1"] is not None


def test_another_runs_state_and_a_broken_one_are_refused(
    probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    course = Course(probe_job, "linear-cached", monkeypatch)
    with pytest.raises(interrupt.Interrupted):
        course.run("run", ("linear", 6))
    with pytest.raises(CheckpointError, match=r"last.pth is of another run"):
        course.run("run", lr=0.7)
    path = tmp_path / "run" / "last.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"can't resume from .*last.pth"):
        course.run("run")
    path.write_bytes(whole)
    assert course.run("run").metrics["top1"] is not None


def test_a_state_is_whole_of_this_run_and_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pth"
    assert state.load(path, "mine", {"step"}) is None
    state.save(path, "mine", {"step": 3})
    assert state.load(path, "mine", {"step"})["step"] == 3
    with pytest.raises(CheckpointError, match="of another run"):
        state.load(path, "theirs", {"step"})
    with pytest.raises(CheckpointError, match="it has no 'heads'"):
        state.load(path, "mine", {"step", "heads"})
    torch.save({"identity": "mine", "step": Path}, path)
    with pytest.raises(CheckpointError, match="can't resume"):
        state.load(path, "mine", {"step"})
    for content in (b"", b"half", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="remove it to start again"):
            state.load(path, "mine", {"step"})

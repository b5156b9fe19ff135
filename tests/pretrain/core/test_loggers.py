"""What a run's log is also sent to: which loggers are chosen, and that none of them can stop or slow a run."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from pretrain.core import loggers
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from pretrain.core.loggers import Logger, Told, chosen, flat, opened, sending
from pretrain.core.loggers.sending import Sender


class Stub(Logger):
    """Keeps what it is told; fails, or waits, where it is asked to."""

    name = "stub"
    id = "s0"

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.fails: tuple[int, ...] = ()
        self.gate = threading.Event()
        self.gate.set()

    @classmethod
    def open(cls, told: Told) -> Self:
        return cls()

    def again(self, step: int) -> None:
        self.told.append(("again", step))

    def step(self, stage: str, step: int, values: Mapping[str, float], at: float) -> None:
        self.gate.wait()
        if step in self.fails:
            raise OSError("no network")
        self.told.append((stage, step, dict(values)))

    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        self.told.append(("finish", metrics, record))

    def close(self, failed: bool) -> None:
        self.told.append(("close", failed))


def test_a_logger_gets_the_lines_of_the_runs_own_log_in_their_order(tmp_path: Path) -> None:
    stub = Stub()
    journal = Journal(tmp_path, senders=[Sender(stub)])
    journal.rewind()
    journal.step("train", 1, 3, loss=1.5, lr=0.1)
    journal.step("train", 2, 3)
    journal.step("monitor", 1, 1, knn=50.0)
    journal.finish({"top1": 60.0, "AP": None}, {"seed": 0})
    journal.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert stub.told == [
        ("again", 1),
        *((row["stage"], row["step"], {key: row[key] for key in row if key in ("loss", "lr", "knn")}) for row in lines),
        ("finish", {"top1": 60.0}, {"seed": 0}),
        ("close", False),
    ]


def test_a_run_that_goes_on_says_from_which_step(tmp_path: Path) -> None:
    row = {"stage": "train", "of": 9, "seconds": 1.0, "loss": 1.0}
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row | {"step": step}) + "\n" for step in (1, 2, 3)))
    stub = Stub()
    journal = Journal(tmp_path, senders=[Sender(stub)])
    journal.rewind()
    journal.rewind(train=2)
    journal.step("train", 3, 9, loss=0.5)
    journal.step("train", 4, 9, loss=0.5)
    journal.close(failed=True)
    assert stub.told == [("again", 3), ("train", 3, {"loss": 0.5}), ("train", 4, {"loss": 0.5}), ("close", True)]


def test_a_failure_is_one_warning_and_later_lines_are_sent(tmp_path: Path) -> None:
    stub = Stub()
    stub.fails = (2, 3)
    journal = Journal(tmp_path, senders=[Sender(stub)])
    for step in (1, 2, 3, 4):
        journal.step("train", step, 4, loss=1.0)
    journal.close()
    assert [each[1] for each in stub.told if each[0] == "train"] == [1, 4]
    log = (tmp_path / "log.txt").read_text()
    assert log.count("was not sent to stub (OSError: no network); the run goes on") == 1
    assert "2 lines were not sent to stub" in log
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4


def test_no_step_waits_for_a_logger_that_hangs_and_the_end_waits_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAITING", 3)
    monkeypatch.setattr(sending, "HURRY", 0.1)
    stub = Stub()
    stub.gate.clear()
    journal = Journal(tmp_path, senders=[Sender(stub)])
    for step in range(8):
        journal.step("train", step, 8, loss=1.0)
    began = time.monotonic()
    journal.close(failed=True)
    assert time.monotonic() - began < 5
    stub.gate.set()
    log = (tmp_path / "log.txt").read_text()
    assert "more slowly than they come" in log
    assert "still busy after" in log
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 8


def test_a_logger_that_is_late_still_hears_what_was_measured_and_that_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAITING", 3)
    stub = Stub()
    stub.gate.clear()
    journal = Journal(tmp_path, senders=[Sender(stub)])
    for step in range(8):
        journal.step("train", step, 8, loss=1.0)
    journal.finish({"top1": 60.0}, {"seed": 0})
    threading.Timer(0.2, stub.gate.set).start()
    journal.close()
    assert stub.told[-2:] == [("finish", {"top1": 60.0}, {"seed": 0}), ("close", False)]
    assert "more slowly than they come" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("said", "variable", "names"),
    [
        ("none", "wandb", ()),
        ("tensorboard", None, ("tensorboard",)),
        ("tensorboard, tensorboard,", None, ("tensorboard",)),
        (None, "none", ()),
        (None, "tensorboard", ("tensorboard",)),
        (None, None, ("tensorboard",)),
    ],
)
def test_the_option_decides_then_the_variable_then_what_is_installed(
    said: str | None, variable: str | None, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "installed", lambda package: package == "tensorboard")
    monkeypatch.delenv(loggers.VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(loggers.VARIABLE, variable)
    assert chosen(said) == names


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("wandbb", "did you mean 'wandb'"),
        ("none,wandb", "none is no logger beside others"),
        ("mlflow", "bench-transfer\\[mlflow\\]"),
    ],
)
def test_what_is_no_logger_or_not_installed_is_refused_with_what_to_do(
    said: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "installed", lambda package: package == "wandb")
    with pytest.raises(ConfigError, match=words):
        chosen(said)


def test_nothing_is_sent_unasked_where_tensorboard_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "installed", lambda package: False)
    monkeypatch.delenv(loggers.VARIABLE, raising=False)
    assert chosen(None) == ()


def test_a_package_that_fails_to_begin_is_one_error_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pretrain.core.loggers.tensorboard import TensorBoard

    def fails(told: Told) -> Logger:
        raise RuntimeError("server\nnot reached")

    monkeypatch.setattr(TensorBoard, "open", fails)
    with pytest.raises(ConfigError, match="RuntimeError: server not reached"):
        opened("tensorboard", Told(tmp_path, {}, "bench"))


def test_every_logger_of_the_table_is_named_as_there() -> None:
    import importlib

    for name, place in loggers.LOGGERS.items():
        module, declaration = place.split(":")
        assert getattr(importlib.import_module(f"pretrain.core.loggers.{module}"), declaration).name == name


def test_plain_values_become_leaves_by_their_whole_names() -> None:
    assert dict(flat({"a": {"b": 1, "c": {}}, "d": [], "e": [1], "f": None, "g": 0})) == {"a.b": 1, "e": [1], "g": 0}


def test_values_become_curves_and_settings_and_record_texts(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for told, steps in ((None, (1, 2, 3)), ("before", (3, 4))):
        logger = opened("tensorboard", Told(tmp_path, {"recipe": {"lr": 0.1}}, "bench pretrain", told))
        if told:
            logger.again(3)
            time.sleep(1)  # the name of its file has the second in it
        for step in steps:
            logger.step("train", step, {"loss": 1.0 / step}, time.time())
        if told:
            logger.finish({"top1": 50.0}, {"checkpoint": {"method": "mocov2"}})
        logger.close(failed=told is None)
    curves = accumulator.EventAccumulator(str(tmp_path))
    curves.Reload()
    assert [(event.step, event.value) for event in curves.Scalars("train/loss")] == [
        (step, pytest.approx(1 / step)) for step in (1, 2, 3, 4)
    ]
    assert [event.value for event in curves.Scalars("result/top1")] == [50.0]
    texts = {tag: curves.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in ("settings", "record")}
    assert '"lr": 0.1' in texts["settings"]
    assert '"method": "mocov2"' in texts["record"]

"""`--log`: what runs send to TensorBoard, Weights & Biases and MLflow; the last two are stand-ins, or the real ones offline."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core import loggers
from pretrain.trainer import Trainer
from transfer import record

PRETRAIN = ("pretrain", "--budget", "small", "--epochs", "3", "--data", "images", "--device", "cpu", "--out", "run") + (
    *("--set", "size=16", "--set", "batch=4", "--set", "queue=8", "--set", "num_workers=0"),
)
PROBE = ("transfer", "--task", "knn", "--ckpt", "random:resnet18", "--data", "images", "--device", "cpu", "--size", "32") + (
    *("--set", "neighbours=4"),
)
LINEAR = ("transfer", "--task", "linear", "--budget", "small", *PROBE[3:-2], "--set", "epochs=2")
STANDINS = {
    "wandb": """
import json, os, types

def note(*what):
    if os.environ.get("FAILS") == what[0]:
        raise RuntimeError("no network")
    with open(os.environ["SENT"], "a") as file:
        file.write(json.dumps(what, default=str) + "\\n")

class Values(dict):
    def __init__(self, name): self.name = name
    def update(self, values, **how): note(self.name, values)

class Run:
    url, dir = None, "/x/files"
    def __init__(self, id): self.id, self.summary, self.config = id, Values("summary"), Values("config")
    def define_metric(self, name, **how): note("define", name, how)
    def log(self, values): note("log", values)
    def finish(self, exit_code): note("finish", exit_code)

def init(**how):
    note("init", how)
    return Run(how["id"])

Settings = dict

def login(prompt, verify): return "WANDB_API_KEY" in os.environ
""",
    "mlflow": """
import json, os, types

def note(*what):
    if os.environ.get("FAILS") == what[0]:
        raise RuntimeError("no network")
    with open(os.environ["SENT"], "a") as file:
        file.write(json.dumps(what, default=vars) + "\\n")

class MlflowClient:
    tracking_uri = "sqlite:///x"
    def get_experiment_by_name(self, name): return None
    def create_experiment(self, name): note("experiment", name); return "1"
    def create_run(self, experiment, run_name, tags):
        note("init", {"id": "m1", "name": run_name, **tags})
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="m1"))
    def get_run(self, id):
        note("again", id)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=id))
    def update_run(self, id, status): note("update", id, status)
    def log_batch(self, id, metrics=(), params=(), tags=()):
        assert max(map(len, (metrics, params, tags))) <= 100
        note("batch", [vars(each) for each in (*metrics, *params, *tags)])
    def set_terminated(self, id, status): note("finish", status)
""",
    "mlflow/entities": """
class Metric:
    def __init__(self, key, value, timestamp, step): self.key, self.value, self.step = key, value, step

class Param:
    def __init__(self, key, value): self.key, self.value = key, value

RunTag = Param
""",
}
Sent = Callable[[], list[Any]]


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Stand-ins for the two packages; what they were told until now."""
    folder, file = tmp_path / "packages", tmp_path / "sent.jsonl"
    for name in ("wandb", "mlflow"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(STANDINS[name])
        for module in [key for key in sys.modules if key.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
    (folder / "mlflow" / "entities.py").write_text(STANDINS["mlflow/entities"])
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("SENT", str(file))
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("FAILS", "WANDB_API_KEY", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", loggers.VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def read() -> list[Any]:
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    yield read
    for module in [key for key in sys.modules if key.partition(".")[0] in ("wandb", "mlflow")]:
        del sys.modules[module]


def lines(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def values(row: dict[str, Any]) -> dict[str, Any]:
    about = ("stage", "step", "of", "seconds")
    return {f"{row['stage']}/{name}": value for name, value in row.items() if name not in about}


def of_wandb(sent: list[Any]) -> list[Any]:
    return [what[1] for what in sent if what[0] == "log"]


def of_mlflow(sent: list[Any]) -> dict[tuple[str, int], Any]:
    entries = [each for what in sent if what[0] == "batch" for each in what[1]]
    return {(each["key"], each["step"]): each["value"] for each in entries if "step" in each}


def stopping_at(step: int) -> Callable[..., Any]:
    """A trainer's step that is stopped by a signal."""
    whole = Trainer.step

    def hit(self: Trainer, at: int, *more: Any) -> Any:
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, at, *more)

    return hit


def test_wandb_is_sent_the_settings_every_line_and_the_record(here: Path, typed: Any, sent: Sent) -> None:
    assert typed(*PRETRAIN, "--log", "wandb") == 0
    told = sent()
    begun, (ended,) = told[0][1], [what[1] for what in told if what[0] == "finish"]
    assert (begun["project"], begun["name"], begun["resume"], ended) == ("bench", "run", "allow", 0)
    assert begun["config"]["method"]["queue"] == 8
    assert of_wandb(told) == [{f"{row['stage']}/step": row["step"], **values(row)} for row in lines("run")]
    assert {"pretrain/loss", "pretrain/lr", "pretrain/images_per_second"} <= of_wandb(told)[0].keys()
    (summary,), (kept,) = ([what[1] for what in told if what[0] == name] for name in ("summary", "config"))
    made = record.read(here / "run" / "result.json")
    assert summary == {"result/loss": made.metrics["loss"]}
    assert kept["record"]["checkpoint"]["provenance"]["method"] == "mocov2"
    assert "log.txt" in {path.name for path in (here / "run").iterdir()}
    assert not list((here / "run").glob("events.out*"))


def test_mlflow_is_sent_the_settings_every_line_and_the_record(here: Path, typed: Any, sent: Sent) -> None:
    assert typed(*PRETRAIN, "--log", "mlflow") == 0
    told = sent()
    expected = {(name, row["step"]): value for row in lines("run") for name, value in values(row).items()}
    numbers = of_mlflow(told)
    assert {key: value for key, value in numbers.items() if key[0] != "result/loss"} == expected
    texts = {each["key"]: each["value"] for what in told if what[0] == "batch" for each in what[1] if "step" not in each}
    assert (texts["method.queue"], texts["record.checkpoint.provenance.method"]) == ("8", "mocov2")
    assert (told[-1], [what for what in told if what[0] == "experiment"]) == (["finish", "FINISHED"], [["experiment", "bench"]])


@pytest.mark.parametrize("words", [PROBE, LINEAR])
def test_transfers_and_probes_send_what_they_measured(words: tuple[str, ...], here: Path, typed: Any, sent: Sent) -> None:
    assert typed(*words, "--out", "probe", "--log", "wandb,mlflow") == 0
    made = record.read(here / "probe" / "result.json")
    (summary,) = [what[1] for what in sent() if what[0] == "summary"]
    assert summary == {f"result/{name}": value for name, value in made.metrics.items() if value is not None}
    assert {name: value for (name, _), value in of_mlflow(sent()).items() if name in summary} == summary


def test_a_run_that_goes_on_keeps_its_name_there(here: Path, typed: Any, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as within:
        within.setattr(Trainer, "step", stopping_at(4))
        assert typed(*PRETRAIN, "--log", "wandb,mlflow") == 143
    before = sent()
    assert [what[1] for what in before if what[0] == "finish"] == [1, "FAILED"]
    assert typed(*PRETRAIN, "--log", "wandb,mlflow") == 0
    after = sent()[len(before) :]
    (first,) = [what[1]["id"] for what in before if what[0] == "init" and "resume" in what[1]]
    assert [what[1]["id"] for what in after if what[0] == "init"] == [first]
    assert [what for what in after if what[0] in ("again", "update")] == [["again", "m1"], ["update", "m1", "RUNNING"]]
    assert typed(*PRETRAIN, "--log", "wandb,mlflow") == 0
    assert len(sent()) == len(before) + len(after), "a run that is done sends nothing"


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_cannot_begin_is_said_before_the_run_and_leaves_nothing(
    name: str, here: Path, typed: Any, sent: Sent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILS", "init")
    assert typed(*PRETRAIN, "--log", f"tensorboard,{name}") == 2
    shown = capsys.readouterr().err
    assert f"can't log to {name}\n  seen:    RuntimeError: no network" in shown
    assert "Traceback" not in shown
    assert not (here / "run").exists()


def test_a_failure_on_the_way_is_a_warning_and_the_run_ends_well(
    here: Path, typed: Any, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "log")
    assert typed(*PRETRAIN, "--log", "wandb") == 0
    assert "was not sent to wandb (RuntimeError: no network); the run goes on" in (here / "run" / "log.txt").read_text()
    assert (here / "run" / "result.json").is_file()


def test_logging_is_no_part_of_what_a_run_is(here: Path, typed: Any, sent: Sent) -> None:
    assert typed(*PRETRAIN, "--log", "none") == 0
    quiet = record.read(here / "run" / "result.json")
    (here / "run").rename(here / "quiet")
    assert typed(*PRETRAIN, "--log", "wandb,mlflow") == 0
    loud = record.read(here / "run" / "result.json")
    assert (loud.identity, loud.metrics) == (quiet.identity, quiet.metrics)
    assert (here / "run" / "config.yaml").read_bytes() == (here / "quiet" / "config.yaml").read_bytes()


def test_without_a_login_wandb_says_what_to_do(
    here: Path, typed: Any, sent: Sent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    assert typed(*PRETRAIN, "--log", "wandb") == 2
    assert "WANDB_MODE=offline" in capsys.readouterr().err
    assert sent() == []


def test_wandb_itself_keeps_a_run_offline(here: Path, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert typed(*PRETRAIN, "--log", "wandb") == 0
    name = json.loads((here / "run" / "loggers.json").read_text())["wandb"]
    (file,) = (here / "run" / "wandb").glob(f"offline-run-*/run-{name}.wandb")
    content = file.read_bytes()
    assert all(word in content for word in (b"pretrain/loss", b"result/loss", b"mocov2"))
    assert "not sent" not in (here / "run" / "log.txt").read_text()


def test_mlflow_itself_keeps_a_run_that_goes_on(here: Path, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{here}/runs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/runs.db")
    with monkeypatch.context() as within:
        within.setattr(Trainer, "step", stopping_at(4))
        assert typed(*PRETRAIN, "--log", "mlflow") == 143
    name = json.loads((here / "run" / "loggers.json").read_text())["mlflow"]
    assert client.get_run(name).info.status == "FAILED"
    assert typed(*PRETRAIN, "--log", "mlflow") == 0
    kept = client.get_run(name)
    assert (kept.info.status, kept.data.params["method.queue"]) == ("FINISHED", "8")
    sent = {(each.step, each.value) for each in client.get_metric_history(name, "pretrain/loss")}
    assert sent == {(row["step"], row["loss"]) for row in lines("run") if row["stage"] == "pretrain"}
    assert kept.data.tags["record.checkpoint.provenance.method"] == "mocov2"


def test_tensorboard_itself_reads_the_curves(here: Path, typed: Any) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert typed(*PRETRAIN, "--log", "tensorboard") == 0
    curves = accumulator.EventAccumulator(str(here / "run"))
    curves.Reload()
    sent = [(event.step, event.value) for event in curves.Scalars("pretrain/loss")]
    assert sent == [(row["step"], pytest.approx(row["loss"])) for row in lines("run") if row["stage"] == "pretrain"]
    assert "mocov2" in curves.Tensors("record")[0].tensor_proto.string_val[0].decode()


def test_the_variable_speaks_for_commands_that_name_none(
    here: Path, typed: Any, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loggers.VARIABLE, "wandb")
    assert typed(*PROBE, "--out", "probe") == 0
    assert sent()[0][0] == "init"

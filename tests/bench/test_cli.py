"""The command line as a user meets it: what works, and what each wrong input says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import cli, places
from bench.options import Setup
from bench.verbs import pretrain_settings
from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError
from transfer import record, sources

PRETRAIN = ["pretrain", "--budget", "small", "--epochs", "1", "--data", "images"]
TINY = ["--set", "size=16", "--set", "batch=4", "--set", "queue=8", "--set", "num_workers=0"]

pytestmark = pytest.mark.usefixtures("here")


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def only_run(kind: str) -> Path:
    (folder,) = Path("runs").glob(f"{kind}-*")
    return folder


def test_help_imports_nothing_heavy() -> None:
    heavy = ["torch", "torchvision", "mmengine", "mmseg", "mmcv", "detectron2", "pandas", "numpy", "pydantic"]
    ask = "bench.cli.app(['--help'], standalone_mode=False)"
    script = f"import sys, bench.cli; {ask}; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["pretrain", "--batch", "32"], "--set batch=VALUE"),
        (["pretrain", "--betas=[0.9,0.99]"], "--set betas=VALUE"),
        (["views", "--learning-rate", "1"], "--set base_lr=VALUE"),
        (["transfer", "--task", "knn", "--neighbours", "5"], "--set neighbours=VALUE"),
        (["measure", "--num-workers", "2"], "--set num_workers=VALUE"),
    ],
)
def test_a_setting_that_has_no_option_is_told_to_be_set(
    words: list[str], hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *words) == 2
    assert f". It is a setting: write {hint}." in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    "words", [["pretrain", "--epocs", "1"], ["views", "--epochs", "1"], ["measure", "--resume"], ["trnsfer"]]
)
def test_an_option_or_a_command_that_there_is_not_is_refused_with_its_name(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *words) == 2
    shown = capsys.readouterr().err
    assert "No such" in shown
    assert words[1 if len(words) > 1 else 0] in shown


def test_the_version_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(monkeypatch, "--version") == 0
    assert re.fullmatch(r"bench \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_pretrain_then_linear_knn_measure_and_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *PRETRAIN, *TINY, "--aug", "cutmix") == 0
    backbone = only_run("pretrain") / "backbone.pth"
    small = ["--budget", "small", "--data", "images", "--ckpt", str(backbone), "--size", "32"]
    assert bench(monkeypatch, "transfer", "--task", "linear", *small, "--set", "epochs=1") == 0
    assert bench(monkeypatch, "transfer", "--task", "knn", *small, "--set", "neighbours=3") == 0
    assert (
        bench(monkeypatch, "measure", "--budget", "small", "--data", "images", "--ckpt", str(backbone), "--set", "size=32") == 0
    )
    assert bench(monkeypatch, "report") == 0
    records = {path.parent.name.split("-")[0]: record.read(path) for path in Path("runs").glob("*/result.json")}
    assert records.keys() == {"pretrain", "linear", "knn", "representation"}
    assert records["linear"].checkpoint.provenance == records["pretrain"].checkpoint.provenance
    assert records["linear"].changed["size"] == 32
    assert records["linear"].proof["max_feature_difference"] == 0
    assert -1 <= (records["representation"].metrics["Ldiv"] or 0) <= 1
    assert {path.suffix for path in Path().glob("leaderboard.*")} == {".md", ".csv", ".tex", ".json", ".html"}
    assert "cutmix" in Path("leaderboard.md").read_text()
    assert "estimated time" in (only_run("linear") / "log.txt").read_text()
    capsys.readouterr()
    assert bench(monkeypatch, *PRETRAIN, *TINY, "--aug", "cutmix") == 0
    assert "already done" in capsys.readouterr().out


def test_a_run_folder_holds_config_metrics_log_command_and_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, *PRETRAIN, *TINY, "--out", "here") == 0
    names = {path.name for path in Path("here").iterdir()}
    assert {"config.yaml", "metrics.jsonl", "log.txt", "command.txt", "result.json", "backbone.pth", "labelled.txt"} <= names
    assert json.loads(Path("here/result.json").read_text())["command"].startswith("bench pretrain --budget small")
    assert not list(Path("here").glob(".*"))


def test_a_random_backbone_has_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["transfer", "--task", "knn", "--budget", "small", "--data", "images", "--ckpt", "random:resnet18:3"]
    assert bench(monkeypatch, *words, "--size", "32", "--set", "neighbours=3") == 0
    result = record.read(only_run("knn") / "result.json")
    assert (result.checkpoint.provenance.method, result.checkpoint.provenance.seed) == ("random", 3)


def test_a_record_says_which_encoder_it_is_of_and_that_its_weights_are_large(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file as MoCo's, whose momentum encoder has ten times the norm of a fresh network."""
    state = sources.load("random:resnet18").state
    large = {name: tensor * 10 if tensor.dim() == 4 else tensor for name, tensor in state.items()}
    named = {f"module.encoder_q.{n}": t for n, t in state.items()} | {f"module.encoder_k.{n}": t for n, t in large.items()}
    torch.save({"state_dict": named}, "moco.pth")
    words = ["transfer", "--task", "knn", "--budget", "small", "--data", "images", "--ckpt", "moco.pth", "--size", "32"]
    assert bench(monkeypatch, *words, "--set", "neighbours=3") == 0
    assert bench(monkeypatch, *words, "--set", "neighbours=3", "--branch", "momentum") == 0
    records = {done.checkpoint.branch: done for done in map(record.read, Path("runs").glob("*/result.json"))}
    assert records.keys() == {"online", "momentum"}
    assert records["online"].identity != records["momentum"].identity
    assert [any("LARS-scaled" in note for note in records[b].notes) for b in ("online", "momentum")] == [False, True]
    proof = records["momentum"].proof
    assert (proof["source_tensors"], proof["source_used"], proof["source_dropped"]) == (240, 120, 120)
    assert proof["norm_ratio"] == pytest.approx(10, rel=0.01)
    shown = capsys.readouterr().err
    assert "momentum encoder, as --branch says; recognised by module.encoder_k.conv1.weight in state_dict" in shown
    assert "dropped: encoder_q (120)" in shown


def test_a_configuration_lists_only_its_differences_from_the_one_it_extends(here: Path) -> None:
    (here / "longer.yaml").write_text("extends: shapes-moco\nepochs: 99\n")
    longer, shorter = (places.read_config("pretrain", name) for name in ("longer.yaml", "shapes-moco"))
    assert longer == {**shorter, "epochs": 99}


def test_a_configuration_may_extend_the_one_of_its_own_name_that_comes_with_the_project(here: Path) -> None:
    (here / "small.yaml").write_text("extends: small\nepochs: 7\n")
    assert places.read_config("pretrain", "small.yaml") == {**places.read_config("pretrain", "small"), "epochs": 7}


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_a_configuration_that_extends_itself_is_refused_with_the_chain(names: str, here: Path) -> None:
    files = [here / f"{name}.yaml" for name in names]
    for file, parent in zip(files, [*files[1:], files[0]], strict=True):
        file.write_text(f"extends: {parent.name}\n")
    (here / "first.yaml").write_text("extends: ./a.yaml\n")
    chain = " extends ".join(str(file.resolve()) for file in [*files, files[0]])
    with pytest.raises(ConfigError, match=f"a.yaml extends itself\n  seen:    {re.escape(chain)}\n"):
        places.read_config("pretrain", "first.yaml")


def test_a_configuration_that_extends_a_name_there_is_not_is_refused(here: Path) -> None:
    (here / "itself.yaml").write_text("extends: itself\n")
    with pytest.raises(ConfigError, match="unknown pretrain configuration 'itself'"):
        places.read_config("pretrain", "itself.yaml")


@pytest.mark.parametrize("name", places.configs("pretrain"))
def test_every_configuration_is_whole_and_opens_with_what_it_is_and_its_command(name: str) -> None:
    PretrainConfig.read(places.read_config("pretrain", name))
    lines = places.configs("pretrain")[name].read_text().splitlines()
    assert lines[0].startswith("# ")
    assert lines[1].startswith("# bench pretrain")


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({}, "supervised"),
        ({"supervision": "self"}, "mocov2"),
        ({"method": "mocov2"}, "mocov2"),
        ({"aug": "mixup"}, "supervised"),
    ],
)
def test_generated_data_takes_the_recipe_that_fits_the_regime(options: dict[str, str], method: str) -> None:
    _, settings = pretrain_settings.configuration(options, Setup(), None, "cpu")
    assert settings.method.name == method


def test_bench_data_names_the_root_of_a_layout(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "images").rename(here / "imagenet")
    monkeypatch.setenv("BENCH_DATA", str(here))
    words = ["transfer", "--task", "knn", "--budget", "small", "--ckpt", "random:resnet18", "--size", "32"]
    assert bench(monkeypatch, *words, "--set", "neighbours=3") == 0
    assert record.read(only_run("knn") / "result.json").data.name == "imagenet"


def _checkpoints(folder: Path) -> None:
    (folder / "text.pth").write_text("weights, honestly")
    torch.save({"state_dict": {"module.encoder_q.conv1.weight": torch.zeros(3)}}, folder / "none.pth")
    torch.save({"a": torch.zeros(1000)}, folder / "whole.pth")
    whole = (folder / "whole.pth").read_bytes()
    (folder / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "images" / "empty" / "train" / "ant").mkdir(parents=True)
    (folder / "former").mkdir()
    (folder / "former" / "config.yaml").write_text("kind: measure\nidentity: 0123456789ab\n")


KNN = ["transfer", "--task", "knn", "--data", "images"]
WRONG = {
    "no part of the images": (["measure", "--ckpt", "random:resnet18", "--splits", "0"], "fewer than one part"),
    "a sweep of nothing": (["measure", "--ckpt", "random:resnet18", "--probe", "cutout", "--sweep", "side="], "without values"),
    "a sweep that is none": (["measure", "--ckpt", "random:resnet18", "--sweep", "side"], "a sweep without a field"),
    "unknown augmentation": ([*PRETRAIN, "--aug", "cutmx"], "did you mean 'cutmix'"),
    "unknown method": ([*PRETRAIN, "--method", "moco2"], "did you mean 'mocov2'"),
    "unknown task": (["transfer", "--task", "coco-c5", "--ckpt", "random:resnet18"], "did you mean 'coco-c4'"),
    "unknown schedule": (["transfer", "--task", "coco-c4@3x", "--ckpt", "random:resnet18"], "allowed: 1x, 2x"),
    "two schedules": (
        ["transfer", "--task", "coco-fpn@1x", "--schedule", "2x", "--ckpt", "random:resnet18"],
        "two schedules at once",
    ),
    "engine of another task": (
        ["transfer", "--task", "voc07", "--engine", "mmseg", "--ckpt", "random:resnet18"],
        "allowed: detectron2, torchvision",
    ),
    "unknown config key": ([*PRETRAIN, "--set", "temprature=1"], "did you mean 'temperature'"),
    "unknown task key": ([*KNN, "--ckpt", "random:resnet18", "--set", "neighbors=1"], "did you mean 'neighbours'"),
    "unknown config": ([*PRETRAIN, "--config", "shaeps"], "did you mean 'shapes'"),
    "unknown budget": ([*PRETRAIN, "--budget", "tiny"], "unknown budget"),
    "a number that is not finite": ([*PRETRAIN, "--set", "base_lr=nan"], "(?s)bad value.*seen: .*nan.*allowed: .*do: "),
    "a number out of range": ([*PRETRAIN, "--set", "base_lr=-1"], "(?s)bad value.*seen: .*-1.*allowed: .*do: "),
    "a key of other codebases": ([*PRETRAIN, "--set", "learning_rate=1"], "did you mean 'base_lr'"),
    "a task's key of other codebases": ([*KNN, "--ckpt", "random:resnet18", "--set", "batch_size=1"], "did you mean 'batch'"),
    "no assignment": ([*PRETRAIN, "--set", "lr"], "field=value"),
    "missing data": (["pretrain", "--data", "nowhere"], "no data at nowhere"),
    "empty class folder": (["pretrain", "--data", "images/empty"], "class folder .*ant"),
    "wrong layout for pretrain": (["pretrain", "--data", "images/train"], "train is missing"),
    "wrong layout for voc": (["transfer", "--task", "voc0712", "--ckpt", "random:resnet18", "--data", "images"], "voc|VOC"),
    "wrong layout for coco": (["transfer", "--task", "coco-c4", "--ckpt", "random:resnet18", "--data", "images"], "instances_"),
    "wrong layout for cityscapes": (
        ["transfer", "--task", "cityscapes", "--ckpt", "random:resnet18", "--data", "images"],
        "leftImg8bit",
    ),
    "checkpoint is text": ([*KNN, "--ckpt", "text.pth"], "can't read text.pth"),
    "checkpoint is truncated": ([*KNN, "--ckpt", "truncated.pth"], "can't read truncated.pth"),
    "checkpoint has no backbone": ([*KNN, "--ckpt", "none.pth"], "no backbone recognised"),
    "checkpoint is missing": ([*KNN, "--ckpt", "gone.pth"], "no checkpoint at gone.pth"),
    "option of another task": ([*KNN, "--ckpt", "random:resnet18", "--rois", "8"], "knn has no --rois"),
    "no runs to report": (["report"], "bench pretrain"),
    "a scope of no rescaling": (
        ["convert", "--ckpt", "random:resnet18", "--to", "mmseg", "--out", "a.pth", "--scope", "all"],
        "nothing is rescaled",
    ),
    "a name that no disk can have": (
        ["convert", "--ckpt", "random:resnet18", "--to", "mmseg", "--out", "a" * 300 + ".pth"],
        "(?s)File name too long.*shorter name",
    ),
    "folders beside a difference": (["report", "one", "--diff", "two", "three"], "leave the rest away"),
    "a run folder of a former version": (
        ["measure", "--ckpt", "random:resnet18", "--budget", "small", "--data", "images", "--out", "former"],
        "(?s)former was written by another version.*seen: .*allowed: .*do: .*--out",
    ),
    "a seed below 0": ([*KNN, "--ckpt", "random:resnet18", "--seed", "-1"], "a seed has 32 bits"),
    "unknown list": (["ls", "taskz"], "did you mean 'tasks'"),
    "list with no more to say": (["ls", "augs", "cutmix"], "no more to say about 'cutmix'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_message_and_exit_code_2_and_writes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    words, message = WRONG[name]
    _checkpoints(here)
    before = sorted(here.rglob("*"))
    assert bench(monkeypatch, *words) == 2
    shown = capsys.readouterr()
    assert re.search(message, shown.err), shown.err
    assert "Traceback" not in shown.err
    assert shown.err.startswith("bench: ")
    assert len(shown.err.splitlines()) <= 4  # wrong, seen, allowed, what to do
    assert sorted(here.rglob("*")) == before


def test_an_interrupted_setting_is_refused_with_what_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *PRETRAIN, *TINY, "--out", "here") == 0
    assert bench(monkeypatch, *PRETRAIN, *TINY, "--out", "here", "--set", "temperature=0.5") == 2
    assert "temperature" in capsys.readouterr().err


def test_a_path_behind_an_option_s_equals_sign_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert bench(monkeypatch, "convert", "--ckpt=random:resnet18", "--to=timm", "--out=~/at-home.pth") == 0
    assert (here / "at-home.pth").is_file()


@pytest.mark.parametrize("what", ["tasks", "augs", "methods", "configs", "runs"])
def test_every_list_can_be_shown(what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(monkeypatch, "ls", what) == 0
    assert capsys.readouterr().out.strip()


def test_a_task_can_be_shown_with_its_settings_and_what_to_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, "ls", "tasks", "voc0712") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "24000 iterations" in shown
    assert "AP 57.4 ± 0.2" in shown


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_method_can_be_shown_with_its_recipe_its_departures_and_what_to_expect(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, "ls", "methods", name) == 0
    shown = capsys.readouterr().out
    method, words = methods.get(name), " ".join(shown.split())
    assert f"recipe.epochs {method.recipe.epochs} " in words
    assert f"departs {method.departs[0] if method.departs else 'in nothing known'}"[:40] in words
    assert re.search(r" (top1|AP) [0-9.]+.* \(.*ResNet-50, ImageNet-1K; ", words)
    assert "blends taken" in words or "blends refused: its loss" in words


def test_the_methods_are_a_line_each_that_says_labels_and_blends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, "ls", "methods") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(methods.METHODS)
    said = {line.split()[0]: line.rstrip() for line in lines}
    assert said["supcon"].endswith("; labels required")
    assert said["vicreg"].endswith("; no blends")
    assert "labels" not in said["dino"]


def test_the_doctor_names_engines_and_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(monkeypatch, "doctor") == 0
    shown = capsys.readouterr().out
    assert "engine torchvision" in shown
    assert "BENCH_DATA" in shown

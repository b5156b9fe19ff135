"""`bench study` as it is typed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.study import child
from bench.study.attempts import Attempts
from bench.study.states import State

STUDY = "pretrain: {a: {set: {supervision: self}, seeds: 2}}\nevaluate: [{of: a, task: knn}]"
Typed = Callable[..., int]


@pytest.fixture(autouse=True)
def faked(monkeypatch: pytest.MonkeyPatch, study) -> None:
    monkeypatch.setattr(child, "PROGRAM", study.coordinator().program)


def test_a_plan_says_what_is_there_and_what_it_takes_and_writes_nothing(
    study, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(STUDY)
    before = sorted(Path().rglob("*"))
    assert typed("study", "plan", "study.yaml") == 0
    assert "4 cells: 2 ready, 2 waiting" in capsys.readouterr().out
    assert typed("study", "plan", "study.yaml", "--json") == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["state"] for cell in cells] == ["ready", "ready", "waiting", "waiting"]
    assert all(cell["command"][:1] == ["bench"] for cell in cells)
    assert sorted(Path().rglob("*")) == before


def test_an_estimate_is_the_median_of_records_alike_and_says_so(
    study, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(STUDY)
    study.coordinator().run()
    study.write("pretrain: {a: {set: {supervision: self}, seeds: 5}}\nevaluate: [{of: a, task: [knn, linear]}]")
    assert typed("study", "plan", "study.yaml", "--json", "--devices", "3") == 0
    plan = json.loads(capsys.readouterr().out)
    estimates = {cell["folder"].split("-")[1]: cell["seconds"] for cell in plan["cells"] if cell["state"] != "done"}
    assert estimates["mocov2"] in (None, 10.0)
    assert plan["unknown"] == {"linear": 5}  # nothing like it was run
    assert plan["counts"] == {"done": 4, "ready": 5, "waiting": 6}


def test_wrong_files_end_with_2_and_name_everything(study, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    study.path.write_text("study: s\nprecison: fp32\npretrain: {a: {metod: x}}")
    assert typed("study", "run", "study.yaml") == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("did you mean 'precision'", "metod", "data: Field required"))


def test_failed_cells_are_shown_with_their_log_and_tried_again_when_told(
    study, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = study.write(STUDY, ends={"knn": (2, "DataError", "no images there")})
    assert typed("study", "run", "study.yaml", "--workers", "2") == 1
    assert typed("study", "status", "study.yaml", "--failed") == 0
    said = capsys.readouterr().out
    assert said.count("no images there") == 2
    assert str(Attempts(plan.home).log(plan.evaluations[0].id)) in said
    assert typed("study", "retry", "study.yaml", plan.pretrainings[0].id) == 2  # it has not failed
    assert typed("study", "retry", "study.yaml", plan.evaluations[0].id[:8]) == 0
    study.write(STUDY)
    assert typed("study", "run", "study.yaml", "--workers", "2") == 1
    assert study.look().counts() == {State.DONE: 3, State.FAILED: 1}
    assert typed("study", "retry", "study.yaml", "--failed") == 0
    assert typed("study", "run", "study.yaml", "--workers", "2") == 0


def test_retry_takes_what_is_done_elsewhere_for_done(study, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    plan = study.write(STUDY)
    study.coordinator().run()
    Path("runs").rename("elsewhere")
    study.write(STUDY, ends={"mocov2": (2, "DataError", "no images there")})
    assert typed("study", "run", "study.yaml", "--workers", "2") == 1
    assert typed("study", "retry", "study.yaml", plan.pretrainings[0].id, "--found", "elsewhere") == 2
    assert f"{plan.pretrainings[0].id} is done" in capsys.readouterr().err
    assert typed("study", "retry", "study.yaml", "--failed") == 0


def test_one_cell_is_done_here_and_only_when_it_is_ready(study, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    plan = study.write(STUDY)
    first, knn = plan.pretrainings[0], plan.evaluations[0]
    assert typed("study", "cell", "study.yaml", knn.id) == 2
    assert "it is waiting" in capsys.readouterr().err
    assert typed("study", "cell", "study.yaml", first.id) == 0
    assert typed("study", "cell", "study.yaml", knn.folder.name) == 0
    assert study.ran() == [first.folder.name, knn.folder.name]
    assert typed("study", "cell", "study.yaml", knn.id) == 0
    assert len(study.ran()) == 2
    assert typed("study", "cell", "study.yaml", "nothing") == 2


def test_a_dry_run_lists_commands_in_the_order_of_their_seeds_and_starts_nothing(
    study, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(STUDY)
    assert typed("study", "run", "study.yaml", "--workers", "1", "--dry-run") == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("bench ")]
    assert ["--seed 0" in line for line in commands] == [True, False]
    assert study.ran() == []


def test_stop_is_heard_by_the_next_look_and_run_goes_on(study, typed: Typed) -> None:
    plan = study.write(STUDY)
    assert typed("study", "stop", "study.yaml", "--now") == 0
    assert (plan.home / "stop").read_text() == "now\n"
    assert typed("study", "run", "study.yaml", "--workers", "1") == 0
    assert typed("study", "run", "study.yaml", "--on", "slrum") == 2


def test_a_plan_and_a_look_are_had_without_what_imports_for_seconds(study) -> None:
    study.write(
        """
pretrain: {a: {set: {arch: resnet18, aug: mixup}}}
evaluate:
  - {of: [a, "random:vit_small"], task: [knn, linear]}
  - {of: a, task: voc0712}
  - {of: a, measure: {probe: [none, cutout]}}
"""
    )
    heavy = ["torchvision", "torch._dynamo", "timm", "pandas", "scipy.stats", "scipy.cluster", "detectron2", "mmseg"]
    calls = (
        "study.plan(path, [], 2, as_json=True)",
        "study.status(path, [], watch=False, failed=False, as_json=False)",
        f"print([module for module in {heavy} if module in sys.modules])",
    )
    script = "\n".join(["import sys, pathlib", "from bench.verbs import study", "path = pathlib.Path('study.yaml')", *calls])
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("\n[]")

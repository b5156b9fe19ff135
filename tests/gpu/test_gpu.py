"""The check of a GPU: its parts where there is one (`pytest -m gpu`), and everywhere what it leaves and a part of seconds."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
PARTS = tuple(runpy.run_path(str(HERE / "check.py"))["PARTS"])


def checked(tmp_path: Path, *words: str) -> list[dict[str, object]]:
    """The lines that a check leaves."""
    command = [sys.executable, str(HERE / "check.py"), *words, "--out", str(tmp_path / "gpu.json")]
    subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    return [json.loads(line) for line in (tmp_path / "gpu.json").read_text().splitlines()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_check_holds_on_this_gpu(part: str, tmp_path: Path) -> None:
    (line,) = checked(tmp_path, part)
    assert line["ok"], line["error"]


def test_parts_leave_a_line_each_which_a_later_try_replaces(tmp_path: Path) -> None:
    parts = {"part": "memory", "device": "cuda", "ok": True}, {"part": "memory", "device": "cpu", "ok": None}
    (tmp_path / "gpu.json").write_text("".join(json.dumps(line) + "\n" for line in parts))
    lines = checked(tmp_path, "memory", "--device", "cpu")
    assert [(line["part"], line["device"], line["ok"]) for line in lines] == [("memory", "cuda", True), ("memory", "cpu", True)]


def test_a_part_that_fails_says_why_and_the_next_one_runs(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and so nothing fails for want of one")
    lines = checked(tmp_path, "memory", "ops")
    assert [line["ok"] for line in lines] == [False, False]
    assert all(line["error"] for line in lines)

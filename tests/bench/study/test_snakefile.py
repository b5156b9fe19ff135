"""The Snakefile of a study: its records are its only outputs, and whatever is killed, nothing is wiped or done twice."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.study import snakefile
from bench.study.file import Resource

STUDY = """
pretrain: {a: {set: {supervision: self}, grid: {aug: [none, cutmix]}}}
evaluate: [{of: a, task: knn}, {of: a, measure: {probe: [none, cutout]}, set: {images: 10}}]
resources:
  - {when: {kind: pretrain, aug: cutmix}, devices: 4, nodes: 2, memory: 60G, time: 1-12:30:00}
  - {when: {task: knn}, cpus: 3}
"""
FAKED = f"{sys.executable} {Path(__file__).with_name('faked_bench.py')}"


def rules(text: str) -> dict[str, str]:
    """Return what each rule says."""
    return dict(re.findall(r"^rule (\w+):\n((?:    .*\n)+)", text, flags=re.MULTILINE))


def test_there_is_a_rule_for_each_task_and_need_and_its_record_is_its_only_output(study) -> None:
    study.write(STUDY)
    said = rules(snakefile.text(study.look()))
    assert list(said) == ["all", "pretrain", "pretrain_no2", "knn", "representation"]
    assert {re.findall("output: (.*)", body)[0] for name, body in said.items() if name != "all"} == {
        'update("{run}/result.json")'
    }
    assert "resources: gpu=1\n" in said["pretrain"]
    assert "resources: gpu=4, nodes=2, mem_mb=61440, runtime=2190\n" in said["pretrain_no2"]
    assert [re.findall(r"threads: (\d+)", said[name]) for name in ("pretrain_no2", "knn")] == [["4"], ["3"]]


def test_an_evaluation_needs_its_backbone_and_what_is_done_is_left_out(study) -> None:
    plan = study.write(STUDY)
    first, text = plan.pretrainings[0], snakefile.text(study.look())
    mine = [cell for cell in plan.evaluations if cell.needs == first.id]
    assert [f"'{cell.folder}': '{first.folder}/result.json'," in text for cell in mine] == [True] * 3
    study.coordinator(workers=4).run()
    text = snakefile.text(study.look())
    assert list(rules(text)) == ["all"]
    assert "for backbones, last in []" in text


def test_the_command_is_the_same_for_every_edit_of_the_file_and_braces_stay(study) -> None:
    study.write(STUDY)
    commands = re.findall("shell: (.*)", snakefile.text(study.look(), [Path("a{b}")]))
    assert set(commands) == {"\"{BENCH} study cell study.yaml {wildcards.run:q} --wait --found 'a{{b}}'\""}


@pytest.mark.parametrize(
    ("said", "minutes"),
    [("24h", 1440), ("90", 90), ("2d", 2880), ("30:00", 30), ("12:30:00", 750), ("2-12", 3600), ("1-00:00:30", 1441)],
)
def test_times_are_read_as_clusters_write_them(said: str, minutes: int) -> None:
    assert snakefile.resources(Resource(time=said)) == f"gpu=1, runtime={minutes}"


def test_plan_writes_the_file_where_it_is_told(study, typed, capsys: pytest.CaptureFixture[str]) -> None:
    study.write(STUDY)
    assert typed("study", "plan", "study.yaml", "--snakefile", "Snakefile") == 0
    assert "8 cells: 2 ready, 6 waiting" in capsys.readouterr().out
    assert Path("Snakefile").read_text(encoding="utf-8") == snakefile.text(study.look())


def snakemake(*words: str) -> "subprocess.Popen[bytes]":
    words = ("snakemake", "--cores", "1", "--rerun-incomplete", "--nolock", "--config", f"bench={FAKED}", *words)
    with Path("snakemake.txt").open("ab") as said:
        return subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)


def checkpoints() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in Path("runs").glob("*/last.pth")}


@pytest.mark.snakemake
@pytest.mark.timeout(600)  # a dozen starts of Snakemake and of `bench`
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="no snakemake on PATH")
def test_snakemake_killed_loses_no_checkpoint_and_does_nothing_twice(study, typed) -> None:
    plan = study.write("pretrain: {a: {set: {supervision: self}}}\nevaluate: [{of: a, task: knn}]", seconds=5)
    assert typed("study", "plan", "study.yaml", "--snakefile", "Snakefile") == 0
    before: dict[Path, str] = {}
    for kill in (os.kill, os.killpg):  # its jobs live on; and as if the machine had gone
        process, deadline = snakemake(), time.monotonic() + 100
        while checkpoints() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        kill(process.pid, signal.SIGKILL)
        process.wait()
        assert all(checkpoints()[path].startswith(text) for path, text in before.items())
        before = checkpoints()
    assert snakemake().wait(timeout=200) == 0, Path("snakemake.txt").read_text(encoding="utf-8")
    assert all(checkpoints()[path].startswith(text) for path, text in before.items())
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())
    assert snakemake("--forceall").wait(timeout=200) == 0  # every job finds its record
    assert len(study.ran()) == len(plan.cells)

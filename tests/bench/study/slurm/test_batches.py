"""Cells → arrays, scripts and `sbatch`'s words; `squeue`'s lines → cells: without Slurm."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.study import times
from bench.study.slurm import queue
from bench.study.slurm.batches import batches, script
from pretrain.core.errors import ConfigError

STUDY = """
pretrain: {a: {set: {supervision: self}, grid: {arch: [resnet18, resnet50]}, seeds: 2}}
evaluate: [{of: a, task: [knn, linear]}]
slurm: {gres: gpu, account: lab, time: 24h, partition: long, save: 300, setup: [module load cuda]}
resources:
  - {when: {kind: pretrain, arch: resnet50}, devices: 8, nodes: 2, cpus: 48, memory: 200G, time: 2d, slurm: {partition: big}}
  - {when: {task: knn}, slurm: {gres: none, extra: [--nice=5]}}
"""


def test_cells_of_one_class_of_resources_are_one_array_that_asks_for_what_they_need(study) -> None:
    plan = study.write(STUDY)
    made = batches(plan, list(plan.cells.values()), lambda cell: None, 1000)
    words = {batch.cells[0].folder.name.split("-")[0] + batch.cells[0].values["arch"]: batch.options("s", Path("l%g"), "t")
             for batch in made}  # fmt: skip
    assert [len(batch.elements) for batch in made] == [6, 2, 4]  # small pre-trainings and linear probes ask for the same
    big = words["pretrainresnet50"]
    assert {"--nodes=2", "--gres=gpu:4", "--cpus-per-task=24", "--mem=200G", "--time=48:00:00", "--partition=big"} <= {*big}
    assert {"--array=0-1", "--job-name=study-s", "--comment=t", "--requeue", "--account=lab", "--signal=B:TERM@150"} <= {*big}
    assert f"--output={Path.cwd()}/l%%g/%A_%a.txt" in big
    probes = words["knnresnet18"]
    assert {"--cpus-per-task=1", "--partition=long", "--time=24:00:00", "--nice=5"} <= {*probes}
    assert not any(word.startswith("--gres") for word in probes)


def test_a_dry_run_shows_what_would_be_submitted_and_writes_nothing(
    study, typed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(STUDY)
    before = sorted(Path().rglob("*"))
    assert typed("study", "run", "study.yaml", "--on", "slurm", "--dry-run") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  sbatch")]
    assert ["--partition=big" in line for line in lines] == [True, False]
    assert sorted(Path().rglob("*")) == before


def test_an_array_has_no_more_elements_than_slurm_takes(study) -> None:
    plan = study.write("pretrain: {a: {seeds: 7}}\nslurm: {gres: gpu}")
    made = batches(plan, list(plan.cells.values()), lambda cell: None, 3)
    assert [len(batch.elements) for batch in made] == [3, 3, 1]
    assert [batch.options("s", Path(), "t")[4] for batch in made] == ["--array=0-2", "--array=0-2", "--array=0-0"]


def test_short_evaluations_of_one_backbone_are_one_job_and_long_or_unknown_ones_are_not(study) -> None:
    plan = study.write(STUDY + "\n", seconds=0)
    linear = [cell for cell in plan.evaluations if cell.task == "linear"]
    both = [*linear, *(cell for cell in plan.evaluations if cell.task == "knn")]
    shorter = [cell.resource.model_copy(update={"when": {}}) for cell in both]
    assert len({repr(each) for each in shorter}) == 2
    plan = study.write(STUDY.replace("- {when: {task: knn}, slurm: {gres: none, extra: [--nice=5]}}", ""))
    cells = plan.evaluations

    def elements(seconds: float | None) -> list[set[str]]:
        (batch,) = batches(plan, cells, lambda cell: seconds, 1000)
        return [{cell.subject.checkpoint for cell in element} for element in batch.elements]

    assert [len(each) for each in elements(60)] == [1] * 4  # knn and linear of each backbone together
    assert len(elements(1000)) == 8  # two of them are longer than half an hour
    assert len(elements(None)) == 8


def test_what_a_device_is_must_be_said(study) -> None:
    plan = study.write("pretrain: {a: {}}")
    with pytest.raises(ConfigError, match="gres: gpu"):
        batches(plan, list(plan.cells.values()), lambda cell: None, 1000)


def test_a_job_becomes_the_element_itself_with_the_cells_of_its_line(study) -> None:
    plan = study.write("pretrain: {a: {seeds: 2}}\nslurm: {gres: none, setup: ['export SEEN=yes']}")
    (batch,) = batches(plan, list(plan.cells.values()), lambda cell: None, 1000)
    listed = Path("a list")
    listed.write_text(batch.listed())
    text = script(plan, batch.slurm, listed, [Path("else where")]).replace("\nexec ", "\nexec printf '%s\\n' $SEEN $$ ")
    job = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    with subprocess.Popen(["bash", "-c", text], env=job, stdout=subprocess.PIPE, text=True) as process:
        said = str(process.communicate()[0]).splitlines()
    assert said[:2] == ["yes", str(process.pid)]
    assert said[3:] == ["-m", "bench", "study", "cell", str(Path("study.yaml").absolute()), "--on", "slurm",
                        "--found", str(Path("else where").absolute()), list(plan.cells)[1]]  # fmt: skip


def test_the_queue_leads_to_cells_by_the_lists_of_this_study_alone(study) -> None:
    home = Path("s")
    (home / "jobs").mkdir(parents=True)
    (home / "jobs" / "t1").write_text("c0 c1\nc2\n")
    lines = ["12_0|RUNNING|None|t1", "12_1|PENDING|Dependency|elsewhere", "13_1|PENDING|JobHeldAdmin|t1", "9_7|PENDING|x|t1"]
    found = queue.read("\n".join([*lines, "77_4294967294|RUNNING|None|"]), home)
    assert {cell: job.id for cell, job in found.cells.items()} == {"c0": "12_0", "c1": "12_0", "c2": "13_1"}
    assert str(found.cells["c0"]) == "job 12_0, RUNNING"
    assert "scontrol release 13_1" in str(found.cells["c2"])
    assert queue.read("12_0|RUNNING|None|t1", home, besides="12_0").cells == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("1:30", 90),
        ("24:00:00", 86_400),
        ("1-12", 129_600),
        ("1-2:03:04", 93_784),
        ("90m", 5400),
        ("UNLIMITED", None),
    ],
)
def test_times_are_read_as_slurm_writes_them(text: str, seconds: int | None) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("slurm: {gres: gpu, time: 24:00:00}", "write 24h"),
        ("slurm: {partion: gpu}", "did you mean 'partition'"),
        ("slurm: {extra: [constraint=a100]}", "no option of sbatch"),
        ("slurm: {extra: [--array=0-3]}", "said by the study itself"),
        ("slurm: {stage: {imagenet: /tmp}}", "none of the data"),
        ("resources: [{when: {kind: pretrain}, devices: 3, nodes: 2}]", "shared out evenly"),
        ("resources: [{when: {kind: pretrain}, slurm: {acount: x}}]", "resources, entry 1, slurm: unknown key 'acount'"),
        ("slurm: fast", "no mapping"),
    ],
)
def test_what_slurm_is_told_is_checked_with_the_rest_of_the_file(study, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("(", "\\(")):
        study.write("pretrain: {a: {}}\n" + text)

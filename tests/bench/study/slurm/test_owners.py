"""What a cell's last words, its job's log and the queue say together: with a Slurm that only answers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.study.attempts import Attempt, Attempts
from bench.study.slurm import commands, job, place, submitting
from bench.study.states import State
from bench.verbs import study as verb
from pretrain.core.errors import ConfigError, EngineError

CELLS = "pretrain: {a: {}}\nslurm: {gres: none}"
ENDED = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-30T04:20:45 {}***\n"
Answers = dict[str, str | EngineError]


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """First word of a command → what it prints, or how it fails; the commands that were given are below `given`."""
    answers: Answers = {"squeue": "", "scontrol": "", "sbatch": "7\n", "given": ""}

    def run(words: Sequence[str], given: str = "") -> str:
        answers["given"] = f"{answers['given']}{' '.join(words)}\n"
        answer = answers[words[0]]
        if isinstance(answer, EngineError):
            raise answer
        return answer

    monkeypatch.setattr(commands, "run", run)
    return answers


@pytest.fixture
def told(study) -> Callable[..., tuple[State, str]]:
    """Notes what became of the only cell, and tells its state and why."""
    plan = study.write(CELLS)
    (cell,) = plan.cells
    (plan.home / "jobs").mkdir(parents=True)
    (plan.home / "jobs" / "list").write_text(cell + "\n")

    def tell(*ended: str, log: str | None = None) -> tuple[State, str]:
        for each in ended:
            Attempts(plan.home).note(cell, Attempt(each, job="7_0"))
        if log is not None:
            (plan.home / "jobs" / "7_0.txt").write_text(log)
        look = study.look()
        return look.states[cell], str(look.jobs.get(cell, look.why.get(cell, "")))

    return tell


def test_what_is_in_the_queue_runs_and_says_its_job(slurm: Answers, told) -> None:
    slurm["squeue"] = "7_0|PENDING|Priority|list\n"
    assert told("submitted") == (State.RUNNING, "job 7_0, PENDING (Priority)")
    slurm["squeue"] = "7_0|PENDING|Priority|\n"  # a site took the comment away
    assert told() == (State.RUNNING, "job 7_0, PENDING (Priority)")


@pytest.mark.parametrize("ended", [["submitted"], ["submitted", "begun", "stopped"]])
def test_a_job_that_left_the_queue_before_its_cell_was_done_was_cancelled(slurm: Answers, told, ended: list[str]) -> None:
    state, why = told(*ended)
    assert state is State.FAILED
    assert "job 7_0 was cancelled" in why


def test_a_job_that_says_why_it_ended_or_dies_without_a_word_is_no_cancelled_one(slurm: Answers, told) -> None:
    assert told("submitted", "begun")[0] is State.READY
    assert told(log=ENDED.format("DUE TO NODE FAILURE "))[0] is State.READY
    assert told(log=ENDED.format(""))[0] is State.FAILED
    assert told("submitted", log="no such module\n")[0] is State.READY  # it began and ended at once
    assert told("stopped", "freed")[0] is State.READY


def test_lost_jobs_are_faults_of_which_there_may_be_as_many_as_retries(slurm: Answers, told, study) -> None:
    said: list[str] = []
    told("submitted", "begun")
    for _ in range(2):
        place.run(study.path, (), {}, said.append, lambda look, observer: None)
        told("begun", log="")
    assert told()[0] is State.FAILED
    assert sum(line.startswith("lost: ") for line in said) == 2


def test_a_queue_that_gives_no_answer_leaves_cells_with_their_jobs_unless_a_person_says_otherwise(
    slurm: Answers, told, study, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm["squeue"] = EngineError("squeue is not here")
    state, why = told("submitted")
    assert (state, "job 7_0 may have it: squeue is not here" in why) == (State.RUNNING, True)
    with pytest.raises(EngineError, match="not here"):
        place.run(study.path, (), {}, print, lambda look, observer: None)
    (cell,) = study.look().states
    verb.retry(study.path, [cell], failed=False)
    assert study.look().states[cell] is State.READY


def test_cells_beyond_what_the_site_or_the_study_allows_wait_for_the_next_run(slurm: Answers, study) -> None:
    said: list[str] = []
    plan = study.write("pretrain: {a: {seeds: 5}}\nslurm: {gres: none, jobs: 2}")
    place.run(study.path, (), {}, said.append, lambda look, observer: None)
    assert "--array=0-1" in str(slurm["given"])
    assert said[0] == "submitted: 2 cells as array 7 of 2 jobs"
    slurm["sbatch"] = EngineError("sbatch refuses", seen="QOSMaxSubmitJobPerUserLimit")
    study.write("pretrain: {a: {seeds: 5}}\nslurm: {gres: none}")
    slurm["squeue"] = "7_0|RUNNING|None|\n7_1|RUNNING|None|\n"
    place.run(study.path, (), {}, said.append, lambda look, observer: None)
    assert any("takes no more of your jobs" in line for line in said)
    assert list((plan.home / "jobs").glob("2*.yaml")) == sorted((plan.home / "jobs").glob("2*.yaml"))[:1]


def test_a_fault_of_a_machine_is_tried_again_on_another_one(slurm: Answers, study) -> None:
    plan = study.write("pretrain: {a: {seeds: 3}}\nslurm: {gres: none}")
    first, second, _ = plan.cells
    for cell, host in ((first, "n1"), (second, "n3")):
        Attempts(plan.home).note(cell, Attempt("fault", "StorageError", "full", host=host))
    Attempts(plan.home).retry([second])
    place.run(study.path, (), {}, lambda line: None, lambda look, observer: None)
    asked = [line for line in str(slurm["given"]).splitlines() if line.startswith("sbatch")]
    assert ["--exclude=n1" in line for line in asked] == [True, False]
    assert ["--array=0-0" in line for line in asked] == [True, False]


def test_options_of_this_machine_and_a_job_that_is_none_are_refused(slurm: Answers, study) -> None:
    study.write(CELLS)
    with pytest.raises(ConfigError, match="--workers is of --on local"):
        place.run(study.path, (), {"workers": 2}, print, lambda look, observer: None)
    with pytest.raises(ConfigError, match="for the jobs that the study submits"):
        place.do(study.path, ["x"], ())


def test_without_slurm_that_is_said_and_nothing_is_left(study, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = study.write(CELLS)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="is not here"):
        place.run(study.path, (), {}, print, lambda look, observer: None)
    assert study.look().having(State.READY) == list(plan.cells.values())


def test_a_job_that_runs_is_requeued_and_a_cancelled_one_is_not(slurm: Answers) -> None:
    slurm["squeue"] = "RUNNING\n"
    assert job.requeue("7_0") == "done"
    slurm["scontrol"] = EngineError("scontrol refuses", seen="Requested operation is presently disabled")
    assert job.requeue("7_0") == "refused"
    slurm["squeue"] = "COMPLETING\n"
    assert job.requeue("7_0") == "not running"
    assert "scontrol requeue 7_0" in str(slurm["given"])


def test_a_job_knows_its_end_and_asks_again_before_it_stops(slurm: Answers) -> None:
    slurm["squeue"] = "1-00:00:00\n"
    day = job.Deadline("7_0", save=300)
    assert (day.margin, day.near()) == (300, False)
    slurm["squeue"] = "0:02\n"
    short = job.Deadline("7_0", save=300)
    assert short.margin == pytest.approx(2 / 3)
    slurm["squeue"] = "UNLIMITED\n"
    assert not job.Deadline("7_0", save=300).near()


def test_a_log_says_why_slurm_ended_a_job(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert job.cancelled(log) is None
    log.write_text("step 3\n")
    assert job.cancelled(log) is None
    log.write_text(ENDED.format("DUE TO JOB REQUEUE ") + "step 4\n" + ENDED.format("DUE TO TIME LIMIT "))
    assert job.cancelled(log) == "TIME LIMIT"
    log.write_text(log.read_text() + ENDED.format(""))
    assert job.cancelled(log) == ""


def test_an_array_is_listed_before_it_is_submitted_and_the_file_is_kept_with_it(slurm: Answers, study) -> None:
    plan = study.write(CELLS)
    place.run(study.path, (), {}, lambda line: None, lambda look, observer: None)
    (listed,) = (path for path in (plan.home / "jobs").glob("2*") if not path.suffix)
    assert listed.read_text().split() == list(plan.cells)
    assert Path(f"{listed}{submitting.STUDY}").read_text() == study.path.read_text()
    assert f"--comment={listed.name} " in str(slurm["given"])

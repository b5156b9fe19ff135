"""What a run writes of its course, and how a time is said."""

import json
from pathlib import Path

import pytest

from pretrain.core.journal import Journal, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "about 1 s"), (59, "about 59 s"), (61, "about 1 min 1 s"), (3700, "about 1 h 1 min"), (90000, "about 1 days 1 h")],
)
def test_a_time_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_steps_with_values_become_lines_and_what_is_not_finite_becomes_null(tmp_path: Path) -> None:
    seen = []
    journal = Journal(tmp_path, lambda *step: seen.append(step))
    journal.step("train", 1, 3, loss=1.5)
    journal.step("train", 2, 3)
    journal.step("train", 3, 3, loss=float("nan"))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"], row["of"], row["loss"]) for row in rows] == [
        ("train", 1, 3, 1.5),
        ("train", 3, 3, None),
    ]
    assert [step[1] for step in seen] == [1, 2, 3]


def test_a_line_goes_to_the_log_and_to_whoever_watches(tmp_path: Path) -> None:
    seen = []
    Journal(tmp_path, lambda *step: seen.append(step)).say("hello")
    assert (tmp_path / "log.txt").read_text().endswith(" hello\n")
    assert seen == [("hello", 0, 0, {})]


def test_going_back_forgets_what_is_done_again_and_the_clock_goes_on(tmp_path: Path) -> None:
    lines = [{"stage": "train", "step": step, "of": 4, "seconds": 100.0 * step, "loss": 1 / 3} for step in (1, 2, 3)]
    lines.insert(2, {"stage": "monitor", "step": 1, "of": 2, "seconds": 250.0, "knn": 5.0})
    lines.insert(3, {"stage": "monitor", "step": 2, "of": 2, "seconds": 260.0, "knn": 6.0})
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "tra')
    journal = Journal(tmp_path)
    journal.rewind(train=2, monitor=1)
    journal.step("train", 3, 4, loss=0.5)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[:3] == lines[:3]
    assert [(row["stage"], row["step"]) for row in rows[3:]] == [("train", 3)]
    assert 250 <= rows[3]["seconds"] < 300
    assert journal.seconds() >= 250


def test_going_back_drops_lines_that_say_no_step(tmp_path: Path) -> None:
    Journal(tmp_path).step("train", 1, 9, loss=1.0)
    good = (tmp_path / "metrics.jsonl").read_text()
    odd = ['{"stage": "train", "step": "2", "seconds": 1}', '{"stage": "train", "step": 2, "seconds": 1%s}' % ("0" * 400)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([good.strip(), *odd, "[" * 100_000]) + "\n")
    Journal(tmp_path).rewind(train=5)
    assert (tmp_path / "metrics.jsonl").read_text() == good


def test_a_journal_that_has_noted_nothing_can_go_back(tmp_path: Path) -> None:
    for journal in (Journal(), Journal(tmp_path)):
        journal.rewind(train=0)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_stages_rate_is_from_its_first_step_to_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 7.0, 8.0, 20.0])  # the journal's start, three steps, one of another stage
    monkeypatch.setattr("pretrain.core.journal.time.monotonic", lambda: next(clock))
    journal = Journal()
    for done in (4, 5, 10):
        journal.step("train", done, 10)
    journal.step("evaluate", 1, 10)
    assert (journal.rate("train"), journal.rate("evaluate"), journal.rate("linear")) == (2.0, None, None)

"""A run whose projections collapse goes on, says so once, however it is cut, and its record has a note."""

from pathlib import Path

import pytest

from pretrain.collapse import FLOOR, PATIENCE, CollapseWatch
from pretrain.core.journal import Journal

LOW, HIGH = FLOOR / 2, FLOOR * 2


def journal(folder: Path, said: list[str]) -> Journal:
    return Journal(folder, lambda text, done, total, values: None if total else said.append(text))


def follow(folder: Path, spreads: list[float], said: list[str], start: int = 0) -> CollapseWatch:
    """Log steps with these spreads, those before `start` by a run that was cut there."""
    log = journal(folder, said)
    log.rewind(pretrain=start)
    watch = CollapseWatch(log, "pretrain")
    for step, spread in enumerate(spreads[start:], start + 1):
        log.step("pretrain", step, len(spreads), loss=1.0, spread=spread)
        watch.see(step, {"loss": 1.0, "spread": spread})
    return watch


@pytest.mark.parametrize("cut", [None, 40, 100, 130])
def test_a_collapse_is_said_once_wherever_the_run_is_cut(tmp_path: Path, cut: int | None) -> None:
    spreads, said = [HIGH] * 5 + [LOW] * (PATIENCE + 30), []
    if cut is not None:
        follow(tmp_path, spreads[: cut + 20], said)  # steps after the last checkpoint are run again
        said = said if cut > 5 + PATIENCE else []
    watch = follow(tmp_path, spreads, said, cut or 0)
    assert len(said) == 1
    assert said[0] == f"{watch.note}; the run goes on"
    assert f"below 0.05 for 100 logged steps by step {5 + PATIENCE}" in watch.note


def test_a_spread_that_recovers_in_time_is_no_collapse(tmp_path: Path) -> None:
    said: list[str] = []
    watch = follow(tmp_path, ([LOW] * (PATIENCE - 1) + [HIGH]) * 2, said)
    assert (watch.note, said) == ("", [])


def test_without_a_log_nothing_is_read() -> None:
    watch = CollapseWatch(Journal(), "pretrain")
    for step in range(PATIENCE):
        watch.see(step, {"spread": LOW})
    assert watch.note

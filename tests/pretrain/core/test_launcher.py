"""What torch's launcher tells the processes that it starts."""

import pytest

from pretrain.core import launcher


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher, whatever started the tests."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher_there_is_one_process() -> None:
    assert (launcher.launched(), launcher.processes(), launcher.processes_here()) == (False, 1, 1)


def test_a_launcher_says_how_many_processes_there_are_in_all_and_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "1", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (launcher.launched(), launcher.processes(), launcher.processes_here()) == (True, 8, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert (launcher.processes(), launcher.processes_here()) == (8, 4)

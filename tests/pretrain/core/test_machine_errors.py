"""What the machine refuses is one message, whatever else is gone."""

from pathlib import Path

import pytest

from pretrain.core.errors import StorageError
from pretrain.core.machine_errors import translating_os_errors


def test_a_working_folder_that_was_removed_is_a_message_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    working.rmdir()
    with (
        pytest.raises(StorageError, match="can't write the run folder"),
        translating_os_errors("write the run folder", Path("run")),
    ):
        Path("run/log.txt").write_text("")

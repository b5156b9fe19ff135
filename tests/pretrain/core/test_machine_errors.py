"""What the machine refuses is one message, whatever else is gone."""

from pathlib import Path

import pytest

from pretrain.core.errors import BenchError, StorageError, WorkerError
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


GPU = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.00 GiB of which 1.00 GiB is free. "
    "Of the allocated memory 12.00 GiB is allocated by PyTorch. If reserved but unallocated memory is large try setting X"
)


@pytest.mark.parametrize(
    ("error", "where", "seen"),
    [
        (RuntimeError(GPU), "on the GPU", "1.00 GiB is free."),
        (
            RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "machine",
            "9 bytes",
        ),
        (MemoryError(), "machine", "no more of it"),
    ],
)
def test_memory_that_is_too_small_is_said_with_what_to_lower(error: Exception, where: str, seen: str) -> None:
    with pytest.raises(WorkerError) as caught, translating_os_errors("write", Path("x")):
        raise error
    wrong, saw, do = str(caught.value).splitlines()
    assert wrong.startswith("out of memory")
    assert wrong.endswith(where)
    assert saw.endswith(seen)
    assert "--batch" in do
    assert "--dry-run" in do


def test_another_runtime_error_is_a_bug_of_ours() -> None:
    with pytest.raises(RuntimeError, match="sizes differ") as caught, translating_os_errors("write", Path("x")):
        raise RuntimeError("sizes differ")
    assert not isinstance(caught.value, BenchError)

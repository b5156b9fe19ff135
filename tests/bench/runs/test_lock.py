"""One process at a time on a run's folder. The other process is a real one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.runs import lock
from pretrain.core.errors import ConfigError

HOLD = """
import os, sys, time
from pathlib import Path
from bench.runs import lock
with lock.held(Path(sys.argv[1])):
    if not os.fork():  # such as a loader, which outlives a killed trainer for some seconds
        time.sleep(30)
        os._exit(0)
    print("held", flush=True)
    time.sleep(30)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that holds tmp_path, as does a child of its own."""
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    root = str(Path(__file__).resolve().parents[3])
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_the_second_process_is_told_who_holds_the_folder_until_that_one_is_gone(
    holder: subprocess.Popen, tmp_path: Path
) -> None:
    for take in (lock.refuse_held, lambda folder: lock.held(folder).__enter__()):
        with pytest.raises(ConfigError, match=f"process {holder.pid} on .*, since 20.* UTC"):
            take(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / lock.LOCK).is_file()  # nobody was left to take it away, and it hinders nobody
    lock.refuse_held(tmp_path)
    with lock.held(tmp_path):
        assert (tmp_path / lock.LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / lock.LOCK).exists()

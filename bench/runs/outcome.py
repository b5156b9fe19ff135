"""How a command ended, for whoever started it: exit code 2 alone tells no user's mistake from a full disk."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pretrain.core import interrupt
from pretrain.core.errors import PeerError

VARIABLE = "BENCH_OUTCOME"
"""Environment variable that names the file to write."""


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Write the class and the message of what ends the block into the file that `BENCH_OUTCOME` names, unless it is there: of
    several processes the first one to fail knows why.
    """
    path = os.environ.get(VARIABLE)
    try:
        yield
    except PeerError:
        raise
    except (Exception, interrupt.Stopped) as error:
        if path:
            with contextlib.suppress(OSError), Path(path).open("x", encoding="utf-8") as file:
                json.dump({"error": type(error).__name__, "message": str(error)}, file)
        raise

"""In the jobs of tests: `python -m bench pretrain ...` is the fake of `tests/bench/study/fake.py`; other commands are real."""

import os
import runpy
import sys
from pathlib import Path

_words = sys.orig_argv
if _words[1:3] == ["-m", "bench"] and _words[3:4] and _words[3] in ("pretrain", "transfer", "measure"):
    sys.argv = _words[2:]
    try:
        runpy.run_path(str(Path(__file__).parents[2] / "fake.py"), run_name="__main__")
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)

"""Is `bench`, but that the commands of cells are `fake.py`."""

import sys
from pathlib import Path

from bench import cli
from bench.study import child

child.PROGRAM = (sys.executable, str(Path(__file__).with_name("fake.py")))

if __name__ == "__main__":
    cli.main()

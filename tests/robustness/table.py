"""The table of docs/ROBUSTNESS.md: `make robustness` runs the long form of everything in this folder and writes it.

    python tests/robustness/table.py                   # all parts, then the table
    python tests/robustness/table.py --part kill:linear --part fuzz    # these parts; the others' results stay as they are
    python tests/robustness/table.py --table-only      # the table from the results that lie in docs/robustness/

A part is a script of this folder with a function `rows(short)`, or one of its `KINDS`, as in `kill:pretrain`. Each part's
result is a JSON file, so that a long run may be made in pieces.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rows import Row, read

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1]
RESULTS = HOME / "docs/robustness"
TABLE = HOME / "docs/ROBUSTNESS.md"
START, END = "<!-- table -->", "<!-- end of the table -->"
"""Between these, in TABLE, is what this script writes."""
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import rows, {script}
found = {script}.rows({arguments})
if found:
    rows.write(found, Path(sys.argv[2]))
"""
"""One part, in a process of its own: fuzzers and fork servers don't share one well. What can't run here keeps its result."""


def parts() -> Iterator[str]:
    """Names of all parts: `fuzz`, `kill:pretrain`, ..."""
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8")).body
        if not any(isinstance(node, ast.FunctionDef) and node.name == "rows" for node in tree):
            continue
        assigned = {ast.unparse(node.targets[0]): node.value for node in tree if isinstance(node, ast.Assign)}
        kinds = ast.literal_eval(assigned["KINDS"]) if "KINDS" in assigned else None
        yield from [path.stem] if kinds is None else (f"{path.stem}:{kind}" for kind in kinds)


def make(part: str, short: bool) -> bool:
    """Run a part and keep its result; whether it ran."""
    script, _, kind = part.partition(":")
    code = RUN.format(script=script, arguments=f"{short}, ({kind!r},)" if kind else str(short))
    return subprocess.run([sys.executable, "-c", code, str(HERE), str(_result(part))], cwd=HOME, check=False).returncode == 0


def lines(rows: list[Row]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| promise | test | tries | failures |"
    yield "|---|---|---:|---:|"
    for row in rows:
        yield f"| {row.promise} | {row.test} | {row.tries:,} | {row.failures:,} |"


def write_table() -> None:
    """Replace the table in docs/ROBUSTNESS.md by that of the results at hand."""
    found = [row for part in parts() if (path := _result(part)).is_file() for row in read(path)]
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    TABLE.write_text("\n".join((before + START, "", *lines(found), "", END)) + after, encoding="utf-8")


def _result(part: str) -> Path:
    return RESULTS / f"{part.replace(':', '-')}.json"


def main() -> None:
    """Run what is asked for and write the table; exit with 1 where a part did not run or a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(parts()), help="may be repeated; all without it")
    parser.add_argument("--short", action="store_true", help="a few tries of each: to see that everything runs")
    parser.add_argument("--table-only", action="store_true", help="run nothing")
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    failed = [part for part in (asked.part or parts()) if not asked.table_only and not make(part, asked.short)]
    for part in failed:
        print(f"{part} did not run", file=sys.stderr)
    write_table()
    broken = sum(row.failures for path in RESULTS.glob("*.json") for row in read(path))
    raise SystemExit(bool(failed or broken))


if __name__ == "__main__":
    main()

"""Studies: one file → hundreds of cells, each a plain command; what has become of them is derived from what they left.

`PLACES` is the table of where cells are run: word after `--on` → module here with `run(path, elsewhere, options, display)`,
which returns the exit code.
"""

PLACES: dict[str, str] = {"local": "local"}

"""Studies: one file → hundreds of cells, each a plain command; what has become of them is derived from what they left.

`PLACES` is the table of where cells are run: word after `--on` → module here with `run(path, elsewhere, options, say, show)`,
`preview(made)` for `--dry-run`, and `do(path, names, elsewhere)`, which does cells where they were sent.
"""

PLACES: dict[str, str] = {"local": "local", "slurm": "slurm.place"}

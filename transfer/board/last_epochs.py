"""Keep one backbone of every run, so that no run counts twice."""

from collections.abc import Iterable, Mapping, Set

from transfer.board.leaderboard import Leaderboard

Seeds = Mapping[int, Set[int | None]]
"""Row → seeds of its pre-trainings."""


def last_epochs(board: Leaderboard, rows: Iterable[int], planned: Seeds | None = None) -> list[int]:
    """Leave out rows that may be earlier backbones of a run whose last one is there, and return the others by index.

    Rows that differ in their epochs alone and have a seed of the pre-training in common are taken for one run with kept
    backbones (`keep_every`): their numbers move together, and are no repetitions. Files of unknown seed that agree in all
    that is known are likewise one. `planned` counts as if it had been run.
    """
    of_entry = [entry.record.checkpoint.provenance.seed for entry in board.entries]
    seeds: dict[int, set[int | None]] = {row: set(of) for row, of in (planned or {}).items()}
    for entry, row in set(zip(board.values["entry"].tolist(), board.values["row"].tolist(), strict=True)):
        seeds.setdefault(row, set()).add(of_entry[entry])
    taken: dict[object, set[int | None]] = {}
    kept = []
    for row in sorted(rows, key=lambda row: -(board.rows[row].key.epochs or 0.0)):
        run = board.rows[row].key._replace(epochs=None, file=None)
        if not taken.setdefault(run, set()) & seeds.get(row, set()):
            kept.append(row)
        taken[run] |= seeds.get(row, set())
    return sorted(kept)

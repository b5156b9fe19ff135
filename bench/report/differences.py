"""Put differences to the baseline into marks and words."""

from collections.abc import Sequence

from bench.report import words
from bench.report.content import Content
from transfer.board.comparison import Difference

MARK_OF = {"equivalent": "≈", "undecided": "?", "no control": "?", "two checkpoints": "◇"}
"""Answer → its mark; of a difference it is ▲ or ▼."""


def mark(difference: Difference | None) -> str:
    """Mark a difference to the baseline row by its answer, `▲` `▼` where it is different; empty without a baseline."""
    if difference is None:
        return ""
    return MARK_OF.get(difference.answer) or ("▲" if difference.mean > 0 else "▼")


def difference(found: Difference | None, digits: int, labels: Sequence[str]) -> str:
    """Write a difference as a sentence, with the name of the baseline's row; empty without a baseline."""
    if found is None:
        return ""
    against = f"{words.signed(found.mean, digits)} against {labels[found.baseline]}"
    counts = f"{words.repetitions(found.mine)} against {words.repetitions(found.theirs)}"
    if found.answer == "no control":
        return f"{against}, which is no control: it differs in {', '.join(found.differing)}, too ({counts})"
    how = [_interval(found, digits), counts, _paired(found), _published(found)]
    return f"{against}: {_answer(found, digits)} ({'; '.join(filter(None, how))})"


def _answer(found: Difference, digits: int) -> str:
    if found.answer == "two checkpoints":
        return "of these two checkpoints only, one pre-training each, so nothing of the augmentation"
    if found.answer == "equivalent":
        return f"equivalent, by less than {found.interest:g}"
    return found.answer


def _interval(found: Difference, digits: int) -> str:
    low, high = (words.signed(end, digits) for end in found.interval)
    if found.half is None:
        return f"no interval: {_missing(found)}"
    over = " over fine-tunings" if found.answer == "two checkpoints" else ""
    return f"95 % interval{over} {low} to {high}"


def _missing(found: Difference) -> str:
    """Say what an interval would need."""
    if found.answer == "two checkpoints" or min(found.mine.pretrainings, found.theirs.pretrainings) > 1:
        return "nothing here says how far repetitions differ"
    of = "this row" if found.mine.pretrainings < 2 else "the row it is compared with"
    return f"a second pre-training of {of} is missing"


def _paired(found: Difference) -> str:
    if found.answer == "two checkpoints" or not found.paired:
        return ""
    return f"{found.paired} seed{'s' * (found.paired > 1)} paired"


def _published(found: Difference) -> str:
    """Name the published spread that was counted in."""
    prior = found.prior
    return f"published spread {prior.sd:g} over {prior.n} {prior.over} counted in: {prior.source}" if prior else ""


def without_control(content: Content) -> list[str]:
    """Write one line per row with an augmentation that no control shares every other setting of."""
    labels = words.labels(content.board.rows)
    found = {row: one for (row, _), one in content.differences.items() if one.answer == "no control"}
    return [f"{labels[row]}: {labels[one.baseline]} differs in {', '.join(one.differing)}, too" for row, one in found.items()]

"""Put into words what every rendering says: headings, cells, what the columns are, how to read them."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from pretrain.core.counts import counted
from transfer.board.cells import Cell, Count
from transfer.board.columns import REPRESENTATION, Column, Protocol
from transfer.board.leaderboard import VISIBLE, Leaderboard, Row, RowKey
from transfer.metrics import Metric

ABSENT = "–"
TITLE = "Leaderboard"
GENERATED_NOTICE = "These numbers are from generated data and compare with no paper."
FIELD_HEADINGS = ("method", "aug", "supervision", "labels", "arch", "data", "epochs")
"""Over the visible fields of a row."""
WHOLE = {"self": 0.0, "full": 1.0}
"""Supervisions that say the fraction of labels by themselves."""
COST_HEADING = "pre-training, s"
UNMEASURED = "nothing measured yet"
SECONDS = 3600
"""Seconds of an hour."""
MARKS = (
    "Against the row's control, the same pre-training without the augmentation (of a control: the untrained backbone):",
    "▲ ▼ higher or lower; ≈ as good as equal; ? undecided; ◇ one pre-training each: of these two checkpoints only.",
)
HOW_TO_READ = (
    "One row per pre-training, one column per task, protocol and metric.",
    "A plain number is one run. 62.5 ± 2.1 (3 × 5) is the mean of 3 pre-trainings, each the mean of 5 trials, ± the sample "
    "standard deviation over pre-trainings; with (1 × 5), over the trials of the only one.",
    "A mark compares a row with its control: the same pre-training without the augmentation, every other setting equal. A "
    "control is compared with the untrained backbone. What counts is how often the pre-training was repeated; trials make "
    "each of them more exact.",
    "▲ and ▼: different, higher or lower; the 95 % interval of the difference leaves out zero. It holds for all rows of a "
    "column together: where nothing differs, at most about 1 column in 20 has such a mark.",
    "≈: equivalent; the whole interval is closer to zero than the smallest difference of interest, half a point of a "
    "percentage and 0.02 of a cosine unless set otherwise.",
    "?: undecided; the interval holds zero and differences that matter, or one of the two rows was pre-trained once, so that "
    "more pre-trainings are needed, or no row shares every other setting.",
    "◇: one pre-training each; the difference is of these two checkpoints only, and says nothing of the augmentation.",
    "Runs of different protocols, versions, engines or data never share a column. * is not the published protocol.",
    "Bold are all rows that can't be told from the best of a column; no row is where the best mean is of one "
    "pre-training, or no other row was repeated.",
    f"{ABSENT} is absent. Percentages, but Linv and Ldiv are cosines, which explain a result and have no best.",
)


class Field(NamedTuple):
    """One column that describes the rows."""

    heading: str
    texts: tuple[str, ...]
    """One per row."""


def clean(text: str) -> str:
    """Put text on one line without control characters: names come from files of strangers."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def lines(text: str) -> str:
    """Remove control characters from text, keeping its lines and their indents."""
    return "\n".join(line[: len(line) - len(line.lstrip(" "))] + clean(line) for line in text.splitlines())


def number(value: float | None, digits: int) -> str:
    """Write a number, never −0; absent where there is none."""
    return ABSENT if value is None else f"{value:z.{digits}f}"


def signed(value: float | None, digits: int) -> str:
    """Write a number with its sign, `+0.4` or `−0.4`; absent where there is none."""
    if value is None:
        return ABSENT
    text = f"{value:+z.{digits}f}"
    return text.replace("-", "−")


def cell(found: Cell | None, metric: Metric) -> str:
    """Write a cell, `12.3` or `12.3 ± 0.4 (3 × 5)`; absent where nothing ran or nothing could be computed."""
    if found is None or found.std is None:
        return number(found.mean if found else None, metric.digits)
    return f"{number(found.mean, metric.digits)} ± {number(found.std, metric.digits)} ({times(found.count)})"


def times(found: Count) -> str:
    """Write pre-trainings × trials in short: `3 × 5`, or `3 × 4–5` where they have not equally many."""
    trials = f"{found.fewest}" if found.fewest == found.most else f"{found.fewest}–{found.most}"
    return f"{found.pretrainings} × {trials}"


def repetitions(found: Count) -> str:
    """Write pre-trainings × trials in words: `3 pre-trainings × 5 trials`."""
    pretrainings, trials = times(found).split(" × ")
    plural = "" if found.pretrainings == 1 else "s", "" if trials == "1" else "s"
    return f"{pretrainings} pre-training{plural[0]} × {trials} trial{plural[1]}"


def columns(board: Leaderboard, *, headline: bool = False) -> list[Column]:
    """List the columns people read; for `headline` a few of each protocol. Probes have tables of their own.

    A protocol without a headline metric shows its first one there.
    """
    shown = [column for column in board.columns if column.metric.shown and not column.probe]
    if not headline:
        return shown
    chosen = {column.index for column in shown if column.metric.headline}
    represented = {column.protocol.key for column in shown if column.index in chosen}
    for column in shown:
        if column.protocol.key not in represented:
            chosen.add(column.index)
            represented.add(column.protocol.key)
    return [column for column in shown if column.index in chosen]


def fields(row: Row) -> tuple[str, ...]:
    """Write the visible fields of a row under `FIELD_HEADINGS`."""
    key = row.key
    labels = ABSENT if key.label_fraction is None else f"{100 * key.label_fraction:g} %"
    epochs = ABSENT if key.epochs is None else f"{key.epochs:g}"
    method = f"{clean(key.method)} (untrained)" if row.baseline else clean(key.method)
    return (method, clean(key.aug), clean(key.supervision), labels, clean(key.arch), clean(key.data), epochs)


def descriptions(rows: Sequence[Row]) -> list[Field]:
    """Make the columns that describe the rows; the variant only where some rows need it, the cost only where one is known."""
    described = [Field(*pair) for pair in zip(FIELD_HEADINGS, zip(*map(fields, rows), strict=True), strict=True)]
    if any(row.variant for row in rows):
        described.append(Field("variant", tuple(clean(row.variant) or ABSENT for row in rows)))
    if any(row.cost is not None for row in rows):
        seconds = [None if row.cost is None else row.cost.wall_hours * SECONDS for row in rows]
        described.append(Field(COST_HEADING, tuple(number(value, 0) for value in seconds)))
    return described


def labels(rows: Sequence[Row]) -> list[str]:
    """Name each row in few words: by method and augmentation, and of the rest by what differs between the trained rows."""
    trained = [row.key for row in rows if not row.baseline]
    later = range(RowKey._fields.index("supervision"), VISIBLE)
    differing = [field for field in later if len({key[field] for key in trained}) > 1]
    return [_label(row, differing) for row in rows]


def _label(row: Row, differing: Sequence[int]) -> str:
    """Name a row; `differing` are the indices of the fields that tell trained rows apart."""
    texts = fields(row)
    more = []
    for field in differing:
        text, name = texts[field], RowKey._fields[field]
        fraction_is_plain = name == "label_fraction" and WHOLE.get(row.key.supervision) == row.key.label_fraction
        if name == "arch" or not (row.baseline or fraction_is_plain):
            unit = "epoch" if name == "epochs" and row.key.epochs == 1 else FIELD_HEADINGS[field]
            more.append(text if text[:1].isalpha() else f"{text} {unit}")
    first = texts[:1] if row.baseline else texts[:2]
    return " · ".join([*first, *more, *filter(None, [clean(row.variant)])])


def title(column: Column) -> str:
    """Write a metric's name with what the name doesn't say."""
    meaning = column.metric.meaning
    return clean(column.name) + (f" ({meaning})" if meaning else "")


def heading(protocol: Protocol) -> str:
    """Write a protocol's name over its columns."""
    return clean(protocol.heading)


def changes(protocol: Protocol) -> str:
    """Write what was changed from the published protocol, `batch = 4, iters = 300`; empty where nothing was."""
    return clean(", ".join(f"{name} = {_plain(value)}" for name, value in sorted(protocol.changed.items())))


def starred(protocol: Protocol) -> str:
    """Say what the star over a group of columns means; empty without one."""
    if not protocol.changed:
        return ""
    return "not the default settings" if protocol.key.task == REPRESENTATION else "not the published protocol"


def about(protocol: Protocol) -> list[tuple[str, str]]:
    """Describe a protocol as (word, text) pairs."""
    key = protocol.key
    pairs = [
        ("protocol", f"{key.protocol} version {key.version}"),
        ("changed", changes(protocol)),
        ("engine", key.engine),
        ("data", f"{key.data} ({sizes(protocol)})"),
        ("schedule", "; ".join(protocol.schedules)),
        ("note", "; ".join(protocol.notes)),
        ("in the CSV", protocol.id),
    ]
    return [(word, clean(text)) for word, text in pairs if text]


def sizes(protocol: Protocol) -> str:
    """Say how large the data is, and its fingerprint."""
    data = protocol.data
    if data is None:
        return UNMEASURED
    part = f", chosen from {data.chosen_from:,}" if data.chosen_from else ""
    counts = f"{data.train:,} training and {data.val:,} validation images, {counted(data.classes, 'class', 'classes')}{part}"
    return f"{counts}; fingerprint {protocol.key.fingerprint}"


def images(protocol: Protocol) -> str:
    """Say on how many images the metrics are computed."""
    return UNMEASURED if protocol.data is None else counted(protocol.data.val, "image")


def one_line(message: str) -> str:
    """Put an error's parts on one line."""
    return clean("; ".join(line.strip() for line in message.splitlines()))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

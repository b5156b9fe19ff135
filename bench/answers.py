"""What `--json` prints: one object for each command, whose fields are these. The text that a command prints is made of it, too.

Fields are only added to these. A change that an older reader would misread raises `schema_version`.
"""

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command answers."""

    schema_version: int = 1
    """Raised with every change that an older reader would misread."""

    def show(self) -> None:
        """Print it as one JSON object. What ASCII lacks is escaped, so that it is valid in every terminal's encoding."""
        print(json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False))


@dataclass(frozen=True)
class Entry:
    """A line of a list."""

    name: str
    """Its name, as options take it; of the details of one thing, what is said of it."""
    about: str
    """What it is."""
    value: Any = None
    """What `about` says in numbers, lists and mappings; null where it is a text alone."""


@dataclass(frozen=True, kw_only=True)
class Listed(Answer):
    """`bench ls`: a list, or the details of one thing in it."""

    what: str
    """The list."""
    name: str | None
    """The thing in it; null for the whole list."""
    entries: list[Entry]
    """Its lines, in their order."""


@dataclass(frozen=True)
class Finding:
    """A line of `bench doctor`."""

    what: str
    """What was looked for."""
    found: str
    """What was found."""
    to_do: str
    """What to do about it; empty where nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class Examined(Answer):
    """`bench doctor`: versions, devices, engines and data roots."""

    findings: list[Finding]
    """Its lines, in their order."""


@dataclass(frozen=True)
class Counted:
    """How much of something is in each split: a number, or of label maps a share of the labelled pixels in percent."""

    name: str
    """What is counted."""
    train: float
    """In the training images."""
    val: float
    """In the validation images."""


@dataclass(frozen=True)
class Wrong:
    """A kind of problem of a data set, with its first case."""

    wrong: str
    """What is wrong, with the path, in one line."""
    message: str
    """The same with what was seen, what is allowed and what to do."""
    cases: int
    """How many problems of this kind that file has."""


@dataclass(frozen=True, kw_only=True)
class Checked(Answer):
    """`bench data check`: what is in a data set, and what is wrong with it."""

    task: str
    """Whose data it is."""
    data: str
    """Its folder or files."""
    layout: str
    """The layout that it was read in."""
    good: bool
    """Whether nothing is wrong; otherwise a run would stop, and the exit code is 2."""
    looked: Literal["images", "headers", "lists"]
    """How far: every image was decoded, or its header read, or none was opened."""
    made: int | None
    """Label maps of training ids that were made; null without `--make`."""
    counts: list[Counted]
    """Counts of the whole data set."""
    classes: list[Counted]
    """Counts of each class, in the order of the labels."""
    unit: str
    """What is counted of classes."""
    notes: list[str]
    """What to know: it changes the training or the metric, and stops no run. Also copies, with `--duplicates`."""
    problems: list[Wrong]
    """What is wrong: of the first kinds of problems the first case."""
    problem_count: int
    """How many problems there are in all."""


@dataclass(frozen=True)
class Number:
    """A number of the leaderboard as the terminal shows it, without rounding."""

    row: str
    """Name of the pre-training."""
    task: str
    """Heading of its column; with * it is not the published protocol."""
    protocol: str
    """Id of its protocol, as in the other files: with it columns of one heading are told apart."""
    metric: str
    """Name of the metric."""
    better: Literal["higher", "lower"] | None
    """Which end is the better one; null: neither."""
    mean: float | None
    """Mean over pre-trainings; null where it could not be computed."""
    std: float | None
    """Standard deviation over pre-trainings, of a single one over its trials; null where nothing was repeated."""
    pretrainings: int
    """How many pre-trainings it is the mean of."""
    trials: int
    """Trials of the pre-training that has the fewest."""
    best: bool
    """Whether it can't be told from the best of its column."""
    mark: str
    """▲, ▼, ≈, ? or ◇, its difference to the baseline; empty without one."""
    answer: str | None
    """The mark in words: different, equivalent, undecided, two checkpoints, or no control."""
    against: str | None
    """Name of the row that it is compared with."""
    difference: float | None
    """Its mean minus that of this row."""
    low: float | None
    """Lower end of the difference's 95 % interval, for all comparisons of a column together."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True)
class Judged:
    """A claim of the sources, and what these runs say of it."""

    claim: str
    """The claim, with its source."""
    verdict: str
    """supported, contradicted, or undecided."""
    standing: str
    """On how many of its planned units it stands; empty without a study."""


@dataclass(frozen=True)
class LeftOut:
    """A record or folder that could not be read."""

    path: str
    """Which."""
    message: str
    """Why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Reported(Answer):
    """`bench report`: what it decides, and where its files are; `leaderboard.json` among them has all of it."""

    written: list[str]
    """The files."""
    records: int
    """How many records were read."""
    notice: str | None
    """What holds for all numbers, such as that they are of generated data."""
    rows: list[str]
    """Names of the pre-trainings, in the order of the table."""
    numbers: list[Number]
    """The numbers of the terminal's table, column by column."""
    prediction: str
    """Whether the representation predicts transfer."""
    claims: list[Judged]
    """The claims of the sources."""
    study: Mapping[str, Any] | None
    """With `--study`: its cells by state, as `coverage` of `leaderboard.json`."""
    left_out: list[LeftOut]
    """What could not be read; the exit code is 2 where there is any."""


@dataclass(frozen=True)
class Changed:
    """A cell of the leaderboard that is not the same in two folders of runs."""

    row: str
    """Name of the pre-training."""
    task: str
    """Heading of its column."""
    protocol: str
    """Id of its protocol."""
    metric: str
    """Name of the metric."""
    change: Literal["new", "gone", "changed"]
    """What became of it."""
    before: float | None
    """Its mean in the first folder."""
    after: float | None
    """Its mean in the second one."""


@dataclass(frozen=True, kw_only=True)
class Compared(Answer):
    """`bench report --diff`: what changed from one folder of runs to another."""

    changes: list[Changed]
    """The cells that are not the same."""
    same: int
    """How many are."""
    left_out: list[LeftOut]
    """What could not be read; the exit code is 2 where there is any."""


ANSWERS: dict[str, type[Answer]] = {
    "bench ls": Listed,
    "bench doctor": Examined,
    "bench data check": Checked,
    "bench report": Reported,
    "bench report --diff": Compared,
}
"""Command → what `--json` prints."""


def parts(answer: type) -> Iterator[type]:
    """Yield an answer's class, and those of what it consists of."""
    yield answer
    for kind in typing.get_type_hints(answer).values():
        for each in typing.get_args(kind):
            if dataclasses.is_dataclass(each):
                yield from parts(typing.cast(type, each))

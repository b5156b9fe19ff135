"""What a study is made of: cells, each one plain command, and the backbones that they make or need."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from bench.selection import ALL, Selection
from bench.study import records
from bench.study.file import Resource

BACKBONE = "backbone.pth"
CONVERT: Final = "convert"
"""Kind and task of a conversion."""


def backbone_name(epoch: int | None) -> str:
    """Name the file of a pre-training's backbone after an epoch; None: of the last one."""
    return BACKBONE if epoch is None else f"backbone-{epoch:04d}.pth"


@dataclass(frozen=True)
class Subject:
    """A backbone that is evaluated: a pre-training's, after an epoch or at its end, or one of elsewhere."""

    key: str
    """What tells it from others: the id of its pre-training, or its address."""
    values: Mapping[str, Any]
    """Settings of its pre-training by their names, for `where`; empty for one of elsewhere."""
    name: str
    """For the names of folders."""
    checkpoint: str
    """What `--ckpt` is given."""
    epoch: int | None = None
    """Of a backbone on the way; None: the last one."""
    pretraining: str | None = None
    """Id of the cell that makes it, which may be a conversion; None: it is made elsewhere."""
    rank: int = 0
    """Which of its block's seeds it has, from 0."""
    block: str = ""
    """The block that names it; its address, if none does: an untrained one's without the seed."""
    hint: str = ""
    """How it is made, if the file says so of one of elsewhere."""


@dataclass(frozen=True)
class Cell:
    """One run of a study: a plain command, and what tells its record from others."""

    id: str
    kind: Literal["pretrain", "convert", "transfer", "measure"]
    task: str
    """`pretrain`, `convert`, or the protocol."""
    arguments: tuple[str, ...]
    """Of the command, without checkpoint and folder."""
    folder: Path
    """Its run folder."""
    says: Mapping[str, Any]
    """What its record says of the run: the fields of `bench.study.records.SAID`."""
    data: str
    """As `--data` takes it."""
    layout: str
    """Layout of the data."""
    values: Mapping[str, Any]
    """What `when` and `first` are compared with: `kind`, `task`, settings of the pre-training."""
    rank: int
    """Which repetition it is: that of its seed or its trial, the larger one, from 0."""
    subject: Subject | None = None
    """What it evaluates or converts; None for a pre-training."""
    epochs: int = 0
    """Of a pre-training."""
    settings: Any = None
    """Of a pre-training: its `PretrainConfig`; of a task: its settings."""
    selection: Selection = ALL
    """Of a task or a measure: the classes that it reads."""
    resource: Resource = field(default_factory=Resource)
    first: int = 0
    """Which condition of `order.first` it fits, from 0."""
    blocks: tuple[str, ...] = ()
    """The blocks that name it."""

    @cached_property
    def protocol(self) -> str:
        """Return the digest of what its record says of the run, backbone and data aside."""
        return records.protocol(self.says)

    @property
    def needs(self) -> str | None:
        """Return the id of the pre-training or the conversion that must come before."""
        return None if self.subject is None else self.subject.pretraining

    @property
    def path(self) -> Path:
        """Return the file of the backbone that a pre-training or a conversion ends with."""
        return self.folder / BACKBONE

    @property
    def output(self) -> Path:
        """Return the file that its command writes last, and whole."""
        return self.folder / (f"{BACKBONE}.json" if self.kind == CONVERT else records.RESULT)

    def command(self, checkpoint: str | None = None) -> tuple[str, ...]:
        """Return the words of the command; `checkpoint` is where the backbone lies, if it was found elsewhere."""
        subject = () if self.subject is None else ("--ckpt", checkpoint or self.subject.checkpoint)
        out = self.path if self.kind == CONVERT else self.folder
        return ("bench", self.kind, *self.arguments, *subject, "--out", str(out))

    def line(self, checkpoint: str | None = None) -> str:
        """Return the command as a person types it."""
        return shlex.join(self.command(checkpoint))

"""What a study converts → cells: backbones with rescaled norms, each one plain `bench convert`, which evaluations follow.

A conversion leaves no record. It is done when `OUT.json` beside its file says that it was made of these weights by this anchor.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.study import records
from bench.study.cells import CONVERT, Cell, Subject
from bench.study.file import Conversion, Study
from bench.study.problems import Problems
from pretrain.core.errors import CheckpointError, ConfigError
from pretrain.core.settings import digest
from transfer.sources.addresses import SCHEMES

TO = "torchvision"
"""Whose layout the files are in: one that `bench transfer` reads, with `OUT.json`, as what it is."""


@dataclass
class Conversions:
    """All conversions of a study, by id, and the backbones of each block."""

    study: Study
    members: dict[str, list[Subject]]
    """Block → its backbones; the blocks of conversions are added."""
    problems: Problems
    found: dict[str, Cell] = field(default_factory=dict)

    def read(self) -> None:
        """Expand every block; what is wrong is noted."""
        pretrained = dict(self.members)
        for name, block in self.study.convert.items():
            with self.problems.noting(f"convert: {name}"):
                if name in pretrained:
                    raise ConfigError("a block of `pretrain:` has this name, too", seen=name, fix="choose another")
                self.members[name] = []
                self.members[name] = list(self._block(name, block, pretrained))

    def _block(self, name: str, block: Conversion, pretrained: Mapping[str, list[Subject]]) -> Iterator[Subject]:
        for of in block.of:
            if of not in pretrained:
                raise ConfigError.unknown("block in of:", of, pretrained)
            for subject in pretrained[of]:
                for label, anchor in block.norm_rescale.items():
                    yield self._add(name, subject, label, str(anchor), block.scope)

    def _add(self, block: str, subject: Subject, label: str, anchor: str, scope: str) -> Subject:
        key = digest([CONVERT, subject.key, subject.epoch, anchor, scope])
        if key not in self.found:
            epoch = "" if subject.epoch is None else f"-e{subject.epoch}"
            folder = Path(self.study.runs) / f"{CONVERT}-{subject.name}{epoch}-by-{label}-{key}"
            self.found[key] = _cell(key, subject, folder, anchor, scope)
        mine = self.found[key]
        self.found[key] = dataclasses.replace(mine, blocks=tuple(dict.fromkeys([*mine.blocks, block])))
        path = str(mine.path)
        return Subject(key, subject.values, f"{subject.name}-by-{label}", path, None, key, subject.rank, block)


def _cell(key: str, subject: Subject, folder: Path, anchor: str, scope: str) -> Cell:
    rescaled = {"norm_rescale": anchor, "scope": scope}
    return Cell(
        id=key,
        kind=CONVERT,
        task=CONVERT,
        arguments=("--to", TO, "--norm-rescale", anchor, "--scope", scope),
        folder=folder,
        says={"kind": CONVERT, "protocol": CONVERT, "version": 1, "changed": rescaled, "engine": CONVERT, "seed": None},
        data="",
        layout="",
        values={**subject.values, "kind": CONVERT, "task": CONVERT, "protocol": CONVERT},
        rank=subject.rank,
        subject=subject,
    )


def is_done(cell: Cell, checkpoint: str) -> bool:
    """Return whether a conversion's file is there, made as the cell says of what its checkpoint and its anchor are now.

    A checkpoint or an anchor that is not here any more, or was fetched, is taken as it was.
    """
    try:
        said = json.loads(cell.output.read_bytes())
        rescaled, source = said["norm_rescale"], said["source"]
        known = {"norm_rescale": rescaled["anchor"], "scope": rescaled["scope"]}
        digests = {checkpoint: source["sha256"], known["norm_rescale"]: rescaled["anchor_sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    same = all(records.sha256(Path(path)) in (None, of) for path, of in digests.items())
    return cell.path.is_file() and known == cell.says["changed"] and same


def missing_anchor(cell: Cell) -> CheckpointError | None:
    """Return the error for an anchor whose file is not there; None where it is, is fetched, or is a number."""
    anchor: Any = cell.says["changed"]["norm_rescale"]
    try:
        float(anchor)
    except ValueError:
        if anchor.partition(":")[0] not in SCHEMES and not Path(anchor).exists():
            return CheckpointError(f"no anchor at {anchor}", fix="put it there, or mend its path")
    return None

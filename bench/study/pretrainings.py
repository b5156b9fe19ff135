"""Blocks of pre-trainings → their cells, each once however many blocks name it, and the backbones that blocks have."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.options import Setup
from bench.study.cells import Cell, Subject, backbone_name
from bench.study.data import DataHere
from bench.study.file import FINAL, Block, Every, Study
from bench.study.problems import Problems
from bench.study.words import OPTIONS, combinations, fits, named, require_known, typed
from bench.verbs import pretrain_settings
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError
from pretrain.core.settings import digest

PRETRAIN = "pretrain"
DEVICE = "cpu"
"""Settings are resolved without one: a study names its precision."""


@dataclass
class Pretraining:
    """One pre-training, and what blocks ask of it."""

    id: str
    settings: PretrainConfig
    words: list[str]
    changed: dict[str, Any]
    values: dict[str, Any]
    rank: int
    blocks: list[str] = field(default_factory=list)
    keep: set[int] = field(default_factory=set)
    """Epochs whose backbones are kept on the way."""


@dataclass
class Pretrainings:
    """All pre-trainings of a study, by id, and the backbones of each block."""

    study: Study
    problems: Problems
    found: dict[str, Pretraining] = field(default_factory=dict)
    members: dict[str, list[Subject]] = field(default_factory=dict)
    _published: dict[str, PretrainConfig] = field(default_factory=dict)
    _data: DataHere = field(default_factory=DataHere)

    def read(self) -> None:
        """Expand every block; what is wrong is noted."""
        for name, block in self.study.pretrain.items():
            self.members[name] = []
            if block.files:
                self.members[name] = [_elsewhere(label, file, name, block.hint) for label, file in block.files.items()]
            elif PRETRAIN not in self.study.data:
                self.problems.note("data: says no `pretrain:`, the images to pre-train on")
            else:
                self._block(name, block)

    def cells(self) -> Iterator[Cell]:
        """Make the cells, in the order of the file."""
        for each in self.found.values():
            settings, data = each.settings, self.study.data[PRETRAIN]
            words = [*each.words, "--seed", str(settings.seed), "--data", data]
            if each.keep:
                words += ["--keep-every", str(math.gcd(*each.keep))]
            yield Cell(
                id=each.id,
                kind="pretrain",
                task=PRETRAIN,
                arguments=tuple(words),
                folder=self._folder(each),
                says={
                    "kind": PRETRAIN,
                    "protocol": settings.method.name,
                    "version": settings.method.version,
                    "changed": self._changed(each),
                    "engine": PRETRAIN,
                    "seed": settings.seed,
                },
                data=data,
                layout="imagefolder",
                values={"kind": PRETRAIN, "task": PRETRAIN, **each.values},
                rank=each.rank,
                epochs=settings.recipe.epochs,
                blocks=tuple(each.blocks),
                settings=settings,
            )

    def _changed(self, each: Pretraining) -> dict[str, Any]:
        """What its record says that was changed: where the iterations are kept, the data says how many epochs that makes."""
        if not each.settings.keep_iterations:
            return each.changed
        lengthened = self._data.lengthened(each.settings, self.study.data[PRETRAIN])
        return lengthened.differences(self._published[each.settings.method.name])

    def _block(self, name: str, block: Block) -> None:
        left_out, before = [False] * len(block.without), len(self.problems.found)
        known: set[str] = set()
        said: set[str] = set()
        for chosen in combinations(block.grid, block.zip):
            where = f"pretrain: {name}" + (f", {_said(chosen)}" if chosen else "")
            with self.problems.noting(where, said):
                options = {**block.set, **chosen}
                settings = self._settings(block, options)
                for rank, seed in enumerate(block.seed_list):
                    one = settings.model_copy(update={"seed": seed})
                    values = named(one, {**options, "seed": seed})
                    known |= values.keys()
                    matching = [fits(values, condition) for condition in block.without]
                    left_out = [did or does for did, does in zip(left_out, matching, strict=True)]
                    if not any(matching):
                        self._add(name, block, options, one, values, rank)
        self._check_exceptions(name, block, left_out, known)
        if block.hint and len(self.problems.found) > before:
            self.problems.hints.append(f"pretrain: {name}: {block.hint}")

    def _settings(self, block: Block, options: Mapping[str, Any]) -> PretrainConfig:
        setup = Setup(config=block.config, budget=self.study.budget)
        given = {**options, "precision": self.study.precision, "seed": block.seed_list[0]}
        published, settings = pretrain_settings.configuration(given, setup, self.study.data[PRETRAIN], DEVICE)
        self._published.setdefault(settings.method.name, published)
        return settings

    def _add(
        self, name: str, block: Block, options: dict[str, Any], settings: PretrainConfig, values: dict[str, Any], rank: int
    ) -> None:
        method, data = settings.method, self.study.data[PRETRAIN]
        changed = settings.differences(self._published[method.name])
        key = digest([PRETRAIN, method.name, method.version, changed, settings.precision, data])
        if key not in self.found:
            words = [*_config(block), *_budget(self.study), *typed({**options, "precision": settings.precision}, OPTIONS)]
            self.found[key] = Pretraining(key, settings, words, changed, values, rank)
        mine = self.found[key]
        mine.rank = min(mine.rank, rank)
        if name not in mine.blocks:
            mine.blocks.append(name)
        for epoch in _epochs(block, settings.recipe.epochs):
            if epoch is not None:
                mine.keep.add(epoch)
            checkpoint = str(self._folder(mine) / backbone_name(epoch))
            subject = Subject(key, values, _name(settings), checkpoint, epoch, key, rank, name)
            self.members[name].append(subject)

    def _folder(self, each: Pretraining) -> Path:
        data = Path(self.study.data[PRETRAIN]).name
        return Path(self.study.runs) / f"pretrain-{_name(each.settings)}-{data}-s{each.settings.seed}-{each.id}"

    def _check_exceptions(self, name: str, block: Block, left_out: list[bool], known: set[str]) -> None:
        for condition, did in zip(block.without, left_out, strict=True):
            where = f"pretrain: {name}, except"
            with self.problems.noting(where):
                if known:
                    require_known(condition, known, where)
                if known and not did:
                    raise ConfigError("it leaves nothing out", seen=_said(condition), fix="drop it, or mend its values")


def _epochs(block: Block, last: int) -> list[int | None]:
    """List the epochs whose backbones a block has; None for the last one.

    Raises:
        ConfigError: If one comes after the last.
    """
    if isinstance(block.checkpoints, Every):
        return [*range(block.checkpoints.every, last, block.checkpoints.every), None]
    late = [epoch for epoch in block.checkpoints if epoch != FINAL and int(epoch) > last]
    if late:
        raise ConfigError("checkpoints after the last epoch", seen=late, allowed=f"1 to {last}, or {FINAL}")
    return list(dict.fromkeys(None if epoch in (FINAL, last) else int(epoch) for epoch in block.checkpoints))


def _elsewhere(label: str, file: str, block: str, hint: str) -> Subject:
    return Subject(file, {}, label, file, block=block, hint=hint)


def _name(settings: PretrainConfig) -> str:
    return "-".join((settings.method.name, settings.aug, settings.supervision, settings.arch))


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items())


def _config(block: Block) -> list[str]:
    return [] if block.config is None else ["--config", block.config]


def _budget(study: Study) -> list[str]:
    return [] if study.budget is None else ["--budget", study.budget]

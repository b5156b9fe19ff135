"""The study file: blocks of pre-trainings, what is evaluated of them, and what a cell needs of a machine. Needs no torch."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator, model_validator

from bench.study.problems import Problems
from bench.study.slurm.settings import Job, Slurm
from bench.study.times import Span
from pretrain.core.plain import read_yaml
from pretrain.core.settings import Settings

FINAL = "final"
"""In `checkpoints`: the backbone that a pre-training ends with."""
Fields = dict[str, Any]
Values = Annotated[list[Any], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _listed(value: Any) -> Any:
    """Read a single value as a list of one."""
    return value if isinstance(value, list) else [value]


Words = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]


def _label(value: str) -> str:
    """Refuse what can't be a part of a folder's name everywhere, such as a slash."""
    if not re.fullmatch(r"[\w.-]+", value):
        raise ValueError(f"{value!r} is no label: letters, digits, _, . and - make one")
    return value


Label = Annotated[str, AfterValidator(_label)]
"""A name that becomes a part of the names of folders."""
Epoch = PositiveInt | Literal["final"]


class Every(Settings):
    """Backbones on the way at even distances."""

    every: PositiveInt
    """Epochs between them; the last one comes with them."""


class Block(Settings):
    """Pre-trainings that differ in the fields of `grid` and `zip`; or `files`, which were pre-trained elsewhere."""

    set: Fields = {}
    """Fields of all of them, as `bench pretrain --set` takes them."""
    config: str | None = None
    """As `bench pretrain --config`."""
    grid: dict[str, Values] = {}
    """Field → values, all combined with all."""
    zip: dict[str, Values] = {}
    """Field → values, the first ones together, then the second ones, and so on."""
    seeds: PositiveInt | Annotated[list[Seed], Field(min_length=1)] = 1
    """How many, counted from 0, or which."""
    without: list[Fields] = Field([], alias="except")
    """Combinations that are left out: those with all of these values."""
    checkpoints: Every | Annotated[list[Epoch], Field(min_length=1)] = ["final"]
    """Epochs whose backbones are evaluated, `final` among them; or {every: 50}."""
    hint: str = ""
    """How what the block needs is made; said with what is wrong with it."""
    files: dict[Label, str] = {}
    """Label → checkpoint, as `--ckpt` takes it: instead of all of the above."""

    @property
    def seed_list(self) -> list[int]:
        """Return the seeds, the first one first."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.files and self.model_fields_set - {"files", "hint"}:
            raise ValueError("files were pre-trained elsewhere: a block of files has nothing else but a hint")
        if "seed" in {*self.set, *self.grid, *self.zip}:
            raise ValueError("the seeds of a block are said by `seeds: 3` or `seeds: [0, 7]`")
        lengths = {name: len(values) for name, values in self.zip.items()}
        if len({*lengths.values()}) > 1:
            raise ValueError(f"zip needs lists of one length, and these have {lengths}")
        if double := {*self.set} & {*self.grid} | {*self.set} & {*self.zip} | {*self.grid} & {*self.zip}:
            raise ValueError(f"said twice: {', '.join(sorted(double))}")
        return self


class Conversion(Settings):
    """Backbones of some blocks with rescaled norms."""

    of: Words
    """Blocks of `pretrain`."""
    norm_rescale: Annotated[dict[Label, float | str], Field(min_length=1)]
    """Label → anchor, as `bench convert --norm-rescale` takes it: a factor, or a checkpoint."""
    scope: Literal["params", "all"] = "params"
    """What is rescaled, as `--scope`."""


class Measure(Settings):
    """What `bench measure` is asked for."""

    probe: Words = ["none"]
    """Augmentations that are looked through."""
    sweep: dict[str, Values] = {}
    """One field of the probe → its values."""

    @field_validator("sweep")
    @classmethod
    def _single(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if len(sweep) > 1:
            raise ValueError("one field at a time")
        return sweep


class Evaluation(Settings):
    """What is done with the backbones of some blocks."""

    of: Words
    """Blocks of `pretrain` or `convert`, or addresses of checkpoints such as random:resnet50."""
    where: Fields = {}
    """Field → value, or values, of the pre-trainings that are taken; null is a file's."""
    task: Annotated[list[str], BeforeValidator(_listed)] = []
    """Tasks, as `bench transfer --task` takes them."""
    measure: Measure | None = None
    """Instead of tasks: measures of the representation."""
    engine: str | None = None
    """Of the tasks; None: the first of each that is installed, which may differ between machines."""
    trials: PositiveInt = 1
    """Seeds of the evaluation, counted from 0."""
    set: Fields = {}
    """Fields of the settings of the task or the measure; and `classes`, `label_map`, as `--classes` and `--label-map`."""
    grid: dict[str, Values] = {}
    """Field → values, all combined with all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.task) == (self.measure is not None):
            raise ValueError("either `task` or `measure`")
        if double := {*self.set} & {*self.grid}:
            raise ValueError(f"said twice: {', '.join(sorted(double))}")
        return self


class Resource(Settings):
    """What some cells need; the first entry that fits a cell is its own."""

    when: Fields = {}
    """Field → value, or values: `kind` (pretrain, convert, transfer, measure), `task`, or a field of the pre-training."""
    devices: PositiveInt = 1
    """GPUs, or processes on CPUs."""
    nodes: PositiveInt = 1
    """Machines."""
    cpus: PositiveInt | None = None
    """Processor cores; None: as many as there are for each device."""
    memory: str | None = Field(None, pattern=r"\d+[KMGT]")
    """Main memory, such as 60G."""
    time: Span | None = None
    """Longest time of a cluster's job."""
    slurm: Job = Job()
    """What Slurm is told of these cells in the place of what `slurm` says of all."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.devices % self.nodes:
            raise ValueError(f"{self.devices} devices can't be shared out evenly to {self.nodes} nodes")
        return self


class Order(Settings):
    """In which order cells are started."""

    first: list[Fields] = []
    """Conditions as in `when`: cells that fit the first one come before all others, then those of the second."""
    policy: Literal["gangs", "written"] = "gangs"
    """Within that and the seeds: most devices first, then the longest remaining path; or as the file is written."""


class Study(Settings):
    """A whole study file."""

    study: str = Field(pattern=r"[a-z0-9][a-z0-9-]*")
    """Its name: the folder of this name beside the file holds attempts and logs."""
    runs: str = "runs"
    """Folder of the run folders."""
    data: dict[str, str]
    """`pretrain` or a layout (imagefolder, voc, coco, cityscapes) → the data, as `--data` takes it."""
    precision: Literal["bf16", "fp32"]
    """Of all pre-trainings: it is part of their identity, and machines would choose differently."""
    budget: Literal["small"] | None = None
    """As `--budget`."""
    pretrain: dict[str, Block] = {}
    """Name → block."""
    convert: dict[str, Conversion] = {}
    """Name → block of converted backbones."""
    evaluate: list[Evaluation] = []
    """What is done with them."""
    resources: list[Resource] = []
    """What cells need of a machine."""
    order: Order = Order()
    """What comes first."""
    retries: int = Field(2, ge=0)
    """Times that a cell is started again after a fault of the machine."""
    remake: bool = False
    """Whether a pre-training is done again whose backbone an evaluation needs and nobody kept."""
    slurm: Slurm = Slurm()
    """What `--on slurm` is told."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := [name for name in self.slurm.stage if name not in self.data.values()]:
            raise ValueError(
                f"slurm: stage: {unknown[0]!r} is none of the data: {', '.join(dict.fromkeys(self.data.values()))}"
            )
        return self


def read(path: Path) -> Study:
    """Read a study file; what its blocks mean is checked by `bench.study.plan`.

    Raises:
        ConfigError: If it can't be read, or with everything that is wrong in it.
    """
    problems = Problems(path)
    study = _parts(read_yaml(path), problems)
    problems.require_none()
    return study


def _parts(values: dict[str, Any], problems: Problems) -> Study:
    """Read the parts of a file one by one, so that what is wrong in one hides nothing in another."""
    parts = dict(values)
    for key, block_kind in (("pretrain", Block), ("convert", Conversion)):
        blocks = parts.get(key, {})
        if isinstance(blocks, dict):
            named = {name: block for name, block in blocks.items() if _named(name, problems)}
            parts[key] = {name: problems.read(block_kind, block, f"{key}: {name}") for name, block in named.items()}
    resources = parts.get("resources", [])
    if isinstance(resources, list):
        numbered = enumerate(resources, 1)
        parts["resources"] = [_inner(each, "slurm", Job, f"resources, entry {n}", problems) for n, each in numbered]
    for key, kind in (("evaluate", Evaluation), ("resources", Resource)):
        entries = parts.get(key, [])
        if isinstance(entries, list):
            parts[key] = [problems.read(kind, entry, f"{key}, entry {n}") for n, entry in enumerate(entries, 1)]
    parts = _inner(parts, "slurm", Slurm, "", problems)
    if problems.found:  # a part that could not be read is none: only what stands beside the parts is checked yet
        parts |= {"pretrain": {}, "convert": {}, "evaluate": [], "resources": []}
        parts.pop("slurm", None)
    return problems.read(Study, parts, "the study")


def _inner(values: Any, key: str, kind: type[Settings], where: str, problems: Problems) -> Any:
    """Read settings that lie within others, so that a wrong key of theirs is named with the nearest one."""
    if not isinstance(values, dict) or key not in values:
        return values
    return {**values, key: problems.read(kind, values[key], ", ".join(filter(None, [where, key])))}


def _named(name: Any, problems: Problems) -> bool:
    if isinstance(name, str) and re.fullmatch(r"[\w-]+", name):
        return True
    problems.note(f"{name!r} is no name of a block: letters, digits, _ and - make one")
    return False

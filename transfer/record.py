"""The schema of `result.json`: one immutable file per finished run, from which every table is computed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from pretrain.core.atomic import replacing
from pretrain.core.errors import RecordError
from pretrain.core.settings import Settings, digest
from pretrain.provenance import Provenance
from transfer.metrics import metric

SCHEMA_VERSION = 2


class Checkpoint(Settings):
    """The backbone a number was measured on."""

    sha256: str
    """Of the checkpoint file."""
    source: str
    """Line of `transfer.sources.SOURCES` that recognised it; `bench` for our own files, `random` for an untrained one."""
    branch: str = "online"
    """Which of a pair of encoders it is: `online` or `momentum`."""
    address: str | None = None
    """Where its file was fetched from, as `--ckpt` named it; null for a file of the user's own."""
    revision: str | None = None
    """The commit that the address was resolved to, where it has such."""
    provenance: Provenance
    """Where it came from."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it is read, where that is not the usual: fields of `transfer.sources.recipe.Recipe`."""
    assumed: tuple[str, ...] = ()
    """Fields of that recipe that neither the file nor its neighbours nor the user say."""

    @property
    def identity(self) -> str:
        """Tell it from other backbones."""
        return identity_of(self.sha256, self.recipe)


def identity_of(sha256: str, recipe: Mapping[str, Any]) -> str:
    """Return what tells a backbone from others: its digest; where it is read in an unusual way, a digest of that with it."""
    return digest({"checkpoint": sha256, "recipe": recipe}) if recipe else sha256


class Data(Settings):
    """The data a number was measured on; for a pre-training, the data it was trained on."""

    name: str
    """Name of the data set."""
    layout: str
    """For instance `voc`."""
    fingerprint: str
    """Digest of its content, independent of where it lies."""
    train: int
    """Training images."""
    val: int
    """Images the metric is computed on."""
    classes: int
    """Number of classes."""
    chosen_from: int | None = None
    """Classes that there are, where a part of them was chosen; null where all were taken."""


class Probe(Settings):
    """The augmentation that a measure of the representation looked through."""

    augmentation: str
    """As in `bench measure --probe`."""
    options: dict[str, Any]
    """All its fields, those that were not given too."""
    meanings: dict[str, str] = Field(default_factory=dict)
    """What a field is, with its unit."""


class Environment(Settings):
    """What the run ran on."""

    versions: dict[str, str]
    """Package → version."""
    commit: str | None
    """Git commit of this project, with `+` if the tree was changed; null outside a checkout."""
    hardware: str
    """Processor or accelerator, in words."""
    threads: int
    """CPU threads used."""
    devices: int = 1
    """Processes that worked together, each on a device of its own."""
    tf32: dict[str, bool] | None = None
    """Which operations on fp32 numbers a GPU did in TF32; null on a CPU, and where a record is older."""


class RunFields(Settings):
    """What a run yields itself: the part of its record that is known before the environment is read."""

    schema_version: Literal[2] = 2
    """Version of this schema."""
    kind: Literal["pretrain", "transfer", "measure"]
    """What ran."""
    task: str
    """A name of `transfer.tasks.TASKS`; `pretrain` or `representation` for the other kinds."""
    protocol: str
    """The protocol's name; a task's own, where nothing was changed."""
    version: int
    """The protocol's version."""
    changed: dict[str, Any] = Field(default_factory=dict)
    """What differs from the published protocol; empty only for the published protocol itself."""
    engine: str
    """Engine that ran it."""
    schedule: str
    """In words: iterations, images per batch, learning rate."""
    checkpoint: Checkpoint
    """The backbone measured; for a pre-training, the backbone made."""
    data: Data
    """The data."""
    seed: int
    """Seed of this run (the checkpoint's own seed is in its provenance)."""
    metrics: dict[str, float | None]
    """Flat, each in the unit and range of `transfer.metrics`. Null: could not be computed; never 0 for absent."""
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """95 % intervals of metrics that were measured on a sample, for instance by a bootstrap over images."""
    probe: Probe | None = None
    """Of a measure of the representation under an augmentation: which, and how strong."""
    proof: dict[str, float] = Field(default_factory=dict)
    """What showed that the engine's model was the backbone."""
    notes: tuple[str, ...] = ()
    """What a reader of the number must know."""
    images_per_second: float | None = None
    """Training images per second, where the run trained."""

    @field_validator("metrics")
    @classmethod
    def _in_range(cls, metrics: dict[str, float | None]) -> dict[str, float | None]:
        for name, value in metrics.items():
            declared = metric(name)
            if value is not None and not declared.allows(value):
                low, high = declared.scale.low, declared.scale.high
                raise ValueError(f"metric {name} is {value}; finite values from {low:g} to {high:g}, or null where absent")
        return metrics


class RunRecord(RunFields):
    """One finished run."""

    environment: Environment
    """Versions and hardware."""
    wall_seconds: float
    """Duration of the work, data generation aside."""
    peak_memory_mib: float
    """Largest resident memory of the process so far, in MiB."""
    peak_gpu_mib: float | None = None
    """Most memory of its GPU that the process held, in MiB; null on a CPU."""
    finished: str
    """When it was done, ISO 8601, UTC."""
    command: str
    """The exact command."""

    @property
    def identity(self) -> str:
        """Digest of what ran; two records of one identity are the same measurement made twice."""
        names = ("kind", "task", "protocol", "version", "changed", "engine", "seed")
        plain = {name: getattr(self, name) for name in names}
        return digest(plain | {"checkpoint": self.checkpoint.identity, "data": self.data.fingerprint})


def write(record: RunRecord, path: Path) -> None:
    """Write a record whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode())


def read(path: Path) -> RunRecord:
    """Read a record.

    Raises:
        RecordError: If the file is broken, of another schema version, or a metric is out of range; names the path.
    """
    try:
        text = path.read_bytes()
        record = RunRecord.model_validate_json(text)
    except OSError as error:
        raise RecordError(f"can't read the record {path}", seen=error, fix="run that command again") from None
    except ValidationError as error:
        raise _broken(path, text, error) from None
    if "schema_version" not in record.model_fields_set:
        raise _of_another_version(path, None)
    return record


def _broken(path: Path, text: bytes, error: ValidationError) -> RecordError:
    """What is wrong with a record that did not validate, the root of it first."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as unreadable:
        return RecordError(f"can't read the record {path}", seen=unreadable, fix="run that command again")
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version != SCHEMA_VERSION:
        return _of_another_version(path, version)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return RecordError(f"{path} is not a whole record: {place}", seen=first["msg"])


def _of_another_version(path: Path, version: object) -> RecordError:
    """Make the error for a record of another schema: a former version's, a later one's, or none."""
    fix = "run that command again, or read it with the version that wrote it"
    return RecordError(f"{path} has an unknown schema version", seen=version, allowed=SCHEMA_VERSION, fix=fix)

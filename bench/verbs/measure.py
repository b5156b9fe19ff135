"""`bench measure`: invariance and diversity of a backbone's features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import places
from bench.options import READING, SETUP, SMALL, Place, Reading, Setup
from bench.selection import ALL, Selection
from bench.verbs import Finished, Plan, Produced
from bench.verbs.execute import execute
from bench.verbs.recording import account, audited, checkpoint_ref, introduce, notes, remarks, slug
from pretrain.core import distributed
from pretrain.core.errors import ConfigError
from pretrain.core.group import group
from pretrain.core.journal import Journal, Progress
from pretrain.core.settings import assignments
from pretrain.images.skipping import Ledger, Skipped
from transfer.board.columns import REPRESENTATION
from transfer.datasets import imagefolder
from transfer.datasets.imagefolder import ClassificationData
from transfer.metrics import METRICS
from transfer.record import RunFields
from transfer.representation import measure
from transfer.representation.features import reading_note
from transfer.representation.measure import MeasureSettings
from transfer.sources import Backbone

SWEEP_FORM = "field=value,value,... such as side=0.1,0.3,0.5"
BY_PART = tuple(name for name, metric in METRICS.items() if metric.by_part)
"""Metrics that are logged of disjoint parts of the images."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What to measure, as asked for."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `MeasureSettings`."""
    splits: int = 1
    """Also measure that many disjoint parts of the images, each by itself, and log what they give."""
    setup: Setup = SETUP
    reading: Reading = READING
    selection: Selection = ALL
    """Classes of the data to use."""

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise ConfigError("images can't be split into fewer than one part", seen=f"--splits {self.splits}")


@dataclass(frozen=True, kw_only=True)
class MeasurePlan(Plan):
    """One measurement, resolved and checked."""

    kind = "measure"

    settings: MeasureSettings
    content: ClassificationData
    backbone: Backbone
    reference: Backbone | None
    splits: int
    seed: int

    @property
    def changed(self) -> dict[str, Any]:
        """What differs from the published measure."""
        return changes(self.settings)

    def name(self) -> str:
        """Name the backbone, the data and the seed."""
        return f"representation-{slug(self.backbone)}-{self.data.name}-s{self.seed}"

    def identity(self) -> Any:
        """The measure's version, the backbone, the seed, the settings and the data."""
        return [self.subject(), self.settings.numbers(), self.data.fingerprint]

    def subject(self) -> dict[str, Any]:
        """The measure's version, the backbone and the seed."""
        return {"version": measure.VERSION, "checkpoint": self.backbone.identity, "seed": self.seed}

    def follow(self, journal: Journal, folder: Path) -> None:
        """Measure a later process's batches."""
        self._measure(journal, folder)

    def _measure(self, journal: Journal, folder: Path) -> tuple[list[measure.Measured], Ledger | None]:
        """Measure the validation images, in later processes without a result; returns what lists replaced images, too."""
        images, settings = self.content.val, self.settings
        ledger = Ledger(folder, images.names, Skipped(len(images))) if settings.on_bad_image == "skip" else None
        found = measure.measure(
            self.backbone,
            images,
            settings,
            journal,
            seed=self.seed,
            device=self.device,
            splits=self.splits,
            reference=self.reference,
            skipped=ledger.skipped if ledger else None,
        )
        if ledger is not None:
            ledger.update()
        distributed.barrier()  # all have noted what they replaced
        return found, ledger

    def work(self, journal: Journal, folder: Path) -> Produced:
        """Measure the validation images."""
        settings = self.settings
        self.selection.save(folder, self.content)
        introduce(self.backbone, journal)
        verdict = audited(self.backbone, self.content, self.device, journal)
        (found, *parts), ledger = self._measure(journal, folder)
        for number, part in enumerate(parts, start=1):
            journal.say(f"part {number} of {self.splits}: {_held_out(part.metrics)}")
        fields = RunFields(
            kind=self.kind,
            task=REPRESENTATION,
            protocol=settings.protocol,
            version=measure.VERSION,
            changed=self.changed,
            engine="probe",
            probe=settings.probed(),
            schedule=f"{settings.views} views of each image, pipeline {settings.pipeline}, probe {settings.probe}",
            checkpoint=checkpoint_ref(self.backbone),
            data=self.data,
            seed=self.seed,
            metrics=found.metrics,
            intervals=found.intervals,
            proof={**account(self.backbone, verdict), **found.proof},
            notes=notes(
                self.generated,
                *self.content.notes,
                *self.selection.remarks(),
                *remarks(self.backbone, verdict),
                *reading_note(self.backbone.architecture, settings.features),
                *(ledger.notes() if ledger else ()),
            ),
        )
        return Produced(fields)


def settings_of(asked: Measure, generated: bool) -> MeasureSettings:
    """Return the settings with everything the user changed.

    Raises:
        ConfigError: For an unknown setting, or a value that can't be.
    """
    settings = MeasureSettings().replace(measure.SMALL if generated or asked.setup.budget == SMALL else {})
    return settings.replace(asked.options, where="the settings of the measure")


def changes(settings: MeasureSettings) -> dict[str, Any]:
    """Return what differs from the published measure. Every probe is a protocol of its own: its name and its options are no
    change of one.
    """
    return settings.differences(MeasureSettings().replace({"probe": settings.probe, "probe_options": settings.probe_options}))


def _held_out(metrics: Mapping[str, float | None]) -> str:
    values = {name: metrics[name] for name in BY_PART}
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None)


def cases(
    checkpoints: Sequence[str], probes: Sequence[str], sweep: str | None, options: Mapping[str, Any], out: Path | None
) -> list[tuple[str, dict[str, Any]]]:
    """List every checkpoint under every probe and every value of the sweep, with its options: one run and one record each.

    Under one probe the rows say what training changed; of one checkpoint the columns say what the augmentation does.

    Raises:
        ConfigError: If the sweep is none, or several runs would have one folder.
    """
    found = [
        (checkpoint, {**options, **({"probe": probe} if probe else {}), **strength})
        for checkpoint in checkpoints
        for probe in probes or [""]
        for strength in swept(sweep, options)
    ]
    if out is not None and len(found) > 1:
        raise ConfigError(f"--out is one run's folder, and these are {len(found)} runs", fix="leave --out away")
    return found


def swept(sweep: str | None, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The probe's options at each strength; one empty mapping, where nothing is swept.

    Raises:
        ConfigError: If the text is no sweep, or the options are none that a sweep could change one of.
    """
    if sweep is None:
        return [{}]
    name, equals, text = sweep.partition("=")
    if not (name.strip() and equals and text.strip()):
        raise ConfigError("a sweep without a field or without values", seen=sweep, allowed=SWEEP_FORM)
    constant = options.get("probe_options", {})
    if not isinstance(constant, Mapping):
        fix = "leave probe_options away, or give the fields that stay the same"
        allowed = "{field: value} of the probe"
        raise ConfigError("probe_options are no fields to sweep one of", seen=constant, allowed=allowed, fix=fix)
    return [
        {"probe_options": {**constant, field: value}}
        for field, values in assignments([f"{name}=[{text}]"]).items()
        for value in values
    ]


def run(asked: Measure, checkpoint: str, place: Place, progress: Progress, command: str | None = None) -> Finished:
    """Measure a checkpoint on the validation images. `command` is recorded as the exact command.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    with group(place.device_name()) as device:
        return execute(_resolve(asked, checkpoint, place, progress, device), place, progress, command)


def _resolve(asked: Measure, checkpoint: str, place: Place, progress: Progress, device: str) -> MeasurePlan:
    generated = places.is_generated(place.data)
    settings = settings_of(asked, generated)
    journal = Journal(progress=progress)
    backbone = asked.reading.load(checkpoint, journal)
    reference = READING.load(settings.reference, journal) if settings.reference else None
    for each in (backbone, reference or backbone):
        settings.require(each.architecture)
    if reference is not None:
        settings = settings.replace({"reference": reference.identity})
    with distributed.first_alone():
        root, _ = places.data_root(place.data, "imagefolder", journal)
    return MeasurePlan(
        settings=settings,
        backbone=backbone,
        reference=reference,
        root=root,
        content=imagefolder.read(root, **asked.selection.arguments(), verify=settings.verify_data),
        generated=generated,
        selection=asked.selection,
        splits=asked.splits,
        seed=asked.setup.seed,
        device=device,
    )

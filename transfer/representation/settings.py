"""How the representation measures draw their views, and what a record says of it.

Shapes: N images of S × S pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Generator, Tensor

from pretrain import augment
from pretrain.augment.mixed import Augmentation, Mixed
from pretrain.augment.pipelines import PIPELINES
from pretrain.backbones import Architecture
from pretrain.core.errors import ConfigError
from pretrain.core.ranges import Side, Workers
from pretrain.core.settings import ComputeSettings, Settings
from pretrain.images.crops import Crop
from pretrain.images.normalise import IMAGENET, Input
from pretrain.inputs import normalised
from transfer.board.columns import NO_PROBE, REPRESENTATION
from transfer.record import Probe
from transfer.tasks.probe import USUAL


class MeasureSettings(ComputeSettings):
    """How views are drawn. One fixed probe for all backbones: what differs is then the backbone."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers", "verify_data"})
    OPTIONAL: ClassVar[frozenset[str]] = ComputeSettings.OPTIONAL | {"on_bad_image", "features"}

    views: int = Field(8, ge=2)
    """Augmented views of each image."""
    images: int = Field(5000, ge=4)
    """Held-out images at most, spread evenly over the classes' order."""
    size: Side = 224
    """Side of a view, in pixels."""
    batch: int = Field(32, ge=2)
    """Images per forward pass, times `views` + 1. A blend's partners are of the same batch, which is drawn from all classes."""
    pipeline: str = "mocov2"
    """Base pipeline the views are drawn with: its query's."""
    pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields of the base pipeline that differ from it."""
    probe: str = NO_PROBE
    """Augmentation on top, as in `bench pretrain --aug`: which one is probed."""
    probe_options: dict[str, Any] = Field(default_factory=dict)
    """Its fields, for instance {side: 0.3}."""
    reference: str = ""
    """Checkpoint whose features CKA compares with, for instance the same pre-training without augmentation, or torchvision's
    weights; none, and no CKA, without it. What is recorded is its SHA-256."""
    features: str = USUAL
    """What is read of the backbones: as of the probes (`mean` or `last4` of a ViT), and another protocol than the usual. The
    projector's measures are of the usual features alone."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """What an unreadable image does: end the run, or give its place to the next readable one, counted and listed."""
    num_workers: Workers = "auto"
    """Worker processes that load images; 0 loads in the process itself. `auto`: 0 on a CPU; on a GPU as many as there are
    cores, less two, from 2 to 16."""
    verify_data: bool = False
    """Look at every file of a large image folder at the start, whatever the index of an earlier start says."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        self.viewer()
        return self

    def require(self, architecture: Architecture) -> None:
        """Refuse an architecture that can't see the size, or has no such features.

        Raises:
            ConfigError: With what it can and has.
        """
        architecture.require_size(self.size)
        if self.features != USUAL:
            architecture.require_reading(self.features)

    @property
    def protocol(self) -> str:
        """`representation`, or with the probe that makes it another protocol: `representation@cutout(side=0.3)`."""
        if self.probe == NO_PROBE:
            return REPRESENTATION
        options = ", ".join(f"{name}={value}" for name, value in sorted(self.probe_options.items()))
        return f"{REPRESENTATION}@{self.probe}" + (f"({options})" if options else "")

    def viewer(self) -> "Viewer":
        """Build what turns a crop into a view. A blend keeps at least half of its image, else it were no view of it.

        Raises:
            ConfigError: For an unknown pipeline or augmentation, or options that it lacks.
        """
        if self.pipeline not in PIPELINES:
            raise ConfigError.unknown("pipeline", self.pipeline, PIPELINES)
        pipeline = PIPELINES[self.pipeline][0].replace(self.pipeline_options, where="pipeline_options")
        asks = augment.asked(self.probe)
        if asks:
            raise ConfigError(
                f"the probe {self.probe} needs a network that is trained",
                seen=f"it asks for {' and '.join(asks)} maps, which come of a training loss",
                allowed="an augmentation that asks nothing: "
                + ", ".join(name for name in augment.AUGMENTATIONS if not augment.asked(name)),
                fix="probe with another one, for instance cutmix",
            )
        crop = Crop(self.size, pipeline.crop_scale, pipeline.crop_ratio)
        return Viewer(crop, pipeline, augment.make(self.probe, self.probe_options, folded=True))

    def probed(self) -> Probe | None:
        """Return the probe with all its fields and what they mean; None where there is none."""
        if self.probe == NO_PROBE:
            return None
        augmentation = self.viewer().augmentation
        if not isinstance(augmentation, Settings):  # several, joined
            return Probe(augmentation=self.probe, options=self.probe_options)
        described = {name: field.description or "" for name, field in type(augmentation).model_fields.items()}
        meanings = {name: " ".join(text.split()).partition(". ")[0].rstrip(".") for name, text in described.items()}
        return Probe(augmentation=self.probe, options=augmentation.model_dump(mode="json"), meanings=meanings)


SMALL = {"size": 64, "images": 250, "batch": 16}
"""What `--budget small` changes."""


@dataclass(frozen=True)
class Viewer:
    """How a crop becomes a view: the base pipeline, then the probed augmentation."""

    crop: Crop
    pipeline: Callable[[Tensor, Generator], Tensor]
    augmentation: Augmentation

    def __call__(self, crops: Tensor, rng: Generator, seen: Input = IMAGENET) -> Mixed:
        """Draw a view of each crop of (N, 3, S, S) uint8, normalised as a backbone sees it."""
        return self.augmentation(normalised(self.pipeline(crops.float() / 255, rng), seen), rng)

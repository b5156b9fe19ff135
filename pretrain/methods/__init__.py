"""The methods. Each is one file: its own settings and the learner that its parts make. Adding one is that file and one line.

`METHODS` is read without importing torch; a method's file is imported when it is asked for.
"""

import importlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pretrain.augment.asking import Asked
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings
from pretrain.recipe import Recipe

if TYPE_CHECKING:
    from pretrain.backbones import Architecture
    from pretrain.batch import View
    from pretrain.learner import Learner

METHODS: dict[str, str] = {
    "mocov2": "mocov2:MoCoV2",
    "mocov1": "mocov1:MoCoV1",
    "mocov2plus": "mocov2plus:MoCoV2Plus",
    "smocov2plus": "smocov2plus:SMoCoV2Plus",
    "mocov3": "mocov3:MoCoV3",
    "byol": "byol:BYOL",
    "byol-sgd": "byol_sgd:ByolSgd",
    "byol-lars": "byol_lars:ByolLars",
    "simsiam": "simsiam:SimSiam",
    "simclr": "simclr:SimCLR",
    "supcon": "supcon:SupCon",
    "swav": "swav:SwAV",
    "dino": "dino:DINO",
    "barlowtwins": "barlowtwins:BarlowTwins",
    "vicreg": "vicreg:VICReg",
    "supervised": "supervised:Supervised",
}
"""Method name → `module:Class` in this package."""
BLUR = "a blur is a Gaussian sampled at whole pixels; the code's is Pillow's, of three box filters"
"""Said of every published code that blurs with Pillow; `pretrain.augment.pipelines` says by how much they differ."""
DEFAULT = "mocov2"
"""The method of a run that names none."""


Targets = Literal["none", "momentum", "shared"]
"""What makes the targets: nothing, a moving average of the trained network, or that network itself without gradient."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Over which images batch normalisation takes its statistics."""

    images: int
    """How many at a time."""
    means: Literal["whole batch", "parts", "shuffled parts", "synchronised"]
    """The whole batch in one process; parts of it; parts of a shuffled batch (ShuffleBN); or all processes together."""

    def __str__(self) -> str:
        return f"{self.images} images, {self.means}"

    def same(self, other: "Statistics") -> bool:
        """Return whether both are over the same images: one process's whole batch is what several synchronise over."""
        whole = ("whole batch", "synchronised")
        return self.images == other.images and (self.means == other.means or {self.means, other.means} <= {*whole})


@dataclass(frozen=True, slots=True)
class Shape:
    """What a learner is made for, beside its method's own settings."""

    architecture: "Architecture"
    stem: str
    size: int
    """Side of the largest view, in pixels."""
    batch: int
    """Images per step, all processes together."""
    classes: int
    labelled: bool
    """Whether any image keeps its label."""
    splits: int = 1
    """Parts of a batch with batch statistics of their own."""
    synchronised: bool = False
    """Whether batch statistics are taken over all processes."""
    bf16: bool = False


class Method(Settings):
    """Base of all methods. Its fields are the method's own settings, all of which change the numbers."""

    called: ClassVar[str]
    """Its name in published tables, which other words may follow there."""
    about: ClassVar[str]
    """What it does, in at most 48 letters."""
    source: ClassVar[str]
    """Where it is published."""
    departs: ClassVar[tuple[str, ...]] = ()
    """What is known to differ from the published code, or between that code and its paper, and what this has."""
    version: ClassVar[int] = 1
    """Raised with every change that moves a number."""
    labels: ClassVar[Literal["unused", "optional", "required"]]
    """Whether it can learn from labels."""
    recipe: ClassVar[Recipe] = Recipe()
    """The published recipe, from which a run's own starts."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Shared fields of the configuration whose published value differs from the configuration's own."""
    small: ClassVar[Mapping[str, Any]] = {}
    """What `--budget small` changes for this method: its own settings, and shared fields in which it differs from what
    `configs/pretrain/small.yaml` changes for all."""
    statistics: ClassVar[Statistics | None] = None
    """What batch normalisation sees in the published runs; None where that says nothing."""
    shuffles: ClassVar[bool] = False
    """Whether it shuffles the batch between processes or parts before the pass of its target (ShuffleBN)."""
    together: ClassVar[int] = 1
    """Views of one size that pass through the trunk as one batch, and so share their batch statistics."""
    targets: ClassVar[Targets] = "none"
    """What makes its targets, for the cost of a step."""
    refuses_blends: ClassVar[str] = ""
    """Why blends of images mean nothing to its loss; empty where they do."""
    answers: ClassVar[frozenset[Asked]] = frozenset({"saliency"})
    """What an augmentation may ask its network: every loss has a gradient, and a classifier says what speaks for a class."""
    blending: ClassVar[frozenset[str]] = frozenset()
    """Fields that only say what an augmentation's blends mean: they belong to the augmentation, not to the rest."""

    name: str
    """A name of `METHODS`."""

    @property
    def folds(self) -> bool:
        """Whether its target wants every image to keep at least half of its blend; else shares are as published."""
        return False

    @property
    def sees_unblended(self) -> bool:
        """Whether the trained network sees the first view twice where it is blended, with and without the blend."""
        return False

    def apart(self, processes: int, labelled: float) -> Mapping[str, str]:
        """Say what several processes compute that one with all images doesn't, beside batch statistics: name → words.

        `labelled`: fraction of the images that keep their label.
        """
        return {}

    def views(self, recipe: Recipe, size: int) -> "tuple[View, ...]":
        """Declare the views of each image, in their order: here two whole ones, one of each of the recipe's pipelines."""
        from pretrain.batch import View  # imports torch, which reading the table does without

        return tuple(View(f"view {index + 1}", pipeline, size) for index, pipeline in enumerate(recipe.pipelines()))

    def check(self, batch: int) -> None:
        """Refuse settings that can't be with batches of that size.

        Raises:
            ValueError: With what is wrong, in words.
        """

    @abstractmethod
    def learner(self, shape: Shape) -> "Learner":
        """Build the learner; its tensors are drawn with torch's global generator."""


def get(name: str) -> type[Method]:
    """Find the method of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in METHODS:
        raise ConfigError.unknown("method", name, METHODS)
    module, declaration = METHODS[name].split(":")
    method: type[Method] = getattr(importlib.import_module(f"pretrain.methods.{module}"), declaration)
    return method

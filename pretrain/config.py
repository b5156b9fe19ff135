"""`PretrainConfig`: one pre-training, typed and frozen. It has three blocks: what all runs share, `method` and `recipe`.

Importing this file imports no torch, so that a help text can be made of its fields.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from pretrain import fields, methods, optimizers
from pretrain.core.plain import is_file
from pretrain.core.settings import Settings, TextFile
from pretrain.methods import Method, Shape
from pretrain.recipe import Recipe
from pretrain.schedule import Schedule

if TYPE_CHECKING:
    from pretrain.augment.mixed import Augmentation
    from pretrain.batch import View

SMALL_STEM_LIMIT = 64
"""Largest view, in pixels, for the small stem: without its four-fold reduction every layer sees 16 times the positions."""


def _classes(value: Any) -> Any:
    """Read a number as a fraction, a path as a file, and another word as the name of a list that comes with the project."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return TextFile.model_validate(value) if Path(value).suffix or is_file(value) else value
    if isinstance(value, int | float) and not 0 < value <= 1:
        raise ValueError("a fraction of the classes above 0 and at most 1, the name of a class list, or a file")
    return value


def _method(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return methods.get(str(value["name"])).read(value, where=f"the settings of {value['name']}")


def _recipe(value: Any) -> Any:
    return Recipe.read(value, where="the recipe") if isinstance(value, Mapping) else value


Classes = Annotated[float | str | TextFile | None, BeforeValidator(_classes)]


class PretrainConfig(Settings):
    """One pre-training run. Without fields it is MoCo v2 as published; `configs/pretrain` holds others.

    `read` takes fields by their whole names (`recipe.epochs`), nested, or by their last word where it is unambiguous.
    """

    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "cache", "save_every", "checkpoint_seconds", "keep_every", "monitor_every", "compile"}
    )

    method: Annotated[SerializeAsAny[Method], BeforeValidator(_method)]
    """Method of pre-training, or a mapping of its name and its own settings."""
    recipe: Annotated[Recipe, BeforeValidator(_recipe)]
    """How it is trained: what is not given is the method's published recipe."""
    aug: str = "none"
    """Augmentation on top of the base pipeline, or several joined by `+`."""
    aug_options: dict[str, Any] = Field(default_factory=dict)
    """The augmentation's own fields; for several, a mapping of each one's name to its fields."""
    aug_composition: Literal["draw", "turn"] = "draw"
    """How several are composed: one drawn for each image, or all in turn."""
    aug_views: Literal["query", "both"] = "query"
    """Which views it is applied to. On both, masks are drawn for each view, while a blend is the same in both: each
    image with the same partner and fraction, so that its own key is all of its target. The sources leave this open."""
    classes: Classes = None
    """Classes to train on: a fraction of them drawn with the seed, the name of a list such as imagenet100, or a file with one
    class folder per line. All of them without it."""
    keep_iterations: bool = False
    """With `classes`: lengthen the epochs to the whole number whose steps come nearest to those on all classes, as
    arXiv:2208.00275 does where it varies the number of classes. `epochs` then means epochs of all classes."""
    label_map: TextFile | None = None
    """File of `folder: label` (YAML) or `folder,label` lines that gives the classes other labels, for instance those of a
    coarser taxonomy. The labels in use become the classes."""
    reduced_decode: bool = True
    """Decode JPEGs that are much larger than their crops at 1/2, 1/4 or 1/8 of their size: see `pretrain.images.decode`."""
    cache_side: int | None = Field(None, ge=16)
    """Short side in pixels that larger images are resized to before they are cropped. Without it: none if nothing is cached;
    with `cache`, the side at which the smallest crop has as many pixels as the view, size / √(smallest crop scale)."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """What an unreadable image does: end the run, or give its place to the next readable one, counted and listed."""
    supervision: Literal["self", "semi", "full"] = "self"
    """Whether no, some or all images keep their label."""
    label_fraction: float | None = Field(None, ge=0, le=1)
    """Fraction of each class's images that keep their label: 0 for self, 0.5 for semi unless given, 1 for full."""
    label_list: TextFile | None = None
    """For semi, instead of a fraction: file that names the images that keep their label, one `class/name` or name per line."""
    arch: str = "resnet50"
    """Backbone, such as resnet18 or vit_small."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """The backbone's first layers: the published ones, or one 3 × 3 convolution of stride 1 for views of up to 64 pixels."""
    size: int = Field(224, ge=16)
    """Side of a view, in pixels."""
    bn_splits: int = Field(1, ge=1)
    """Parts in which a batch passes through the encoders, each with its own batch statistics, the keys shuffled:
    what ShuffleBN over that many processes does, on one."""
    sync_bn: bool = False
    """Take batch statistics over all processes, in place of ShuffleBN. CUDA only."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Compute dtype of the encoders; parameters and loss are fp32. `auto` is bf16 where the hardware has it."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of everything random."""

    num_workers: int = Field(2, ge=0)
    """Loader workers; 0 loads in the process itself."""
    cache: Literal["ram", "disk"] | None = None
    """Where decoded images are kept, short side at most `cache_side`: nowhere, in this machine's memory for this run, or in
    a file of the user's cache folder for later runs too."""
    save_every: int = Field(1, ge=1)
    """Epochs between checkpoints; the last epoch always leaves one."""
    checkpoint_seconds: float = Field(600.0, ge=0)
    """Wall seconds after which an epoch that is not over leaves a checkpoint, too: the most that a killed run loses."""
    keep_every: int = Field(0, ge=0)
    """Epochs between backbones that are kept beside the last one, as `backbone-0010.pth`; 0 keeps none."""
    monitor_every: int = Field(0, ge=0)
    """Epochs between measurements of nearest-neighbour accuracy; 0 measures none."""
    compile: bool = False
    """Compile the encoders with torch's compiler: minutes at the start, a faster step on a GPU. Changes rounding only."""

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> Self:
        """Build from plain values, as `Settings.read`; what is not given is as the method publishes it."""
        method, optimizer = _named(values, "method"), _named(values, "optimizer")
        published = methods.get(method or methods.DEFAULT)
        chosen = type(published.recipe.optimizer) if optimizer is None else optimizers.get(optimizer)
        given = fields.placed(values, _names(cls, published, chosen), where)
        own, recipe = given.pop("method", {}), given.pop("recipe", {})
        own = {**(own if isinstance(own, dict) else {}), "name": published.model_fields["name"].default}
        return super().read({**published.defaults, **given, "method": own, "recipe": _merged(published, recipe)}, where=where)

    def replace(self, values: Mapping[str, Any], *, where: str = "the options") -> Self:
        """Return this configuration with some fields changed; another method or optimiser starts from its own settings."""
        plain = self.model_dump()
        if _named(values, "method") not in (None, self.method.name):
            plain = {name: value for name, value in plain.items() if name not in ("method", "recipe")}
        elif _named(values, "optimizer") not in (None, self.recipe.optimizer.name):
            plain["recipe"].pop("optimizer")
        return self.read(fields.merged(plain, values), where=where)

    @classmethod
    def published(cls, method: str) -> Self:
        """Return the run that a method's authors published."""
        return cls.read({"method": method})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        from pretrain import consistency  # imports torch

        consistency.check(self)
        return self

    @property
    def labels_used(self) -> float | None:
        """Return the label fraction that the supervision regime means; None where a list says which images keep theirs."""
        if self.label_list is not None:
            return None
        if self.label_fraction is not None:
            return self.label_fraction
        return {"self": 0.0, "semi": 0.5, "full": 1.0}[self.supervision]

    @property
    def kept_side(self) -> int | None:
        """Short side in pixels that images are resized to before they are cropped; None: they stay as they are."""
        if self.cache_side is None and self.cache is not None:
            return max(math.ceil(view.size / math.sqrt(view.pipeline.crop_scale[0])) for view in self.views())
        return self.cache_side

    def numbers(self) -> dict[str, Any]:
        """Return the fields that change the numbers, by their whole names. Where images are kept doesn't, their size does."""
        plain = {name: value for name, value in fields.leaves(self).items() if name not in self.RUNTIME}
        files = {name: value.digest for name, value in self if isinstance(value, TextFile)}
        return {**plain, **{name: {"digest": digest} for name, digest in files.items()}, "cache_side": self.kept_side}

    def identity(self) -> dict[str, Any]:
        """Return what tells this run from others: the method with its version, and all that differs from its published run.

        A new method, or a new field whose default leaves the numbers as they were, moves the identity of no other run.
        """
        name = self.method.name
        return {"method": name, "version": self.method.version, **self.differences(self.published(name))}

    def views(self) -> "tuple[View, ...]":
        """Return the views of each image, in their order."""
        return self.method.views(self.recipe, self.size)

    def augmentation(self) -> "Augmentation":
        """Return the augmentation with its options."""
        from pretrain import augment

        return augment.make(self.aug, self.aug_options, composition=self.aug_composition)

    def shape(self, classes: int) -> Shape:
        """Return what a learner of this run is made for."""
        from pretrain import backbones

        return Shape(
            architecture=backbones.get(self.arch),
            stem=self.stem,
            size=max(view.size for view in self.views()),
            batch=self.recipe.batch,
            classes=classes,
            labelled=self.labels_used != 0,
            splits=self.bn_splits,
            synchronised=self.sync_bn,
            bf16=self.precision == "bf16",
        )


def _named(values: Mapping[str, Any], block: str) -> str | None:
    """The name that is given for a block, under whichever of its names."""
    found = None
    for key, value in values.items():
        if key == block or str(key).endswith(f".{block}"):
            found = value.get("name", found) if isinstance(value, Mapping) else value
        elif key == "recipe" and isinstance(value, Mapping):
            found = _named(value, block) or found
    return None if found is None else str(found)


def _names(config: type[Settings], method: type[Method], optimizer: type[Settings]) -> Iterator[str]:
    """Whole names of all fields of a configuration with that method and that optimiser."""
    yield from config.model_fields
    blocks: tuple[tuple[str, type[Settings]], ...] = (
        ("method.", method), ("recipe.", Recipe), ("recipe.optimizer.", optimizer), ("recipe.schedule.", Schedule)
    )  # fmt: skip
    for prefix, block in blocks:
        yield from (f"{prefix}{name}" for name in block.model_fields if name != "name")


def _merged(method: type[Method], given: Mapping[str, Any]) -> dict[str, Any]:
    """The method's published recipe with what is given; another optimiser starts from its own defaults."""
    plain = method.recipe.model_dump()
    if isinstance(given.get("schedule"), str):
        given = {**given, "schedule": {"shape": given["schedule"]}}
    for block in ("optimizer", "schedule"):
        if isinstance(given.get(block), dict):
            wanted = given[block]
            same = wanted.get("name", plain[block].get("name")) == plain[block].get("name")
            given = {**given, block: {**plain[block], **wanted} if same else wanted}
    return {**plain, **given}

"""`PretrainConfig`: one pre-training, typed and frozen. It has three blocks: what all runs share, `method` and `recipe`.

Importing this file imports no torch, so that a help text can be made of its fields.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from pretrain import augment, fields, methods
from pretrain.core.plain import is_file
from pretrain.core.ranges import Side, Workers
from pretrain.core.settings import ComputeSettings, TextFile
from pretrain.methods import Method, Shape
from pretrain.recipe import Recipe

if TYPE_CHECKING:
    from pretrain.augment.mixed import Augmentation
    from pretrain.batch import View

JPEG_SIDE = 256
"""Short side in pixels of images that are kept as JPEGs, unless told otherwise."""
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


def _targeted(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Choose Un-Mix, where nothing else is said and the method has it, for an augmentation that asks for the saliency: Un-Mix
    makes a pass over the views without the blend anyway, and that is the pass which the saliency comes of.
    """
    method = given["method"]
    target = methods.get(method["name"]).model_fields.get("mixed_target")
    if target is None or "un-mix" not in get_args(target.annotation) or "saliency" not in augment.asked(str(given.get("aug"))):
        return given
    return {**given, "method": {"mixed_target": "un-mix", **method}}


Classes = Annotated[float | str | TextFile | None, BeforeValidator(_classes)]


class PretrainConfig(ComputeSettings):
    """One pre-training run. Without fields it is MoCo v2 as published; `configs/pretrain` holds others.

    `read` takes fields by their whole names (`recipe.epochs`), nested, or by their last word where it is unambiguous.
    """

    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "verify_data", "cache", "save_every", "checkpoint_seconds", "keep_every", "monitor_every", "compile"}
        | {"fused_views"}
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
    image with the same partner and fraction, so that its own key is all of its target; a blend then has no label. The
    sources leave this open."""
    classes: Classes = None
    """Classes to train on: a fraction of them drawn with the seed, the name of a list such as imagenet100, or a file with one
    class folder per line. All of them without it."""
    keep_iterations: bool = False
    """With `classes`: lengthen the epochs to the whole number whose steps come nearest to those on all classes, as
    arXiv:2208.00275 does where it varies the number of classes. `epochs` then means epochs of all classes; the run's
    configuration, its record and its row have the lengthened number."""
    label_map: TextFile | None = None
    """File of `folder: label` (YAML) or `folder,label` lines that gives the classes other labels, for instance those of a
    coarser taxonomy. The labels in use become the classes."""
    reduced_decode: bool = True
    """Decode JPEGs that are much larger than their crops at 1/2, 1/4 or 1/8 of their size: see `pretrain.images.decode`."""
    decode: Literal["cpu", "gpu"] = "cpu"
    """Where JPEGs are decoded and cropped: by the loader workers, or, where cores are few, by the GPU (nvJPEG), in slightly
    other pixels and never at a fraction of their size. It leaves progressive and CMYK files and other formats to them."""
    cache_side: int | None = Field(None, ge=16)
    """Short side in pixels that larger images are resized to before they are cropped. Without it: none if nothing is cached;
    with `cache`, the side at which the smallest crop has as many pixels as the view, size / √(smallest crop scale); with
    `--cache jpeg` 256."""
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
    size: Side = 224
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

    num_workers: Workers = "auto"
    """Loader workers; 0 loads in the process itself. `auto`: 2 on a CPU; on a GPU as many as each process has cores, less two,
    from 2 to 16."""
    verify_data: bool = False
    """Look at every file of a large image folder at the start, whatever the index of an earlier start says."""
    cache: Literal["ram", "disk", "jpeg"] | None = None
    """Where images are kept, short side at most `cache_side`: nowhere, decoded in this machine's memory for this run (`ram`),
    or in a file of the user's cache folder for later runs too, decoded (`disk`) or as JPEGs of quality 95 (`jpeg`: a
    fraction of the room, slightly other pixels, part of the run's identity)."""
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
    fused_views: bool = False
    """On a GPU, make views by few passes over memory, by torch's compiler. Changes rounding only; nothing on a CPU."""

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> Self:
        """Build from plain values, as `Settings.read`; what is not given is as the method publishes it."""
        return super().read(_targeted(fields.completed(values, cls.model_fields, where)), where=where)

    def replace(self, values: Mapping[str, Any], *, where: str = "the options") -> Self:
        """Return this configuration with some fields changed; another method or optimiser starts from its own settings."""
        plain = self.model_dump()
        if fields.named(values, "method") not in (None, self.method.name):
            plain = {name: value for name, value in plain.items() if name not in ("method", "recipe")}
        elif fields.named(values, "optimizer") not in (None, self.recipe.optimizer.name):
            plain["recipe"].pop("optimizer")
        return self.read(fields.merged(plain, values), where=where)

    @classmethod
    def published(cls, method: str) -> Self:
        """Return the run that a method's authors published."""
        return cls.read({"method": method})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.augmentation()
        self._check_labels()
        self.method.check(self.recipe.batch)
        self._check_effects()
        self._check_asked()
        batch, splits = self.recipe.batch, self.bn_splits
        if batch % splits or batch // splits < 2:
            raise ValueError(f"bn_splits ({splits}) must divide the batch ({batch}) into parts of at least 2")
        if self.stem == "small" and self.size > SMALL_STEM_LIMIT:
            raise ValueError(f"the small stem is for views of up to {SMALL_STEM_LIMIT} pixels, and size is {self.size}")
        architecture = self.shape(classes=2).architecture
        if self.stem not in architecture.stems:
            raise ValueError(f"{self.arch} has no stem {self.stem!r}, only {', '.join(architecture.stems)}")
        for view in self.views():
            architecture.require_size(view.size, setting="size" if view.size == self.size else "local_size")
        return self

    def _check_labels(self) -> None:
        fraction = self.labels_used
        if fraction is None and (self.supervision != "semi" or self.label_fraction is not None):
            given = "label_fraction" if self.label_fraction is not None else f"supervision {self.supervision!r}"
            raise ValueError(f"a label list says which labels are used, which contradicts {given}; give it alone, with semi")
        if (self.supervision == "self" and fraction != 0) or (self.supervision == "full" and fraction != 1):
            raise ValueError(f"supervision {self.supervision!r} contradicts label_fraction {fraction:g}; semi takes a fraction")
        name, labels = self.method.name, self.method.labels
        if labels == "required" and fraction == 0:
            raise ValueError(f"the method {name!r} needs labels; use supervision semi or full")
        if labels == "unused" and fraction != 0:
            raise ValueError(f"the method {name!r} learns from no labels; use supervision self")

    def _check_effects(self) -> None:
        """Refuse options without effect: who gives one expects something of it."""
        if self.keep_iterations and self.classes is None:
            raise ValueError("keep_iterations without classes changes nothing; name the classes, or drop it")
        if self.decode == "gpu" and (self.on_bad_image == "skip" or (self.kept_side is not None and self.cache != "jpeg")):
            other = "on_bad_image skip" if self.on_bad_image == "skip" else "images that are resized before they are cropped"
            raise ValueError(f"decode gpu takes whole files, and contradicts {other}; use decode cpu")
        refused = self.method.refuses_blends
        blends = [name for name in self.aug.split(augment.JOIN) if augment.AUGMENTATIONS[name].kind == "blend"]
        if refused and blends:
            raise ValueError(f"the method {self.method.name!r} takes no {' or '.join(blends)}: {refused}")
        if self.aug_composition != "draw" and augment.JOIN not in self.aug:
            raise ValueError(f"aug_composition composes several augmentations, and aug is {self.aug!r}; drop it")
        one_view = len(self.views()) == 1
        if self.recipe.key_pipeline_options and one_view:
            raise ValueError(f"key_pipeline_options are a second view's, and {self.method.name!r} has one view; drop them")
        if self.aug_views == "both" and one_view:
            raise ValueError(f"aug_views both means two views, and {self.method.name!r} has one; drop it")

    def _check_asked(self) -> None:
        """Refuse an augmentation that asks what the network can't say."""
        for asks in augment.asked(self.aug):
            asking = " and ".join(name for name in self.aug.split(augment.JOIN) if augment.AUGMENTATIONS[name].asks == asks)
            if asks not in self.method.answers:
                able = " or ".join(name for name in methods.METHODS if asks in methods.get(name).answers)
                raise ValueError(f"{asking} asks for {asks} maps, which {self.method.name!r} has none of; use --method {able}")
            architecture = self.shape(classes=2).architecture
            if asks == "class activation" and not architecture.averages:
                features = f"{self.arch}'s are {architecture.features}"
                raise ValueError(f"{asking} asks for {asks} maps, which take features that are the mean over a map; {features}")

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
        if self.cache_side is None and self.cache == "jpeg":
            return JPEG_SIDE
        if self.cache_side is None and self.cache is not None:
            return max(math.ceil(view.size / math.sqrt(view.pipeline.crop_scale[0])) for view in self.views())
        return self.cache_side

    def numbers(self) -> dict[str, Any]:
        """Return the fields that change the numbers, by their whole names. Where images are kept doesn't; their size does, and
        whether they are encoded once more.
        """
        plain = {name: value for name, value in fields.leaves(self).items() if name not in self.RUNTIME}
        files = {name: value.digest for name, value in self if isinstance(value, TextFile)}
        kept = {"cache_side": self.kept_side, "cache": "jpeg" if self.cache == "jpeg" else None}
        return {**plain, **{name: {"digest": digest} for name, digest in files.items()}, **kept}

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
        return augment.make(self.aug, self.aug_options, composition=self.aug_composition, folded=self.method.folds)

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

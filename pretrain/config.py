"""`PretrainConfig`: one pre-training, typed and frozen."""

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pretrain import augment, methods
from pretrain.augment import Composition
from pretrain.augment.views import PIPELINES, Pipeline
from pretrain.core.errors import ConfigError
from pretrain.core.plain import is_file
from pretrain.core.settings import Settings, TextFile, digest
from pretrain.provenance import Provenance

Arch = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
MixedTarget = Literal["i-mix", "un-mix", "none"]
SMALL_STEM_LIMIT = 64
"""Largest view, in pixels, for the small stem: without its four-fold reduction every layer sees 16 times the positions."""


def _classes(value: Any) -> Any:
    """A number is a share, a path is a file, and another word is the name of a list that comes with the project."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return TextFile.model_validate(value) if Path(value).suffix or is_file(value) else value
    if isinstance(value, int | float) and not 0 < value <= 1:
        raise ValueError("a share of the classes above 0 and at most 1, the name of a class list, or a file")
    return value


Classes = Annotated[float | str | TextFile | None, BeforeValidator(_classes)]


class PretrainConfig(Settings):
    """One pre-training run. The defaults are MoCo v2 as published; `configs/pretrain` holds the others."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "cache", "save_every", "checkpoint_seconds", "keep_every", "monitor_every", "compile"}
    )

    method: str = "mocov2"
    """A name of `pretrain.methods.METHODS`."""
    aug: str = "none"
    """Augmentation on top of the base pipeline: a name of `pretrain.augment.AUGMENTATIONS`, or several joined by `+`."""
    aug_options: dict[str, Any] = Field(default_factory=dict)
    """The augmentation's own fields; for several, a mapping of each one's name to its fields."""
    aug_composition: Composition = "draw"
    """How several are composed: one drawn for each image, or all in turn."""
    aug_views: Literal["query", "both"] = "query"
    """Which views it is applied to. On both, masks are drawn for each view, while a blend is the same in both: each
    image with the same partner and share, so that its own key is all of its target. The sources leave this open."""
    mixed_target: MixedTarget = "i-mix"
    """What a blended query is compared with. `i-mix`: all keys of the batch and the queue, each source's key a target by
    its share (arXiv:2010.08887). `un-mix`: own key or partner's key against the queue, by their shares, beside the loss
    of the query without the blend (arXiv:2003.05438). `none`: its own key against the queue, whatever was blended in."""
    pipeline: str = "mocov2"
    """Base pipeline: a name of `pretrain.augment.views.PIPELINES`."""
    pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields of the base pipeline that differ from it, for both views."""
    key_pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields that differ for the key's view alone; they have the last word there."""
    classes: Classes = None
    """Classes to train on: a share of them drawn with the seed, the name of a list in `configs/classes`, or a file with one
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
    """Short side in pixels that larger images are resized to before they are cropped. Without it: none if nothing is kept;
    with `cache`, the side at which the smallest crop has as many pixels as the view, size / √(smallest crop scale)."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """What an unreadable image does: end the run, or give its place to the next readable one, counted and listed."""
    supervision: Literal["self", "semi", "full"] = "self"
    """Whether no, some or all images keep their label."""
    label_fraction: float | None = Field(None, ge=0, le=1)
    """Share of each class's images that keep their label: 0 for self, 0.5 for semi unless given, 1 for full."""
    label_list: TextFile | None = None
    """For semi, instead of a fraction: file that names the images that keep their label, one `class/name` or name per line."""
    label_mode: Literal["positives", "mean-positives", "drop-negatives"] = "positives"
    """What a key of the query's class is: a positive, of which the least similar counts most (UniMoCo) or all alike (SupCon's
    L_out, as in SupMoCo); or no negative."""
    arch: Arch = "resnet50"
    """Backbone: torchvision's."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """The backbone's first layers: torchvision's, or one 3 × 3 convolution of stride 1 for views of up to 64 pixels."""
    size: int = Field(224, ge=16)
    """Side of a view, in pixels."""
    epochs: int = Field(200, ge=1)
    """Passes over the training images."""
    batch: int = Field(256, ge=2)
    """Images per step, all processes together."""
    base_lr: float = Field(0.03, gt=0)
    """Learning rate at a batch of 256; scaled linearly with the batch (arXiv:1706.02677)."""
    schedule: Literal["cosine", "step"] = "cosine"
    """Learning rate per epoch: half a cosine to 0, or × 0.1 at 60 % and 80 % of the epochs (MoCo v1)."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum as published, or AdamW, which needs fewer steps where there are only hundreds."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD."""
    weight_decay: float = Field(1e-4, ge=0)
    """On all parameters, biases and norms included, as published."""
    queue: int = Field(65536, ge=2)
    """Length K of the queue of keys."""
    fill_queue: bool = False
    """Fill the queue with keys before the first optimiser step. The published queue starts as random vectors, easy
    negatives that push all features into one direction; long runs recover from it, runs of minutes don't."""
    temperature: float = Field(0.2, gt=0)
    """Softmax temperature. MoCo v2's; v1 has 0.07."""
    key_momentum: float = Field(0.999, ge=0, le=1)
    """Share of the key encoder kept at each step."""
    projector: Literal["linear", "mlp"] = "mlp"
    """Head on the backbone: MoCo v2's two layers, or MoCo v1's one."""
    feature_dim: int = Field(128, ge=2)
    """Length of queries and keys."""
    bn_splits: int = Field(1, ge=1)
    """Parts in which a batch passes through the encoders, each with its own batch statistics, the keys shuffled:
    what ShuffleBN over that many processes does, on one."""
    sync_bn: bool = False
    """Batch statistics over all processes, in place of ShuffleBN. CUDA only."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the encoders' arithmetic; parameters and loss are fp32. `auto` is bf16 where the hardware has it."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of everything random."""

    num_workers: int = Field(2, ge=0)
    """Loader processes; 0 loads in the process itself."""
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        method = methods.get(self.method)
        self.augmentation()
        self.pipelines()
        fraction = self.labels_used
        if fraction is None and (self.supervision != "semi" or self.label_fraction is not None):
            given = "label_fraction" if self.label_fraction is not None else f"supervision {self.supervision!r}"
            raise ValueError(
                f"a label list says which labels are used, which contradicts {given}; give the list alone, with semi"
            )
        if (self.supervision == "self" and fraction != 0) or (self.supervision == "full" and fraction != 1):
            raise ValueError(f"supervision {self.supervision!r} contradicts label_fraction {fraction:g}; semi takes a fraction")
        if method.needs_labels and fraction == 0:
            raise ValueError(f"the method {self.method!r} needs labels; use supervision semi or full")
        if method.negatives == "queue" and self.queue % self.batch:
            nearest = max(self.batch, round(self.queue / self.batch) * self.batch)
            raise ValueError(f"the queue ({self.queue}) must be a multiple of the batch ({self.batch}); nearest is {nearest}")
        if self.batch % self.bn_splits or self.batch // self.bn_splits < 2:
            raise ValueError(f"bn_splits ({self.bn_splits}) must divide the batch ({self.batch}) into parts of at least 2")
        if self.stem == "small" and self.size > SMALL_STEM_LIMIT:
            raise ValueError(f"the small stem is for views of up to {SMALL_STEM_LIMIT} pixels, and size is {self.size}")
        if self.mixed_target == "un-mix" and method.loss != "info-nce":
            raise ValueError(f"mixed_target un-mix is a contrastive loss, and {self.method!r} has none; use i-mix or none")
        return self

    @property
    def labels_used(self) -> float | None:
        """The label fraction that the supervision regime means; None where a list says which images keep their label."""
        if self.label_list is not None:
            return None
        if self.label_fraction is not None:
            return self.label_fraction
        return {"self": 0.0, "semi": 0.5, "full": 1.0}[self.supervision]

    @property
    def lr(self) -> float:
        """Initial learning rate at this batch."""
        return self.base_lr * self.batch / 256

    @property
    def filling_steps(self) -> int:
        """First steps that fill the queue and move no parameter."""
        return self.queue // self.batch if self.fill_queue else 0

    @property
    def kept_side(self) -> int | None:
        """Short side in pixels that images are resized to before they are cropped; None: they stay as they are."""
        if self.cache_side is None and self.cache is not None:
            return math.ceil(self.size / math.sqrt(min(pipeline.crop_scale[0] for pipeline in self.pipelines())))
        return self.cache_side

    def numbers(self) -> dict[str, Any]:
        """The fields that change the numbers. What is kept changes them by its size, where it is kept doesn't."""
        return {**super().numbers(), "cache_side": self.kept_side}

    def augmentation(self) -> augment.Augmentation:
        """The augmentation with its options."""
        return augment.make(self.aug, self.aug_options, composition=self.aug_composition)

    def pipelines(self) -> tuple[Pipeline, Pipeline]:
        """The base pipelines of the query's and of the key's view, with their options.

        Raises:
            ConfigError: For an unknown pipeline, option or value.
        """
        if self.pipeline not in PIPELINES:
            raise ConfigError.unknown("pipeline", self.pipeline, PIPELINES)
        query, key = (one.replace(self.pipeline_options, where="pipeline_options") for one in PIPELINES[self.pipeline])
        return query, key.replace(self.key_pipeline_options, where="key_pipeline_options")

    def provenance(self, *, data: str, fingerprint: str, labels: float) -> Provenance:
        """What the backbone's file says about this run; `labels` is the share of images that a list leaves their label."""
        rest = {key: value for key, value in self.numbers().items() if key not in Provenance.model_fields}
        return Provenance(
            method=self.method,
            aug=self.aug,
            supervision=self.supervision,
            label_fraction=labels if self.labels_used is None else self.labels_used,
            arch=self.arch,
            data=data,
            data_fingerprint=fingerprint,
            epochs=self.epochs,
            seed=self.seed,
            settings=digest(rest),
        )

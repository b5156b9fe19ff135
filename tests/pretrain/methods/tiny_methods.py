"""A network of two convolutions, and every method made as small, so that a step takes milliseconds."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pretrain import backbones, methods
from pretrain.augment.mixed import Mixed
from pretrain.backbones import Architecture
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.learner import Learner

BATCH, SIZE, LOCAL, CLASSES = 8, 32, 16, 4
SMALL: dict[str, Any] = {
    "hidden": 16, "feature_dim": 8, "queue": 2 * BATCH, "prototypes": 12, "outputs": 24, "bottleneck": 8, "local_size": LOCAL,
    "queue_epoch": 1, "freeze_steps": 5, "freeze_epochs": 2,
}  # fmt: skip
"""Settings of the methods that have them. Something is still frozen in the second epoch of three steps."""
OWN: dict[str, dict[str, Any]] = {"simsiam": {"predictor": 4}, "swav": {"local_views": 2}, "dino": {"local_views": 2}}


@dataclass(frozen=True)
class TinyNet(Architecture):
    """Two convolutions with norms."""

    family: ClassVar[str] = "tiny"
    head: ClassVar[str] = "fc"
    parts: ClassVar[frozenset[str]] = frozenset({"0", "1", "3", "4"})
    names: ClassVar[re.Pattern[str]] = re.compile(r"\d+\.\w+")
    first: ClassVar[str] = "0.weight"
    features: ClassVar[str] = "the mean over the last feature map"

    name: str = "tiny"
    width: int = 12
    map_names: tuple[str, ...] = ("last",)
    norms: bool = True

    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        """See `Architecture`."""
        model = nn.Sequential()
        for inputs, channels, stride in ((3, 8, 4), (8, self.width, 2)):
            model.append(nn.Conv2d(inputs, channels, 3, stride=stride, padding=1))
            model.append(nn.BatchNorm2d(channels) if self.norms else nn.Identity())
            model.append(nn.ReLU())
        model.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten())
        model.add_module("fc", nn.Linear(self.width, outputs))
        return model

    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        """See `Architecture`."""
        assert isinstance(trunk, nn.Sequential)
        return [trunk[:-3](images)]  # all but pooling, flattening and the classifier's place

    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        """See `Architecture`."""
        return None


def register() -> None:
    """Add the network to the table, with norms over batches and without."""
    module = ModuleType("pretrain.backbones.tiny")
    module.TINY, module.PLAIN = TinyNet(), TinyNet(name="plain", norms=False)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    backbones.BACKBONES["tiny"], backbones.BACKBONES["plain"] = "tiny:TINY", "tiny:PLAIN"


def unregister() -> None:
    """Take it out again."""
    for name in ("tiny", "plain"):
        backbones.BACKBONES.pop(name, None)


def config(method: str, **fields: Any) -> PretrainConfig:
    """A run of a method on the tiny network; fields are the method's own or the run's."""
    known = methods.get(method).model_fields
    own = {name: value for name, value in {**SMALL, **OWN.get(method, {})}.items() if name in known}
    own |= {name: fields.pop(name) for name in list(fields) if name in known}
    supervision = {"supervision": "full"} if methods.get(method).labels == "required" else {}
    shared = {"arch": "tiny", "size": SIZE, "batch": BATCH, "epochs": 3, "precision": "fp32", "schedule.warmup_epochs": 0}
    return PretrainConfig.read({**shared, **supervision, **fields, "method": {"name": method, **own}})


def learner(wanted: PretrainConfig) -> Any:
    """The learner of a run, drawn with a seed."""
    torch.manual_seed(0)
    made: Learner = wanted.method.learner(wanted.shape(CLASSES)).train()
    return made


def crops(wanted: PretrainConfig, seed: int, images: int = BATCH) -> list[Tensor]:
    """Random crops (N, 3, S, S) uint8, one for each view; the views of an image have a colour in common."""
    rng = torch.Generator().manual_seed(seed)
    colour = torch.randint(0, 200, (images, 3, 1, 1), generator=rng)
    made = (torch.randint(0, 56, (images, 3, view.size, view.size), generator=rng) for view in wanted.views())
    return [(colour + noise).to(torch.uint8) for noise in made]


def images(wanted: PretrainConfig, seed: int = 0, number: int = BATCH) -> list[Tensor]:
    """Views (N, 3, S, S) as a network sees them."""
    return [(crop.float() - 128) / 64 for crop in crops(wanted, seed, number)]


def batch(clean: list[Tensor], seen: list[Mixed] | None = None, labels: Tensor | None = None, **fields: Any) -> Batch:
    """A batch in the middle of a run of ten steps, unless `progress` says otherwise."""
    number = len(clean[0])
    labels = torch.full((number,), -1) if labels is None else labels
    progress = fields.pop("progress", Progress(5, 10, 1, 2))
    views = tuple(seen or map(Mixed, clean))
    return Batch(views, tuple(clean), labels, torch.arange(number), progress, **fields)


def every(*without: str) -> Iterator[str]:
    """The methods but these."""
    return (name for name in methods.METHODS if name not in without)

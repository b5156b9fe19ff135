"""Published code beside ours: imported from a clone that an environment variable names, and never copied.

Both sides get the same weights, the same batches and optimisers of the same rule; ten steps are taken by each.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.learner import Learner

STEPS, IMAGES, SIZE = 10, 8, 32
TINY = {"arch": "resnet18", "size": SIZE, "batch": IMAGES, "precision": "fp32", "epochs": 20}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put the clone that a variable names first on the path, for this test; calls of `.cuda()` change nothing."""
    before, roots = set(sys.modules), []

    def use(variable: str) -> None:
        root = os.environ.get(variable)
        if root is None:
            pytest.skip(f"{variable} names no clone of the published code")
        roots.append(Path(root).resolve())
        monkeypatch.syspath_prepend(root)
        for kind in (Tensor, nn.Module):
            monkeypatch.setattr(kind, "cuda", lambda self, *_, **__: self)
        # Ten steps of a network with batch norms amplify the rounding of one step a hundred thousand times: both sides run in
        # double precision, which a method's own return to single would end.
        torch.set_default_dtype(torch.float64)
        monkeypatch.setattr(Tensor, "float", Tensor.double)
        dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", world_size=1, rank=0)

    yield use
    torch.set_default_dtype(torch.float32)
    if dist.is_initialized():
        dist.destroy_process_group()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and any(Path(file).resolve().is_relative_to(root) for root in roots):
            del sys.modules[name]


@pytest.fixture
def tools() -> ModuleType:
    """What the tests share: this module."""
    return sys.modules[__name__]


def read(method: str, **fields: Any) -> PretrainConfig:
    """A tiny configuration of a method; its own settings are those given."""
    shared = {name: fields.pop(name) for name in list(fields) if name in {"arch", "size", "batch", "recipe"}}
    return PretrainConfig.read({**TINY, **shared, "method": {"name": method, **fields}})


def built(config: PretrainConfig) -> Learner:
    """The learner of a configuration, drawn with a seed."""
    torch.manual_seed(0)
    return config.method.learner(config.shape(classes=4)).train()


def given(module: nn.Module, *sources: Mapping[str, Tensor]) -> None:
    """Load tensors in order, by shape: both sides name their layers differently and have them in one order."""
    theirs = [tensor for source in sources for tensor in source.values()]
    mine = list(module.state_dict().values())
    assert [tuple(each.shape) for each in mine] == [tuple(each.shape) for each in theirs]
    with torch.no_grad():
        for own, other in zip(mine, theirs, strict=True):
            own.copy_(other)


def part(state: Mapping[str, Tensor], prefix: str, *, without: str = "\0") -> dict[str, Tensor]:
    """The tensors below a prefix, without those below another."""
    return {name: tensor for name, tensor in state.items() if name.startswith(prefix) and not name.startswith(without)}


@dataclass
class Beside:
    """Ten steps of both sides."""

    config: PretrainConfig
    ours: Learner
    theirs: Callable[[Batch], Tensor]
    """The published loss of a batch."""
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    """Ours and theirs."""
    pairs: Callable[[], list[tuple[Tensor, Tensor]]]
    """Our tensors beside theirs, parameters or not."""
    after: Callable[[Batch], None] = lambda batch: None
    """What the published loop does after a step."""
    prepare: Callable[[Batch], None] = lambda batch: None
    """What it does before the optimiser's step, once gradients are there."""
    epochs: int = 2
    labels: int = 0
    """Classes of the images; 0: they have no label."""
    differences: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, float]:
        """Take the steps; returns the largest relative differences of losses, first gradients and tensors."""
        for step in range(STEPS):
            batch = self.batch(step)
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            self.ours.before_forward(batch.progress)
            torch.manual_seed(step)
            losses = self.ours(batch)
            torch.manual_seed(step)
            other = self.theirs(batch)
            losses.total.backward()
            other.backward()
            if step == 0:
                self._note("gradients", [(a.grad, b.grad) for a, b in self.pairs() if None not in (a.grad, b.grad)])
            self._note("losses", [(losses.total.detach(), other.detach())])
            self.ours.after_backward(batch.progress)
            self.prepare(batch)
            for optimizer in self.optimizers:
                optimizer.step()
            torch.manual_seed(step)
            self.ours.after_step(batch, losses)
            torch.manual_seed(step)
            self.after(batch)
        self._note("tensors", self.pairs())
        print({name: f"{value:.2g}" for name, value in self.differences.items()})
        return self.differences

    def batch(self, step: int) -> Batch:
        """The views of a step: noise that an image's views share, and noise of their own."""
        rng = torch.Generator().manual_seed(step)
        views = []
        common = torch.randn(IMAGES, 3, 1, 1, generator=rng)
        for view in self.config.views():
            views.append(common + torch.randn(IMAGES, 3, view.size, view.size, generator=rng))
        labels = torch.randint(0, self.labels, (IMAGES,), generator=rng) if self.labels else torch.full((IMAGES,), -1)
        progress = Progress(step, STEPS, step * self.epochs // STEPS, self.epochs)
        return Batch(tuple(map(Mixed, views)), tuple(views), labels, torch.arange(IMAGES), progress)

    def _note(self, what: str, pairs: Any) -> None:
        pairs = list(pairs)
        # Biases before a norm have gradients of rounding alone.
        largest = max(float(theirs.detach().abs().max()) for _, theirs in pairs)
        for mine, theirs in ((mine.detach(), theirs.detach()) for mine, theirs in pairs):
            scale = max(float(theirs.abs().max()), 1e-3 * largest)
            found = float((mine.double() - theirs.double()).abs().max()) / scale
            self.differences[what] = max(self.differences.get(what, 0.0), found)


def sgd(parameters: Any) -> torch.optim.SGD:
    """The optimiser of both sides, where a method's own is compared elsewhere."""
    return torch.optim.SGD(parameters, 0.003, momentum=0.9, weight_decay=1e-4)


def mocov3_sides(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Return the loss of MoCo v3's own code on a batch, and what pairs its parameters with ours."""

    def loss(batch: Any) -> torch.Tensor:
        step, steps = batch.progress.step, batch.progress.steps
        momentum = 1 - 0.5 * (1 + math.cos(math.pi * step / steps)) * (1 - 0.99)
        return theirs(*batch.clean, momentum)

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        mine = [*ours.online.parameters(), *ours.predictor.parameters(), *ours.target.branch.parameters()]
        other = [theirs.base_encoder, theirs.predictor, theirs.momentum_encoder]
        return list(zip(mine, [p for each in other for p in each.parameters()], strict=True))

    return loss, pairs

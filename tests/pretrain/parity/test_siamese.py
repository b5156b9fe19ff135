"""SimSiam, MoCo v3, BYOL and MoCo v2+ beside their published codes."""

import math
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from pretrain.batch import Progress
from pretrain.parts.target import rising

pytestmark = pytest.mark.parity
Clone = Callable[[str], None]


def trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def test_simsiam(tools: Any, clone: Clone) -> None:
    clone("SIMSIAM_REPO")
    from simsiam.builder import SimSiam

    theirs = SimSiam(torchvision.models.resnet18, 64, 16).train()
    config = tools.read("simsiam", feature_dim=64, predictor=16)
    ours = tools.built(config)
    state = theirs.state_dict()
    tools.given(ours.online, tools.part(state, "encoder.", without="encoder.fc"), tools.part(state, "encoder.fc"))
    tools.given(ours.predictor, tools.part(state, "predictor"))
    cosine = torch.nn.CosineSimilarity(dim=1)

    def loss(batch: Any) -> torch.Tensor:
        p1, p2, z1, z2 = theirs(*batch.clean)
        return -(cosine(p1, z2).mean() + cosine(p2, z1).mean()) * 0.5

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        mine = [*ours.online.parameters(), *ours.predictor.parameters()]
        return list(zip(mine, [*theirs.encoder.parameters(), *theirs.predictor.parameters()], strict=True))

    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(trained(theirs))
    differences = tools.Beside(config, ours, loss, both, pairs).run()
    assert max(differences.values()) < 1e-5
    assert not list(ours.online.head)[6].bias.requires_grad


def test_mocov3(tools: Any, clone: Clone) -> None:
    clone("MOCOV3_REPO")
    from moco.builder import MoCo_ResNet

    network = partial(torchvision.models.resnet18, zero_init_residual=True)
    theirs = MoCo_ResNet(network, 64, 128, 1.0).train()
    config = tools.read("mocov3", feature_dim=64, hidden=128)
    ours = tools.built(config)
    state = theirs.state_dict()
    for mine, name in ((ours.online, "base_encoder."), (ours.target.branch, "momentum_encoder.")):
        tools.given(mine, tools.part(state, name, without=f"{name}fc"), tools.part(state, f"{name}fc"))
    tools.given(ours.predictor, tools.part(state, "predictor"))

    loss, pairs = tools.mocov3_sides(ours, theirs)
    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(trained(theirs))
    assert max(tools.Beside(config, ours, loss, both, pairs).run().values()) < 1e-5


def airl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest network of the published code in the place of its ResNet-50."""
    import models.siamese_network as siamese
    from models.resnet import resnet18

    monkeypatch.setattr(siamese, "resnet50", resnet18)


def of_airl(tools: Any, ours: Any, theirs: Any, predictor: int) -> None:
    """Load the published weights; `predictor`: tensors of the online head that are our predictor's."""
    state = theirs.state_dict()
    online = tools.part(state, "online_encoder.", without="online_encoder.fc")
    head = tools.part(state, "online_encoder.fc")
    names = list(head)
    inner = {name: head[name] for name in names[: len(names) - predictor]}
    tools.given(ours.online, online, inner)
    if predictor:
        tools.given(ours.predictor, {name: head[name] for name in names[len(names) - predictor :]})
    target = tools.part(state, "target_encoder.", without="target_encoder.fc")
    tools.given(ours.target.branch, target, tools.part(state, "target_encoder.fc"))


def side_by_side(ours: Any, theirs: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    mine = [*ours.online.parameters(), *ours.predictor.parameters(), *ours.target.branch.parameters()]
    return list(zip(mine, [*theirs.online_encoder.parameters(), *theirs.target_encoder.parameters()], strict=True))


def moved(theirs: Any, batch: Any) -> None:
    count = batch.progress.step + 1
    theirs.momentum_update(1 - (1 - 0.99) * (math.cos(math.pi * count / batch.progress.steps) + 1) * 0.5)


ENCODERS: dict[str, Any] = {
    "width": 1,
    "MLP": "byol",
    "predictor": {"online": True, "target": False},
    "bn": {"online": "vanilla", "target": "vanilla"},
}


def test_byol_sgd(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone("REVISITAIRL_REPO")
    from exp.byol import BYOL_Network, Normalized_L2Loss

    airl(monkeypatch)
    theirs = BYOL_Network(64, 128, CLS=False, **ENCODERS).train()
    theirs.partial_eval()
    config = tools.read("byol-sgd", feature_dim=64, hidden=128)
    ours = tools.built(config)
    of_airl(tools, ours, theirs, len(ours.predictor.state_dict()))
    criterion = Normalized_L2Loss()

    def loss(batch: Any) -> torch.Tensor:
        out = theirs(batch.clean)
        return criterion(out["online1"], out["target2"]) + criterion(out["online2"], out["target1"])

    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(theirs.online_encoder.parameters())
    beside = tools.Beside(
        config, ours, loss, both, lambda: side_by_side(ours, theirs), after=lambda batch: moved(theirs, batch)
    )
    assert max(beside.run().values()) < 1e-5


@pytest.mark.parametrize("symmetric", [False, True])
def test_mocov2plus(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch, symmetric: bool) -> None:
    clone("REVISITAIRL_REPO")
    from exp.mocov2_plus import MoCov2Plus_Network

    airl(monkeypatch)
    kind = {"MLP": "mcv2p", "predictor": {"online": False, "target": False}} if symmetric else {}
    theirs = MoCov2Plus_Network(64, 128, CLS=True, queue_size=4 * tools.IMAGES, temperature=0.2, **{**ENCODERS, **kind}).train()
    theirs.partial_eval()
    config = tools.read("smocov2plus" if symmetric else "mocov2plus", feature_dim=64, hidden=128, queue=4 * tools.IMAGES)
    ours = tools.built(config)
    of_airl(tools, ours, theirs, len(ours.predictor.state_dict()))
    ours.queue.keys.copy_(theirs.queue.T)
    coins = iter([float(torch.rand((), generator=torch.Generator().manual_seed(step))) for step in range(tools.STEPS)])
    monkeypatch.setattr(np.random, "rand", lambda: next(coins))  # ours is drawn with the same seed

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [*side_by_side(ours, theirs), (ours.queue.keys, theirs.queue.T)]

    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(theirs.online_encoder.parameters())
    beside = tools.Beside(
        config, ours, lambda batch: theirs(batch.clean)["loss"], both, pairs, after=lambda batch: moved(theirs, batch)
    )
    assert max(beside.run().values()) < 1e-5


def test_the_rates_of_mocov3(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone("MOCOV3_REPO")
    monkeypatch.setitem(sys.modules, "vits", ModuleType("vits"))  # it needs a timm of 2021
    from main_moco import adjust_learning_rate, adjust_moco_momentum

    config = tools.read("mocov3", recipe={"epochs": 30, "batch": 512})
    args = SimpleNamespace(lr=0.6 * 512 / 256, warmup_epochs=10, epochs=30, moco_m=0.99)
    for step in range(0, 300, 7):
        theirs = adjust_learning_rate(SimpleNamespace(param_groups=[{}]), step / 10, args)
        ours = config.recipe.lr_at(step=step, steps=300, epoch=step // 10, epochs=30)
        assert ours == pytest.approx(theirs, rel=1e-9)
        assert rising(0.99, Progress(step, 300, step // 10, 30)) == pytest.approx(adjust_moco_momentum(step / 10, args))


def test_the_rates_of_simsiam(tools: Any, clone: Clone) -> None:
    clone("SIMSIAM_REPO")
    from main_simsiam import adjust_learning_rate

    config = tools.read("simsiam", recipe={"epochs": 30, "batch": 512})
    groups: list[dict[str, Any]] = [{"fix_lr": False}, {"fix_lr": True}]
    built = config.recipe.build_optimizer(tools.built(config).trained())
    for epoch in range(30):
        adjust_learning_rate(SimpleNamespace(param_groups=groups), 0.05 * 512 / 256, epoch, SimpleNamespace(epochs=30))
        config.recipe.schedule_optimizer(built, step=epoch * 10, steps=300, epoch=epoch, epochs=30)
        assert [group["lr"] for group in built.param_groups] == pytest.approx([group["lr"] for group in groups])


@pytest.mark.parametrize(("method", "start"), [("byol-sgd", 0.03), ("byol-lars", 0.3), ("mocov2plus", 0.03)])
def test_the_rates_of_revisitairl(tools: Any, clone: Clone, method: str, start: float) -> None:
    clone("REVISITAIRL_REPO")
    from exp.byol import Trainer

    trainer = Trainer()
    trainer.ITERS_PER_EPOCH, trainer.total_iters, trainer.lr = 10, 300, start
    trainer.optimizer = SimpleNamespace(param_groups=[{}])
    config = tools.read(method, recipe={"epochs": 30, "batch": 256})
    for step in range(300):
        trainer.iter_count = step
        theirs = trainer.adjust_learning_rate_iter(SimpleNamespace(total_epochs=30))
        ours = config.recipe.lr_at(step=step, steps=300, epoch=step // 10, epochs=30)
        assert ours == pytest.approx(theirs, rel=1e-9)
        trainer.iter_count = step + 1
        trainer.momentum_decay()
        assert rising(0.99, Progress(step, 300, step // 10, 30), ahead=1) == pytest.approx(trainer.param_momentum, rel=1e-9)

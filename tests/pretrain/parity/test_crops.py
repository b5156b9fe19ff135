"""SwAV and DINO, with small crops, beside their published codes."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pretrain.batch import Progress
from pretrain.lars import FORMS, Lars
from pretrain.parts.target import rising

pytestmark = pytest.mark.parity
Clone = Callable[[str], None]


class Parallel(nn.Module):
    """What `DistributedDataParallel` looks like from outside."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Any) -> Any:
        return self.module(inputs)


def swav_code(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The published loop, whose optimiser of another package is stubbed."""
    for name in ("apex", "apex.parallel", "apex.parallel.LARC"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["apex.parallel.LARC"].LARC = None  # type: ignore[attr-defined]
    import main_swav

    return main_swav


@pytest.mark.parametrize("queue", [0, 16])
def test_swav(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch, queue: int) -> None:
    clone("SWAV_REPO")
    code = swav_code(monkeypatch)
    from src.resnet50 import BasicBlock, ResNet

    theirs = ResNet(BasicBlock, [2, 2, 2, 2], normalize=True, hidden_mlp=32, output_dim=16, nmb_prototypes=12).train()
    config = tools.read(
        "swav",
        hidden=32,
        feature_dim=16,
        prototypes=12,
        local_views=2,
        local_size=16,
        queue=queue,
        queue_epoch=0,
        freeze_steps=4,
    )
    ours = tools.built(config)
    state = theirs.state_dict()
    trunk = {name: value for name, value in state.items() if not name.startswith(("projection_head", "prototypes"))}
    tools.given(ours.online, trunk, tools.part(state, "projection_head"))
    tools.given(ours.prototypes, tools.part(state, "prototypes"))
    wrapped, held = Parallel(theirs), [torch.zeros(2, queue, 16) if queue else None]
    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(theirs.parameters())
    code.args = SimpleNamespace(
        crops_for_assign=[0, 1], nmb_crops=[2, 2], temperature=0.1, epsilon=0.05, sinkhorn_iterations=3, world_size=1,
        use_fp16=False, freeze_prototypes_niters=4, rank=1,
    )  # fmt: skip

    class Once:
        """The published loop takes the whole step: what ours takes apart happens there."""

        def zero_grad(self) -> None:
            both[1].zero_grad()

        def step(self) -> None:
            """Leave it to the comparison."""

        param_groups: list[dict[str, float]] = []

    def loss(batch: Any) -> torch.Tensor:
        step = batch.progress.step
        inputs = [list(batch.clean)]
        # epoch = step, one batch each: the loop counts iterations as epoch × batches + index
        (_, value), held[0] = code.train(inputs, wrapped, Once(), step, np.zeros(tools.STEPS), held[0])
        return Done(value)

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        other = [p for name, p in theirs.named_parameters() if not name.startswith(("projection_head", "prototypes"))]
        other += [*theirs.projection_head.parameters(), *theirs.prototypes.parameters()]
        mine = [*ours.online.parameters(), *ours.prototypes.parameters()]
        found = list(zip(mine, other, strict=True))
        return [*found, (ours.queue.flatten(1, 2), held[0])] if queue else found

    assert max(tools.Beside(config, ours, loss, both, pairs).run().values()) < 1e-5


class Done:
    """A loss whose backward pass was taken already."""

    def __init__(self, value: float) -> None:
        self.value = value

    def backward(self) -> None:
        """Do nothing."""

    def detach(self) -> torch.Tensor:
        return torch.tensor(self.value)


def test_dino(tools: Any, clone: Clone) -> None:
    clone("DINO_REPO")
    import main_dino
    import torchvision
    import utils
    import vision_transformer

    networks = []
    for _ in range(2):
        head = vision_transformer.DINOHead(512, 24, hidden_dim=32, bottleneck_dim=16)
        networks.append(utils.MultiCropWrapper(torchvision.models.resnet18(), head).train())
    student, teacher = networks
    teacher.load_state_dict(student.state_dict())
    config = tools.read("dino", hidden=32, bottleneck=16, outputs=24, local_views=2, local_size=16)
    ours = tools.built(config)
    for mine, other in ((ours.online, student), (ours.target.branch, teacher)):
        state = other.state_dict()
        tools.given(mine, tools.part(state, "backbone."), tools.part(state, "head."))
    criterion = main_dino.DINOLoss(24, 4, 0.04, 0.04, 0, 2)
    trained = [p for p in student.parameters() if p.requires_grad]
    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(trained)

    def loss(batch: Any) -> torch.Tensor:
        views = list(batch.clean)
        found: torch.Tensor = criterion(student(views), teacher(views[:2]), batch.progress.epoch)
        return found

    def prepare(batch: Any) -> None:
        utils.clip_gradients(student, 3.0)
        utils.cancel_gradients_last_layer(batch.progress.epoch, student, 1)

    momenta = utils.cosine_scheduler(0.996, 1, 1, tools.STEPS)

    def after(batch: Any) -> None:
        momentum = momenta[batch.progress.step]
        with torch.no_grad():
            for mine, other in zip(student.parameters(), teacher.parameters(), strict=True):
                other.mul_(momentum).add_((1 - momentum) * mine)

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        mine = [*ours.online.parameters(), *ours.target.branch.parameters(), ours.centre]
        return list(zip(mine, [*student.parameters(), *teacher.parameters(), criterion.center], strict=True))

    beside = tools.Beside(config, ours, loss, both, pairs, after=after, prepare=prepare)
    assert max(beside.run().values()) < 1e-5


def test_the_rates_of_dino(tools: Any, clone: Clone) -> None:
    clone("DINO_REPO")
    import utils

    config = tools.read("dino", outputs=8, local_views=0, recipe={"epochs": 30, "batch": 512})
    rates = utils.cosine_scheduler(5e-4 * 512 / 256, 1e-6, 30, 10, warmup_epochs=10)
    decays, momenta = utils.cosine_scheduler(0.04, 0.4, 30, 10), utils.cosine_scheduler(0.996, 1, 30, 10)
    for step in range(300):
        where = {"step": step, "steps": 300, "epoch": step // 10, "epochs": 30}
        assert config.recipe.lr_at(**where) == pytest.approx(rates[step], rel=1e-9)
        assert config.recipe.weight_decay_at(**where) == pytest.approx(decays[step], rel=1e-9)
        assert rising(0.996, Progress(**where)) == pytest.approx(momenta[step], rel=1e-9)


def test_lars_of_dino(clone: Clone) -> None:
    clone("DINO_REPO")
    import utils

    rng = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=rng), torch.randn(4, generator=rng)]
    mine, theirs = ([nn.Parameter(each.clone()) for each in start] for _ in range(2))
    plain = {"weight_decay": 0.0, "adapt": False}
    groups = [{"params": mine[:1], "weight_decay": 0.1, "adapt": True}, {"params": mine[1:], **plain}]
    ours = Lars(groups, FORMS["facebook"], momentum=0.9, trust=0.001)
    other = utils.LARS(theirs, lr=0.0, weight_decay=0.1, weight_decay_filter=utils_filter, lars_adaptation_filter=utils_filter)
    for rate in (0.1, 0.3, 0.2):
        for optimizer in (ours, other):
            for group in optimizer.param_groups:
                group["lr"] = rate
        for own, their in zip(mine, theirs, strict=True):
            own.grad = torch.randn(own.shape, generator=rng)
            their.grad = own.grad.clone()
        ours.step()
        other.step()
    for own, their in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, their, rtol=1e-12, atol=0)


def utils_filter(parameter: torch.Tensor) -> bool:
    return parameter.dim() == 1

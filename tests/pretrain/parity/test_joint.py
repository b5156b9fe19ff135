"""SimCLR, SupCon, Barlow Twins and VICReg beside their published codes."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as Torchvisions

from pretrain.lars import FORMS, Lars

pytestmark = pytest.mark.parity
Clone = Callable[[str], None]
LABELLED = {"supervision": "full"}


@pytest.mark.parametrize("classes", [0, 3])
def test_supcon_and_twice_simclr(tools: Any, clone: Clone, classes: int) -> None:
    """With labels SupCon's loss at a factor of 1; without, SimCLR's, which is twice the mean over all anchors."""
    clone("SUPCON_REPO")
    from losses import SupConLoss

    config = tools.read("simclr", feature_dim=16, hidden=32, temperature=0.2)
    ours = tools.built(config)
    criterion = SupConLoss(temperature=0.2, base_temperature=0.2)
    beside = tools.Beside(config, ours, lambda batch: batch, (None, None), list, labels=classes)
    for step in range(3):
        batch = beside.batch(step)
        with torch.no_grad():
            mine = float(ours(batch).total)
            views = torch.stack([F.normalize(each, dim=1) for each in ours.online.by_size(batch.clean)], dim=1)
        theirs = criterion(views, batch.labels) if classes else criterion(views)
        assert mine == pytest.approx(2 * float(theirs), rel=1e-9)


def test_the_factor_of_supcon(tools: Any, clone: Clone) -> None:
    clone("SUPCON_REPO")
    from losses import SupConLoss

    config = tools.read("supcon", feature_dim=16, hidden=32)
    ours = tools.built(config)
    batch = tools.Beside(config, ours, lambda batch: batch, (None, None), list, labels=3).batch(0)
    with torch.no_grad():
        mine = float(ours(batch).total)
        views = torch.stack([F.normalize(each, dim=1) for each in ours.online.by_size(batch.clean)], dim=1)
    assert mine == pytest.approx(float(SupConLoss(temperature=0.1)(views, batch.labels)), rel=1e-9)


def small(**kwargs: Any) -> Torchvisions:
    """A network of bottlenecks whose features are as wide as a ResNet-50's."""
    return Torchvisions(Bottleneck, [1, 1, 1, 1], **kwargs)


def joint(tools: Any, monkeypatch: pytest.MonkeyPatch, method: str, **fields: Any) -> Any:
    """Our learner on the small network."""
    monkeypatch.setattr("torchvision.models.resnet50", small)
    config = tools.read(method, arch="resnet50", hidden=64, feature_dim=64, **fields)
    return config, tools.built(config)


@pytest.mark.filterwarnings("ignore:c10d.*autograd kernel")  # the published code adds up outside the gradient
@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_barlow_twins(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    clone("BARLOWTWINS_REPO")
    import main

    config, ours = joint(tools, monkeypatch, "barlowtwins")
    theirs = main.BarlowTwins(SimpleNamespace(projector="64-64-64", batch_size=tools.IMAGES, lambd=0.0051)).train()
    state = theirs.state_dict()
    tools.given(ours.online, tools.part(state, "backbone."), tools.part(state, "projector."))
    weights, vectors = ([p for p in theirs.parameters() if (p.dim() == 1) == one] for one in (False, True))
    both: Any = tools.sgd(p for _, p in ours.trained()), tools.sgd(theirs.parameters())
    if optimizer == "lars":
        groups = config.recipe.parameter_groups(ours.trained())
        both = Lars(groups, FORMS["facebook"], momentum=0.9, trust=0.001), main.LARS(
            [{"params": weights}, {"params": vectors}], lr=0, weight_decay=1e-6, weight_decay_filter=True,
            lars_adaptation_filter=True,
        )  # fmt: skip

    def rates(batch: Any) -> None:
        if optimizer == "lars":
            for ours_, theirs_ in zip(both[0].param_groups, both[1].param_groups, strict=True):
                theirs_["lr"] = ours_["lr"]

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        other = [*theirs.backbone.parameters(), *theirs.projector.parameters()]
        return list(zip(ours.online.parameters(), other, strict=True))

    def loss(batch: Any) -> torch.Tensor:
        found: torch.Tensor = theirs(*batch.clean)
        return found

    assert max(tools.Beside(config, ours, loss, both, pairs, prepare=rates).run().values()) < 1e-5


def test_vicreg(tools: Any, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone("VICREG_REPO")
    import main_vicreg

    monkeypatch.setitem(main_vicreg.resnet.__dict__, "tiny", lambda **kwargs: (small_of_theirs(main_vicreg, **kwargs), 2048))
    config, ours = joint(tools, monkeypatch, "vicreg")
    wanted = {"sim_coeff": 25.0, "std_coeff": 25.0, "cov_coeff": 1.0}
    theirs = main_vicreg.VICReg(SimpleNamespace(arch="tiny", mlp="64-64-64", batch_size=tools.IMAGES, **wanted)).train()
    state = theirs.state_dict()
    tools.given(ours.online, tools.part(state, "backbone."), tools.part(state, "projector."))

    def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
        other = [*theirs.backbone.parameters(), *theirs.projector.parameters()]
        return list(zip(ours.online.parameters(), other, strict=True))

    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(theirs.parameters())
    beside = tools.Beside(config, ours, lambda batch: theirs(*batch.clean), both, pairs)
    assert max(beside.run().values()) < 1e-5


def small_of_theirs(code: ModuleType, **kwargs: Any) -> torch.nn.Module:
    network: torch.nn.Module = code.resnet.ResNet(code.resnet.Bottleneck, [1, 1, 1, 1], **kwargs)
    return network


@pytest.mark.parametrize(("method", "variable", "module"), [
    ("barlowtwins", "BARLOWTWINS_REPO", "main"),
    ("vicreg", "VICREG_REPO", "main_vicreg"),
])  # fmt: skip
def test_the_rates(tools: Any, clone: Clone, method: str, variable: str, module: str) -> None:
    clone(variable)
    __import__(module)
    code = sys.modules[module]
    config = tools.read(method, hidden=8, feature_dim=8, recipe={"epochs": 30, "batch": 512})
    built = config.recipe.build_optimizer(tools.built(config).trained())
    args = SimpleNamespace(epochs=30, batch_size=512, base_lr=0.2, learning_rate_weights=0.2, learning_rate_biases=0.0048)
    groups: list[dict[str, float]] = [{}, {}]
    for step in range(0, 300, 7):
        code.adjust_learning_rate(args, SimpleNamespace(param_groups=groups), range(10), step)
        config.recipe.schedule_optimizer(built, step=step, steps=300, epoch=step // 10, epochs=30)
        assert [group["lr"] for group in built.param_groups] == pytest.approx([group["lr"] for group in groups], rel=1e-9)

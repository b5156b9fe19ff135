"""The audit of running statistics: networks whose statistics the test makes, read rightly and wrongly."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.images.normalise import IMAGENET, Input
from pretrain.inputs import normalised
from transfer import audit, sources
from transfer.audit import alternatives, distance
from transfer.audit.alternatives import BYTES, HALF, INPUTS, ONE, ZERO
from transfer.audit.verdict import FARTHEST, Verdict
from transfer.engines.precise_bn import precise_bn
from transfer.sources import Backbone

SIZE = 32
WARM, COLD, GREY = (0.6, 0.45, 0.3), (0.25, 0.4, 0.6), (0.45, 0.45, 0.45)
"""Mean colours of images."""


def images(count: int, seed: int, colour: tuple[float, float, float] = WARM, contrast: float = 0.22) -> Tensor:
    """Draw smooth images with edges (N, 3, S, S), whose colours go together as those of photographs do."""
    rng = torch.Generator().manual_seed(seed)
    octaves = [torch.randn(count, 4, side, side, generator=rng) for side in (2, 4, 8, 16, 32)]
    fields = sum(F.interpolate(each, SIZE, mode="bilinear") * 8 / each.shape[2] for each in octaves)
    light, colours = fields[:, :1], fields[:, 1:]
    mixed = light.sign() * light.abs().sqrt() + 0.3 * colours
    mixed = mixed / mixed.std((0, 2, 3), keepdim=True)
    return (torch.tensor(colour).view(1, 3, 1, 1) + contrast * mixed).clamp(0, 1)


def trained(arch: str, seen: Input = IMAGENET, change: Callable[[nn.Module], None] = lambda network: None) -> Backbone:
    """Make a backbone whose statistics are those of a function on some images; its weights are drawn."""
    return _trained(arch, seen, change)


@cache
def _trained(arch: str, seen: Input, change: Callable[[nn.Module], None]) -> Backbone:
    drawn = sources.load(f"random:{arch}")
    state = dict(drawn.state)
    rng = torch.Generator().manual_seed(1)
    for name, tensor in state.items():
        if ".bn" in name or name.startswith("bn"):
            if name.endswith("weight"):
                state[name] = 0.5 + torch.rand(tensor.shape, generator=rng)
            elif name.endswith("bias"):
                state[name] = 0.3 * torch.randn(tensor.shape, generator=rng)
    network = drawn.architecture.network(state)
    change(network)
    for norm in distance.norms(network):
        norm.train()
    with torch.no_grad():
        precise_bn(network, network, normalised(images(128, 0), seen).split(128))
    kept = network.state_dict()
    state = {name: kept[name] if "running" in name else tensor for name, tensor in state.items()}
    provenance = drawn.provenance.replace({"method": "unknown"})
    return replace(drawn, state=state, provenance=provenance)


def read(backbone: Backbone, **fields: Any) -> Backbone:
    return replace(backbone, recipe=backbone.recipe.replaced(fields))


def title(verdict: Verdict) -> str:
    return verdict.better[0].title if verdict.better else ""


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize(
    "other", [images(64, 1), images(64, 2, COLD), images(64, 3, GREY, 0.1), images(64, 4, (0.85, 0.8, 0.85), 0.1)]
)
def test_a_right_reading_raises_no_warning_on_images_of_any_colour_and_contrast(arch: str, other: Tensor) -> None:
    verdict = audit.compare(trained(arch), other)
    assert verdict.warning() is None, verdict
    assert 0 < verdict.typical < FARTHEST


WRONG: dict[str, dict[str, Any]] = {
    "0 to 1": {"mean": ZERO, "std": ONE},
    "−1 to 1": {"mean": HALF, "std": HALF},
    "0 to 255": {"mean": ZERO, "std": BYTES},
    "Caffe's": {"order": "BGR", "mean": INPUTS["BGR of 0 to 255 less ImageNet's mean"].mean, "std": BYTES},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("colour", [WARM, COLD])
def test_another_range_mean_or_deviation_is_noticed_and_the_right_one_named(
    name: str, colour: tuple[float, float, float]
) -> None:
    verdict = audit.compare(read(trained("resnet18"), **WRONG[name]), images(64, 5, colour))
    assert verdict.better is not None
    assert getattr(verdict.better[0], "seen", None) in (IMAGENET, Input("BGR", IMAGENET.mean, IMAGENET.std)), verdict
    assert verdict.typical == 0


@pytest.mark.parametrize("name", WRONG)
def test_a_network_that_saw_something_else_is_noticed_where_it_is_read_as_usual(name: str) -> None:
    usual = trained("resnet18").recipe
    verdict = audit.compare(trained("resnet18", usual.replaced(WRONG[name]).seen), images(64, 5))
    assert title(verdict).startswith(("RGB of", "BGR of")), verdict
    assert "say --input-order" in str(verdict.warning())


def test_the_order_of_channels_is_noticed_by_the_colour_that_images_have() -> None:
    swapped = read(trained("resnet18"), order="BGR", mean=IMAGENET.mean[::-1], std=IMAGENET.std[::-1])
    assert "--input-order RGB" in str(audit.compare(swapped, images(64, 6)).warning())
    assert audit.compare(swapped, images(64, 6, GREY)).warning() is None


def test_eps_is_not_noticed() -> None:
    assert audit.compare(read(trained("resnet18"), eps=1e-3), images(64, 7)).warning() is None


def test_a_stride_in_the_other_convolution_is_noticed() -> None:
    verdict = audit.compare(trained("resnet50", IMAGENET, alternatives.move_strides), images(64, 8, COLD))
    assert "say --stride-in 1x1" in str(verdict.warning())
    verdict = audit.compare(read(trained("resnet50"), stride="1x1"), images(64, 8, COLD))
    assert "say --stride-in 3x3" in str(verdict.warning())


@pytest.mark.parametrize("change", [alternatives.anti_alias, alternatives.smooth])
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_another_way_to_halve_and_another_activation_are_noticed(arch: str, change: Callable[[nn.Module], None]) -> None:
    verdict = audit.compare(trained(arch, IMAGENET, change), images(64, 9, COLD))
    assert verdict.better is not None
    assert getattr(verdict.better[0], "change", None) is change
    assert "take another checkpoint" in str(verdict.warning())


def test_statistics_of_another_network_are_noticed() -> None:
    backbone = trained("resnet18")
    rng = torch.Generator().manual_seed(2)
    mixed = {
        name: tensor[torch.randperm(len(tensor), generator=rng)] if "running" in name else tensor
        for name, tensor in backbone.state.items()
    }
    assert (
        "of two networks" in str(audit.compare(replace(backbone, state=mixed), images(64, 1)).warning())
        or audit.compare(replace(backbone, state=mixed), images(64, 1)).better
    )


def test_what_has_no_statistics_of_training_is_skipped_and_said() -> None:
    folded = {name: torch.zeros_like(t) if "running_mean" in name else t for name, t in trained("resnet18").state.items()}
    assert "no batch norms" in audit.unfit(replace(sources.load("random:vit_small"), provenance=trained("resnet18").provenance))
    assert "untrained" in audit.unfit(sources.load("random:resnet18"))
    assert "folded" in audit.unfit(replace(trained("resnet18"), state=folded))
    assert audit.unfit(trained("resnet18")) == ""
    verdict = audit.compare(trained("resnet18"), images(4, 1))
    assert (verdict.warning(), verdict.numbers()) == (None, {})
    assert "4 images" in verdict.line()


def test_an_audit_draws_no_number_and_leaves_the_backbone_as_it_is() -> None:
    backbone, before = trained("resnet18"), torch.get_rng_state()
    copies = {name: tensor.clone() for name, tensor in backbone.state.items()}
    first, again = (audit.compare(backbone, images(64, 1)) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(backbone.state[name], tensor) for name, tensor in copies.items())


def test_the_distance_is_the_divergence_of_two_normal_distributions() -> None:
    norm = nn.BatchNorm2d(3, eps=0.0)
    norm.running_mean, norm.running_var = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 4.0, 9.0])
    values = torch.randn(512, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2
    a = [torch.distributions.Normal(values[:, c].mean(), values[:, c].std()) for c in range(3)]
    b = [torch.distributions.Normal(m, v.sqrt()) for m, v in zip(norm.running_mean, norm.running_var, strict=True)]
    wanted = torch.stack([torch.distributions.kl_divergence(p, q) for p, q in zip(a, b, strict=True)]).median()
    assert distance.first(norm, values) == pytest.approx(float(wanted), rel=1e-4)


def test_statistics_of_few_batches_are_not_warned_of() -> None:
    """A batch counts for a tenth: what two of them left is mostly the 0 and 1 that a norm starts with."""
    wrong = read(trained("resnet18"), **WRONG["0 to 255"])
    for batches, warned in ((2, False), (1000, True)):
        state = {name: torch.tensor(batches) if name.endswith("num_batches_tracked") else t for name, t in wrong.state.items()}
        verdict = audit.compare(replace(wrong, state=state), images(64, 5))
        assert (verdict.warning() is not None) == warned
        assert ("few batches in training, 2," in verdict.line()) == (not warned)

"""Views by fused passes are those of the pipeline; only what is rounded otherwise differs."""

import pytest
import torch

from pretrain.augment import fused
from pretrain.augment.pipelines import PIPELINES
from pretrain.config import PretrainConfig
from pretrain.inputs import Inputs, normalised

NEAR = 2e-5
"""Of normalised values of about ±2.6."""


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As written: the compiler takes minutes, and the check of a GPU compares what it makes."""
    monkeypatch.setattr(fused, "compiled", lambda function: function)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_base_pipeline_makes_the_same_views(name: str) -> None:
    for pipeline in PIPELINES[name]:
        images = torch.rand(32, 3, 20, 24, generator=torch.Generator().manual_seed(1))
        before, rngs = images.clone(), [torch.Generator().manual_seed(2) for _ in range(2)]
        plain, found = normalised(pipeline(images, rngs[0])), fused.view(pipeline, images, rngs[1])
        assert torch.equal(images, before)
        assert found.stride() == plain.stride()
        assert torch.equal(rngs[0].get_state(), rngs[1].get_state())  # the same numbers are drawn
        torch.testing.assert_close(found, plain, rtol=0, atol=NEAR)


def test_each_operation_alone_makes_the_same_views() -> None:
    images = torch.rand(32, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    off = dict.fromkeys(("jitter", "grey", "blur", "solarize", "flip"), 0.0)
    for name in off:
        pipeline = PIPELINES["mocov2"][0].replace({**off, name: 0.5})
        plain, found = (torch.Generator().manual_seed(3) for _ in range(2))
        torch.testing.assert_close(
            fused.view(pipeline, images, found),
            normalised(pipeline(images, plain)),
            rtol=0,
            atol=NEAR if name == "jitter" else 0,
        )


def test_it_changes_nothing_on_a_cpu_and_no_identity() -> None:
    config = PretrainConfig.read({"fused_views": True})
    assert not Inputs.of(config).fused
    assert Inputs.of(config, "cuda:0").fused
    assert config.identity() == PretrainConfig.read({}).identity()

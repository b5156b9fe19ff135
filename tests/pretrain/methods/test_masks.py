"""Under every method a mask is on what the trained network sees, and on what makes its targets only with `aug_views=both`."""

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pretrain import methods
from pretrain.batch import Batch
from pretrain.core.errors import ConfigError
from pretrain.trainer import Trainer

WHOLE_BATCH = ("barlowtwins", "vicreg")


def made(tiny: ModuleType, name: str, **fields: Any) -> tuple[Trainer, Batch]:
    trainer = Trainer(tiny.config(name, **fields), 3 * tiny.BATCH, tiny.CLASSES, "cpu")
    labels = torch.arange(tiny.BATCH) % tiny.CLASSES
    return trainer, trainer.batch(tiny.crops(trainer.config, 0), labels, trainer.progress(0))


def seen_by(network: torch.nn.Module, learner: Any, batch: Batch) -> list[Tensor]:
    """The images of every pass through a network."""
    passes: list[Tensor] = []
    hook = network.register_forward_pre_hook(lambda module, inputs: passes.append(inputs[0].detach().clone()))
    learner(batch)
    hook.remove()
    return passes


@pytest.mark.parametrize("views", ["query", "both"])
@pytest.mark.parametrize("name", [name for name in methods.METHODS if name != "supervised"])
def test_targets_see_clean_views_unless_the_mask_is_on_both(tiny: ModuleType, name: str, views: str) -> None:
    trainer, batch = made(tiny, name, aug="cutout", aug_views=views)
    learner: Any = trainer.learner
    for view, mixed, clean in zip(trainer.config.views(), batch.views, batch.clean, strict=True):
        masked = view.role != "target" or views == "both"
        assert mixed.sources is None
        assert torch.equal(mixed.images, clean) is not masked
    expected = [view.images for view in batch.views] if views == "both" else list(batch.clean)
    assert all(torch.equal(a, b) for a, b in zip(batch.targets, expected, strict=True))
    taught = [v for v, view in enumerate(trainer.config.views()) if view.role != "online"]
    target = {"mocov1": "key", "mocov2": "key"}.get(name, "target")
    if trainer.config.method.targets == "momentum":
        passes = seen_by(getattr(learner, target).branch.trunk, learner, batch)
        assert torch.equal(torch.cat(passes), torch.cat([expected[v] for v in taught]))
    if trainer.config.method.targets == "shared":
        passes = seen_by(learner.online.trunk, learner, batch)
        whole = [images for images in passes if images.shape[-1] == tiny.SIZE]
        wanted = [batch.views[v].images for v in taught] + ([] if views == "both" else [batch.clean[v] for v in taught])
        assert torch.equal(torch.cat(whole), torch.cat(wanted))


@pytest.mark.parametrize("name", methods.METHODS)
@pytest.mark.parametrize("aug", ["cutmix", "mixup"])
def test_blends_reach_the_loss_with_their_sources_or_are_refused(tiny: ModuleType, name: str, aug: str) -> None:
    if name in WHOLE_BATCH:
        with pytest.raises(ConfigError, match=f"takes no {aug}: its loss compares batches as wholes"):
            tiny.config(name, aug=aug)
        return
    trainer, batch = made(tiny, name, aug=aug)
    for view, mixed in zip(trainer.config.views(), batch.views, strict=True):
        assert (mixed.sources is None) is (view.role == "target")
    loss = trainer.learner(batch).total.detach()
    alone = Batch(
        tuple(type(view)(view.images) for view in batch.views), batch.clean, batch.labels, batch.order, batch.progress
    )
    assert not torch.equal(trainer.learner(alone).total.detach(), loss)  # who their sources are makes a difference

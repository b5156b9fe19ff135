"""What a network answers to an augmentation that asks, and what asking leaves as it was."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from pretrain import methods
from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError
from pretrain.guides import guides
from pretrain.images.labels import UNLABELLED
from pretrain.trainer import Trainer
from transfer.representation.settings import MeasureSettings

TINY = {"arch": "resnet18", "stem": "small", "size": 16, "epochs": 1, "warmup_epochs": 0, "batch": 8, "precision": "fp32"}
OWN = {"queue": 16, "feature_dim": 8, "hidden": 32, "prototypes": 8, "outputs": 16, "local_views": 0}
LABELS = torch.tensor([0, 1, 0, 1, 0, UNLABELLED, 1, 0])


def config(**fields: Any) -> PretrainConfig:
    method = methods.get(fields.get("method", methods.DEFAULT))
    own = {name: OWN[name] for name in OWN.keys() & method.model_fields.keys()}
    supervision = "full" if method.labels == "required" else "self"
    return PretrainConfig.read({**TINY, **own, "supervision": supervision, **fields})


def trainer(**fields: Any) -> Trainer:
    return Trainer(config(**fields), images=32, classes=2, device="cpu")


def crops(made: Trainer) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    shapes = [(8, 3, view.size, view.size) for view in made.config.views()]
    return [torch.randint(0, 256, shape, dtype=torch.uint8, generator=draws) for shape in shapes]


def plain(made: Trainer) -> Batch:
    """A batch before any augmentation."""
    batch = Trainer(made.config.replace({"aug": "none"}), images=32, classes=2, device="cpu")
    return batch.batch(crops(made), LABELS, made.progress(0))


BLENDING = [name for name in methods.METHODS if not methods.get(name).refuses_blends]


@pytest.mark.parametrize("method", BLENDING)
def test_asking_changes_no_tensor_of_any_method_and_answers_for_every_view_that_is_trained(method: str) -> None:
    made = trainer(method=method, aug="puzzlemix")
    made.learner.before_forward(made.progress(0))
    before = {name: tensor.clone() for name, tensor in made.learner.state_dict().items()}
    batch = plain(made)
    answers, losses = guides(made.learner, batch, ["saliency"], shared=False)
    assert losses is None
    assert all(torch.equal(before[name], tensor) for name, tensor in made.learner.state_dict().items())
    assert all(parameter.grad is None for parameter in made.learner.parameters())
    for view, answer in zip(made.config.views(), answers, strict=True):
        if view.role == "online" or answer is not None:
            assert answer is not None
            assert answer.maps["saliency"].shape == (8, view.size, view.size)
            assert float(answer.maps["saliency"].flatten(1).sum(dim=1).min()) > 0
        assert (answer is None) == (view.role == "target")
    torch.manual_seed(0)
    assert torch.isfinite(made.learner(made.batch(crops(made), LABELS, made.progress(0))).total)


def test_the_saliency_is_how_much_the_loss_moves_with_a_pixel() -> None:
    """By differences: one pixel's three channels, one after the other."""
    made = trainer(aug="puzzlemix")
    batch = plain(made)
    for module in made.learner.modules():
        if hasattr(module, "relu"):
            module.relu = torch.nn.Softplus()  # no kinks: a difference is a slope then

    def loss(images: torch.Tensor) -> float:
        views = (Mixed(images), Mixed(batch.clean[1]))
        with torch.no_grad():
            return float(made.learner(replace(batch, views=views, clean=(images, batch.clean[1]))).total)

    answers, _ = guides(made.learner, batch, ["saliency"], shared=False)
    maps = answers[0].maps["saliency"]
    most = int(maps[5].argmax())
    for n, i, j in ((0, 3, 4), (5, *divmod(most, maps.shape[2]))):  # where a difference stands out of the loss's rounding
        slopes = []
        for channel in range(3):
            step = torch.zeros_like(batch.clean[0])
            step[n, channel, i, j] = 0.1
            slopes.append((loss(batch.clean[0] + step) - loss(batch.clean[0] - step)) / 0.2)
        expected = torch.tensor(slopes).square().mean().sqrt()
        torch.testing.assert_close(maps[n, i, j].float(), expected.float(), rtol=2e-2, atol=0)


def gradients(made: Trainer, batch: Batch) -> list[torch.Tensor]:
    made.learner.zero_grad()
    made.learner(batch).total.backward()
    return [parameter.grad for _, parameter in made.learner.trained()]


def test_the_pass_that_the_saliency_comes_of_is_un_mixs_own() -> None:
    """Loss and gradients are those of a step that makes both passes anew."""
    made = trainer(aug="puzzlemix")
    assert made.config.method.mixed_target == "un-mix"
    made.learner.before_forward(made.progress(0))
    batch = made.batch(crops(made), LABELS, made.progress(0))
    assert batch.before is not None
    shared, anew = gradients(made, batch), gradients(made, replace(batch, before=None))
    for one, other in zip(shared, anew, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_where_keys_are_blends_or_the_target_is_another_the_pass_is_made_for_the_saliency_alone() -> None:
    for fields in ({"aug_views": "both"}, {"mixed_target": "i-mix"}, {"mixed_target": "none"}):
        made = trainer(aug="puzzlemix", **fields)
        assert made.batch(crops(made), LABELS, made.progress(0)).before is None


def test_un_mix_is_the_target_of_what_asks_for_the_saliency_unless_another_is_said() -> None:
    assert config(aug="puzzlemix").method.mixed_target == "un-mix"
    assert config(aug="cutmix+puzzlemix").method.mixed_target == "un-mix"
    assert config(aug="puzzlemix", mixed_target="i-mix").method.mixed_target == "i-mix"
    assert config(aug="puzzlemix", method="mocov2plus").method.mixed_target == "i-mix"  # which has no un-mix
    assert config(aug="cutmix").method.mixed_target == "i-mix"


def test_a_measure_of_the_representation_refuses_what_asks_a_network_that_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"probe cutmix\+puzzlemix needs a network that is trained(.|\n)*saliency maps"):
        MeasureSettings.read({"probe": "cutmix+puzzlemix"})


@pytest.mark.parametrize("method", sorted(set(methods.METHODS) - set(BLENDING)))
def test_a_method_that_takes_no_blends_takes_none_that_asks(method: str) -> None:
    with pytest.raises(ConfigError, match="takes no puzzlemix"):
        config(method=method, aug="puzzlemix")

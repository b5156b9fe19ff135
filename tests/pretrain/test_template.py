"""The methods' definitions in plain loops, on 16-pixel images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.augment.mixed import Mixed, pairs
from pretrain.config import PretrainConfig
from pretrain.template import Template, encoder
from pretrain.trainer import lr_at

TINY = {"arch": "resnet18", "size": 16, "batch": 8, "queue": 16, "feature_dim": 8, "precision": "fp32"}


def config(**fields: object) -> PretrainConfig:
    return PretrainConfig.read({**TINY, **fields})


def batch(n: int = 8, seed: int = 0) -> tuple[Mixed, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return Mixed(torch.randn(n, 3, 16, 16, generator=rng)), torch.randn(n, 3, 16, 16, generator=rng), torch.arange(n) % 2


def test_a_step_follows_moco_by_its_definition() -> None:
    torch.manual_seed(0)
    template = Template(config(), classes=2).train()
    with torch.no_grad():
        for parameter in template.key.parameters():
            parameter.add_(0.01)  # so that the moving average shows
    before = {name: p.clone() for name, p in template.key.named_parameters()}
    queue = template.queue.clone()
    query, key_images, labels = batch()
    step = template(query.images, query, key_images, labels, torch.arange(8))
    template.enqueue(step.keys, labels)
    share = template.config.key_momentum
    for name, parameter in template.key.named_parameters():
        expected = share * before[name] + (1 - share) * dict(template.query.named_parameters())[name]
        torch.testing.assert_close(parameter, expected)
    q = F.normalize(template.query(query.images), dim=1).detach()  # batch statistics: the pass before changed no output
    k = F.normalize(template.key(key_images), dim=1)
    total = 0.0
    for i in range(8):
        scores = [float(q[i] @ k[i])] + [float(q[i] @ queue[:, j]) for j in range(16)]
        exp = np.exp(np.array(scores) / 0.2)
        total -= np.log(exp[0] / exp.sum())
    assert float(step.loss.detach()) == pytest.approx(total / 8, rel=1e-4)
    torch.testing.assert_close(template.queue[:, :8], k.T)
    torch.testing.assert_close(template.queue[:, 8:], queue[:, 8:])


def test_norm_statistics_of_the_key_encoder_are_its_own() -> None:
    torch.manual_seed(0)
    template = Template(config(), classes=2).train()
    query, key_images, labels = batch()
    template(query.images, query, key_images * 5, labels, torch.arange(8))
    assert not torch.equal(template.key.bn1.running_mean, template.query.bn1.running_mean)


def test_the_queue_is_first_in_first_out_and_carries_labels() -> None:
    template = Template(config(supervision="full"), classes=2).train()
    for step in range(3):
        query, key_images, labels = batch(seed=step)
        keys = template(query.images, query, key_images, labels, torch.arange(8)).keys
        template.enqueue(keys, labels + step)
    assert template.queue_labels.tolist() == [*(torch.arange(8) % 2 + 2).tolist(), *(torch.arange(8) % 2 + 1).tolist()]
    torch.testing.assert_close(template.queue.norm(dim=0), torch.ones(16))


def test_split_batches_are_normalised_apart_and_keys_come_back_in_order() -> None:
    torch.manual_seed(0)
    template = Template(config(bn_splits=2), classes=2).train()
    _, key_images, _ = batch()
    order = torch.tensor([3, 1, 6, 0, 2, 7, 5, 4])
    share = template.config.key_momentum
    assert share < 1
    keys = template._keys(key_images, order)
    for half in (order[:4], order[4:]):
        torch.testing.assert_close(keys[half], F.normalize(template.key(key_images[half]), dim=1), rtol=1e-4, atol=1e-5)


def blended(n: int = 8) -> tuple[Mixed, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch whose queries are blends, with its clean images, key images and labels."""
    rng = torch.Generator().manual_seed(1)
    clean, key_images = torch.randn(2, n, 3, 16, 16, generator=rng)
    partner, weight = torch.randperm(n, generator=rng), torch.rand(n, generator=rng)
    images = torch.lerp(clean[partner], clean, weight.view(-1, 1, 1, 1))
    return Mixed(images, *pairs(partner, weight)), clean, key_images, torch.arange(n) % 3


def cross_entropy(scores: list[float], own: int, temperature: float = 0.2) -> float:
    exp = np.exp(np.array(scores) / temperature)
    return float(-np.log(exp[own] / exp.sum()))


def encoded(template: Template, images: torch.Tensor, network: str) -> torch.Tensor:
    return F.normalize(getattr(template, network)(images), dim=1).detach()


@pytest.mark.parametrize("target", ["i-mix", "un-mix", "none"])
def test_the_loss_of_blends_follows_its_source(target: str) -> None:
    torch.manual_seed(0)
    template = Template(config(mixed_target=target), classes=3).train()
    query, clean, key_images, labels = blended()
    queue = template.queue.clone()
    step = template(clean, query, key_images, labels, torch.arange(8))
    q, k = encoded(template, query.images, "query"), encoded(template, key_images, "key")
    plain = encoded(template, clean, "query")
    assert query.sources is not None
    assert query.weights is not None
    total = 0.0
    for i in range(8):
        partner, weight = int(query.sources[i, 1]), float(query.weights[i, 0])
        against_queue = [float(q[i] @ queue[:, j]) for j in range(16)]
        if target == "i-mix":  # all keys of the batch and the queue, both sources' keys by their shares
            scores = [float(q[i] @ k[j]) for j in range(8)] + against_queue
            total += weight * cross_entropy(scores, i) + (1 - weight) * cross_entropy(scores, partner)
            continue
        own = cross_entropy([float(q[i] @ k[i]), *against_queue], 0)
        if target == "none":
            total += own
            continue
        other = cross_entropy([float(q[i] @ k[partner]), *against_queue], 0)
        unblended = [float(plain[i] @ k[i])] + [float(plain[i] @ queue[:, j]) for j in range(16)]
        total += cross_entropy(unblended, 0) + weight * own + (1 - weight) * other
    assert float(step.loss.detach()) == pytest.approx(total / 8, rel=1e-4)


@pytest.mark.parametrize("mode", ["positives", "mean-positives", "drop-negatives"])
def test_labels_of_a_blend_count_by_its_shares(mode: str) -> None:
    torch.manual_seed(0)
    template = Template(config(supervision="full", label_mode=mode), classes=3).train()
    template.queue_labels.copy_(torch.arange(16) % 4 - 1)  # every fourth unlabelled
    query, clean, key_images, labels = blended()
    labels[5] = -1
    queue, queue_labels = template.queue.clone(), template.queue_labels.clone()
    step = template(clean, query, key_images, labels, torch.arange(8))
    q, k = encoded(template, query.images, "query"), encoded(template, key_images, "key")
    known = torch.cat([labels, queue_labels]).tolist()
    assert query.sources is not None
    assert query.weights is not None
    total = 0.0
    for i in range(8):
        scores = [float(q[i] @ c) / 0.2 for c in [*k, *queue.T]]
        for source, weight in zip(query.sources[i].tolist(), query.weights[i].tolist(), strict=True):
            same = {c for c, label in enumerate(known) if label != -1 and label == int(labels[source])} - {source}
            negatives = sum(np.exp(s) for c, s in enumerate(scores) if c != source and c not in same)
            if mode == "mean-positives":
                every = sum(np.exp(s) for s in scores)
                terms = [-np.log(np.exp(scores[c]) / every) for c in {source} | same]
                total += weight * sum(terms) / len(terms)
            elif mode == "positives":
                positives = sum(np.exp(-scores[c]) for c in {source} | same)
                total += weight * np.log(1 + negatives * positives)
            else:
                total += weight * np.log(1 + negatives * np.exp(-scores[source]))
    assert float(step.loss.detach()) == pytest.approx(total / 8, rel=1e-4)


def test_cross_entropy_of_blends_is_each_labels_by_its_share() -> None:
    torch.manual_seed(0)
    template = Template(config(method="supervised", supervision="full"), classes=3).train()
    query, clean, _, labels = blended()
    step = template(clean, query, None, labels, torch.arange(8))
    log_p = F.log_softmax(template.query(query.images), dim=1).detach()
    assert query.sources is not None
    assert query.weights is not None
    expected = 0.0
    for i in range(8):
        for source, weight in zip(query.sources[i].tolist(), query.weights[i].tolist(), strict=True):
            expected -= weight * float(log_p[i, labels[source]]) / 8
    assert float(step.loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_bf16_rounds_the_encoders_and_not_the_loss() -> None:
    torch.manual_seed(0)
    exact = Template(config(), classes=2).train()
    torch.manual_seed(0)
    rounded = Template(config(precision="bf16"), classes=2).train()
    query, key_images, labels = batch()
    losses = [float(t(query.images, query, key_images, labels, torch.arange(8)).loss.detach()) for t in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert all(p.dtype == torch.float32 for p in rounded.query.parameters())


def test_the_small_stem_keeps_the_resolution() -> None:
    small, large = (encoder(config(stem=stem), classes=2) for stem in ("small", "imagenet"))
    images = torch.zeros(2, 3, 32, 32)
    assert small.conv1(images).shape[-1] == 32
    assert small.maxpool(small.conv1(images)).shape[-1] == 4 * large.maxpool(large.conv1(images)).shape[-1]
    assert small.conv1.weight.shape == (64, 3, 3, 3)


def test_the_cosine_falls_per_epoch_and_the_steps_come_at_60_and_80_percent() -> None:
    cosine, steps = config(epochs=10), config(epochs=10, schedule="step")
    assert lr_at(cosine, 0) == pytest.approx(cosine.lr)
    assert lr_at(cosine, 5) == pytest.approx(cosine.lr / 2)
    assert [round(lr_at(steps, e) / steps.lr, 4) for e in (0, 5, 6, 7, 8, 9)] == [1, 1, 0.1, 0.1, 0.01, 0.01]

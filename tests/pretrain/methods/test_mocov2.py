"""MoCo and the classifier against their definitions in plain loops, on 16-pixel images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.augment.mixed import Mixed, pairs
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.learner import Learner

TINY = {"arch": "resnet18", "size": 16, "batch": 8, "queue": 16, "feature_dim": 8, "precision": "fp32"}


def config(**fields: object) -> PretrainConfig:
    return PretrainConfig.read({**TINY, **fields})


def learner(classes: int = 2, **fields: object) -> Learner:
    wanted = config(**fields)
    return wanted.method.learner(wanted.shape(classes)).train()


def as_batch(clean: list[torch.Tensor], query: Mixed, labels: torch.Tensor, order: torch.Tensor | None = None) -> Batch:
    """A batch of a query and, where `clean` has a second view, a key."""
    views = (query, *(Mixed(images) for images in clean[1:]))
    return Batch(views, tuple(clean), labels, torch.arange(len(labels)) if order is None else order, Progress(0, 10, 0, 1))


def batch(n: int = 8, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    query, key = (torch.randn(n, 3, 16, 16, generator=rng) for _ in range(2))
    return as_batch([query, key], Mixed(query), torch.arange(n) % 2)


def test_a_step_follows_moco_by_its_definition() -> None:
    torch.manual_seed(0)
    moco = learner()
    with torch.no_grad():
        for parameter in moco.key.parameters():
            parameter.add_(0.01)  # so that the moving average shows
    before = {name: p.clone() for name, p in moco.key.branch.named_parameters()}
    queue = moco.queue.keys.clone()
    step = batch()
    moco.before_forward(step.progress)
    losses = moco(step)
    moco.after_step(step, losses)
    share = moco.method.momentum
    for name, parameter in moco.key.branch.named_parameters():
        expected = share * before[name] + (1 - share) * dict(moco.query.named_parameters())[name]
        torch.testing.assert_close(parameter, expected)
    query, key = (view.images for view in step.views)
    q = F.normalize(moco.query(query), dim=1).detach()  # batch statistics: the pass before changed no output
    k = F.normalize(moco.key(key), dim=1)
    total = 0.0
    for i in range(8):
        scores = [float(q[i] @ k[i])] + [float(q[i] @ queue[:, j]) for j in range(16)]
        exp = np.exp(np.array(scores) / 0.2)
        total -= np.log(exp[0] / exp.sum())
    assert float(losses.total.detach()) == pytest.approx(total / 8, rel=1e-4)
    torch.testing.assert_close(moco.queue.keys[:, :8], k.T)
    torch.testing.assert_close(moco.queue.keys[:, 8:], queue[:, 8:])


def test_the_accuracy_is_how_often_the_own_key_is_the_nearest_candidate() -> None:
    torch.manual_seed(0)
    moco, step = learner(), batch()
    with torch.no_grad():
        moco.queue.keys[:, 0] = F.normalize(moco.query(step.views[0].images)[3], dim=0)  # one negative is one query itself
    losses = moco(step)
    q, k = F.normalize(moco.query(step.views[0].images), dim=1), F.normalize(moco.key(step.views[1].images), dim=1)
    right = [bool((q[i] @ k[i]) >= (q[i] @ moco.queue.keys).max()) for i in range(8)]
    assert float(losses.diagnostics["accuracy"]) == pytest.approx(sum(right) / 8)
    assert not right[3]


def test_norm_statistics_of_the_key_encoder_are_its_own() -> None:
    torch.manual_seed(0)
    moco, step = learner(), batch()
    far = as_batch([step.clean[0], step.clean[1] * 5], step.views[0], step.labels)
    moco(far)
    assert not torch.equal(moco.key.branch.trunk.bn1.running_mean, moco.query.trunk.bn1.running_mean)


def test_the_queue_is_first_in_first_out_and_carries_labels() -> None:
    moco = learner(supervision="full")
    for number in range(3):
        step = batch(seed=number)
        later = as_batch(list(step.clean), step.views[0], step.labels + number)
        moco.after_step(later, moco(later))
    assert moco.queue.labels.tolist() == [*(torch.arange(8) % 2 + 2).tolist(), *(torch.arange(8) % 2 + 1).tolist()]
    torch.testing.assert_close(moco.queue.keys.norm(dim=0), torch.ones(16))


def test_split_batches_are_normalised_apart_and_keys_come_back_in_order() -> None:
    torch.manual_seed(0)
    moco, step = learner(bn_splits=2), batch()
    order, images = torch.tensor([3, 1, 6, 0, 2, 7, 5, 4]), step.views[1].images
    keys = moco(as_batch(list(step.clean), step.views[0], step.labels, order)).carried["keys"]
    whole = moco.key.branch
    for half in (order[:4], order[4:]):
        alone = whole.head(whole.trunk(images[half]))
        torch.testing.assert_close(keys[half], F.normalize(alone, dim=1), rtol=1e-4, atol=1e-5)


def blended(n: int = 8) -> tuple[Mixed, list[torch.Tensor], torch.Tensor]:
    """Queries that are blends, the views before they were blended, and labels."""
    rng = torch.Generator().manual_seed(1)
    clean, key_images = torch.randn(2, n, 3, 16, 16, generator=rng)
    partner, weight = torch.randperm(n, generator=rng), torch.rand(n, generator=rng)
    images = torch.lerp(clean[partner], clean, weight.view(-1, 1, 1, 1))
    return Mixed(images, *pairs(partner, weight)), [clean, key_images], torch.arange(n) % 3


def cross_entropy(scores: list[float], own: int, temperature: float = 0.2) -> float:
    exp = np.exp(np.array(scores) / temperature)
    return float(-np.log(exp[own] / exp.sum()))


def encoded(moco: Learner, images: torch.Tensor, network: str) -> torch.Tensor:
    return F.normalize(getattr(moco, network)(images), dim=1).detach()


@pytest.mark.parametrize("target", ["i-mix", "un-mix", "none"])
def test_the_loss_of_blends_follows_its_source(target: str) -> None:
    torch.manual_seed(0)
    moco = learner(3, mixed_target=target)
    query, views, labels = blended()
    queue = moco.queue.keys.clone()
    losses = moco(as_batch(views, query, labels))
    q, k = encoded(moco, query.images, "query"), encoded(moco, views[1], "key")
    plain = encoded(moco, views[0], "query")
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
    assert float(losses.total.detach()) == pytest.approx(total / 8, rel=1e-4)


@pytest.mark.parametrize("mode", ["positives", "mean-positives", "drop-negatives"])
def test_labels_of_a_blend_count_by_its_shares(mode: str) -> None:
    torch.manual_seed(0)
    moco = learner(3, supervision="full", label_mode=mode)
    moco.queue.labels.copy_(torch.arange(16) % 4 - 1)  # every fourth unlabelled
    query, views, labels = blended()
    labels[5] = -1
    queue, queue_labels = moco.queue.keys.clone(), moco.queue.labels.clone()
    losses = moco(as_batch(views, query, labels))
    q, k = encoded(moco, query.images, "query"), encoded(moco, views[1], "key")
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
    assert float(losses.total.detach()) == pytest.approx(total / 8, rel=1e-4)


def test_cross_entropy_of_blends_is_each_labels_by_its_share() -> None:
    torch.manual_seed(0)
    tiny = {name: TINY[name] for name in ("arch", "size", "batch", "precision")}
    wanted = PretrainConfig.read({**tiny, "method": "supervised"})
    classifier = wanted.method.learner(wanted.shape(3)).train()
    query, views, labels = blended()
    losses = classifier(as_batch(views[:1], query, labels))
    log_p = F.log_softmax(classifier.query(query.images), dim=1).detach()
    assert query.sources is not None
    assert query.weights is not None
    expected = 0.0
    for i in range(8):
        for source, weight in zip(query.sources[i].tolist(), query.weights[i].tolist(), strict=True):
            expected -= weight * float(log_p[i, labels[source]]) / 8
    assert float(losses.total.detach()) == pytest.approx(expected, rel=1e-4)


def test_bf16_rounds_the_encoders_and_not_the_loss() -> None:
    torch.manual_seed(0)
    exact = learner()
    torch.manual_seed(0)
    rounded = learner(precision="bf16")
    losses = [float(each(batch()).total.detach()) for each in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert all(p.dtype == torch.float32 for p in rounded.query.parameters())


def test_the_first_version_has_one_layer_where_the_second_has_two() -> None:
    tiny = {name: TINY[name] for name in ("arch", "size", "batch", "queue", "feature_dim")}
    first, second = (PretrainConfig.read({**tiny, "method": name}) for name in ("mocov1", "mocov2"))
    heads = [[name for name, _ in each.method.learner(each.shape(2)).query.head.named_parameters()] for each in (first, second)]
    assert heads == [["weight", "bias"], ["0.weight", "0.bias", "2.weight", "2.bias"]]
    assert (first.method.temperature, first.recipe.schedule.shape, first.recipe.pipeline) == (0.07, "step", "mocov1")

"""The one template every method fills: views → encoder → projector → target → loss.

Shapes: N images, D features of a query or key, K keys in the queue, C candidates of a query.
"""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pretrain import methods
from pretrain.augment import Mixed
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.images.labels import UNLABELLED
from pretrain.loss import info_nce, mixed


def encoder(config: PretrainConfig, classes: int) -> nn.Module:
    """A torchvision ResNet whose `fc` is the method's projector: images (N, 3, S, S) → (N, D), or (N, classes)."""
    method = methods.get(config.method)
    outputs = classes if method.projector == "classifier" else config.feature_dim
    model: nn.Module = getattr(torchvision.models, config.arch)(num_classes=outputs)
    if config.stem == "small":
        small_stem(model)
    if method.projector != "classifier" and config.projector == "mlp":
        last = model.get_submodule("fc")
        assert isinstance(last, nn.Linear)
        model.fc = nn.Sequential(nn.Linear(last.in_features, last.in_features), nn.ReLU(), last)
    return model


def small_stem(model: nn.Module) -> None:
    """Turn a ResNet's stem into the one for images of up to 64 pixels: a 3 × 3 convolution of stride 1, no pooling.

    Source: He et al. 2016 (arXiv:1512.03385), section 4.2, as in SimCLR's appendix B.9 (arXiv:2002.05709).
    """
    stem = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1, model.maxpool = stem, nn.Identity()


@dataclass(frozen=True, slots=True)
class Step:
    """What a forward pass leaves."""

    loss: Tensor
    """Scalar, to be minimised."""
    accuracy: Tensor
    """Scalar in [0, 1]: how often the right candidate came first."""
    keys: Tensor | None
    """(N, D) to be enqueued once the gradients are taken."""
    terms: dict[str, Tensor]
    """The parts that the loss is the sum of, by name."""


class Template(nn.Module):
    """Encoders, queue and loss of one method; nothing here knows how images come or how parameters move."""

    queue: Tensor
    queue_labels: Tensor
    queue_end: Tensor

    def __init__(self, config: PretrainConfig, classes: int) -> None:
        super().__init__()
        self.config, self.method = config, methods.get(config.method)
        self.query = encoder(config, classes)
        if self.method.target == "momentum":
            self.key = copy.deepcopy(self.query).requires_grad_(False)
        if self.method.negatives == "queue":
            self.register_buffer("queue", F.normalize(torch.randn(config.feature_dim, config.queue), dim=0))
            self.register_buffer("queue_labels", torch.full((config.queue,), UNLABELLED))
            self.register_buffer("queue_end", torch.zeros((), dtype=torch.long))

    def forward(self, clean: Tensor, query: Mixed, key_images: Tensor | None, labels: Tensor, order: Tensor) -> Step:
        """The loss of a batch.

        Args:
            clean: (N, 3, S, S) the query view before the augmentation.
            query: The query view after it.
            key_images: (N, 3, S, S) the other view; None for a method of one view.
            labels: (N,), `UNLABELLED` where a label is not to be used.
            order: Permutation of the step's images, over all processes, in which they pass through the key encoder
                where batch statistics are those of a part of the batch.
        """
        outputs = self._encode(self.query, query.images)
        if self.method.loss == "cross-entropy":
            return self._cross_entropy(outputs, query, labels)
        keys = self._keys(key_images, order)
        loss, accuracy = self._contrast(F.normalize(outputs, dim=1), keys, query, labels)
        terms = {"contrast": loss}
        if query.sources is not None and self.config.mixed_target == "un-mix":
            plain, accuracy = self._contrast(F.normalize(self._encode(self.query, clean), dim=1), keys, Mixed(clean), labels)
            terms = {"contrast": plain, "mixed": loss}
        return Step(torch.stack(list(terms.values())).sum(), accuracy, keys, terms)

    def backbone(self) -> dict[str, Tensor]:
        """The query encoder without its projector, under torchvision's names."""
        return {name: tensor for name, tensor in self.query.state_dict().items() if not name.startswith("fc.")}

    def projector(self) -> dict[str, Tensor]:
        """The query encoder's projector; empty where the method has a classifier instead."""
        if self.method.projector == "classifier":
            return {}
        head = self.query.get_submodule("fc")
        return dict(head.state_dict())

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys by those of all processes; the batch divides the queue, so a batch never wraps."""
        keys, labels = distributed.gather(keys), distributed.gather(labels)
        start = int(self.queue_end)
        self.queue[:, start : start + len(keys)] = keys.T
        self.queue_labels[start : start + len(keys)] = labels
        self.queue_end.fill_((start + len(keys)) % self.queue.shape[1])

    def _encode(self, network: nn.Module, images: Tensor) -> Tensor:
        """(N, D) in fp32, whatever the precision inside."""
        parts = images.chunk(self.config.bn_splits) if self.config.bn_splits > 1 else (images,)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            outputs = [network(part) for part in parts]
        return (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).float()

    @torch.no_grad()
    def _keys(self, images: Tensor | None, order: Tensor) -> Tensor:
        """(N, D) unit keys. The key encoder moves before its forward pass, over parameters only, as published."""
        assert images is not None
        share = self.config.key_momentum
        for key, query in zip(self.key.parameters(), self.query.parameters(), strict=True):
            key.mul_(share).add_(query * (1 - share))  # in this order it rounds as the published code does
        if self.config.sync_bn or (self.config.bn_splits == 1 and distributed.world() == 1):
            return F.normalize(self._encode(self.key, images), dim=1)
        keys = self._encode(self.key, distributed.shuffled(images, order))
        return F.normalize(distributed.unshuffled(keys, order), dim=1)

    def _contrast(self, queries: Tensor, keys: Tensor, query: Mixed, labels: Tensor) -> tuple[Tensor, Tensor]:
        """InfoNCE against the queue; every source of a blend is a target by its share."""
        negatives = queries @ self.queue
        n, device = len(queries), queries.device
        itself = torch.arange(n, device=device)
        if query.sources is None or query.weights is None or self.config.mixed_target == "none":
            sources, weights = itself[:, None], torch.ones(n, 1, device=device)
        else:
            sources, weights = query.sources, query.weights
        in_batch = self.config.mixed_target == "i-mix" and query.sources is not None
        # i-Mix: a partner's key must be a candidate, and so all keys of the batch are.
        logits = torch.cat([queries @ keys.T, negatives], dim=1) / self.config.temperature if in_batch else None
        losses, accuracy = [], torch.zeros((), device=device)
        for column, source in enumerate(sources.unbind(dim=1)):
            if logits is not None:
                own, candidates = source, logits
            else:
                positive = torch.einsum("nd,nd->n", queries, keys[source])[:, None]
                own = torch.zeros_like(source)
                candidates = torch.cat([positive, negatives], dim=1) / self.config.temperature
            losses.append(self._info_nce(candidates, own, labels[source], labels))
            if column == 0:
                accuracy = (candidates.detach().argmax(dim=1) == own).float().mean()
        return mixed(losses, weights).mean(), accuracy

    def _info_nce(self, logits: Tensor, own: Tensor, wanted: Tensor, in_batch: Tensor) -> Tensor:
        """(N,) with the class `wanted` (N,) of each query; `in_batch` are the labels of the batch's keys."""
        if self.config.labels_used == 0:
            return info_nce(logits, own)
        candidates = self._candidate_labels(logits.shape[1], in_batch)
        same = (wanted[:, None] == candidates) & (wanted != UNLABELLED)[:, None]
        return info_nce(logits, own, same, label_mode=self.config.label_mode)

    def _candidate_labels(self, candidates: int, in_batch: Tensor) -> Tensor:
        """(C,) label of each column; where the one column before the queue is the own key, it needs none."""
        if candidates == len(self.queue_labels) + 1:
            return torch.cat([in_batch.new_full((1,), UNLABELLED), self.queue_labels])
        return torch.cat([in_batch, self.queue_labels])

    def _cross_entropy(self, outputs: Tensor, query: Mixed, labels: Tensor) -> Step:
        """Over the labelled images; a batch without any gives a loss of 0 that moves nothing."""
        if query.sources is None or query.weights is None or self.config.mixed_target == "none":
            targets, weights = labels[:, None], torch.ones(len(labels), 1, device=labels.device)
        else:
            targets, weights = labels[query.sources], query.weights
        losses = [F.cross_entropy(outputs, t, reduction="none", ignore_index=UNLABELLED) for t in targets.unbind(dim=1)]
        known = (targets != UNLABELLED).any(dim=1)
        correct = (outputs.detach().argmax(dim=1) == labels)[known].float()
        loss = mixed(losses, weights).sum() / known.sum().clamp(min=1)
        return Step(loss, correct.mean() if len(correct) else correct.sum(), None, {"cross-entropy": loss})

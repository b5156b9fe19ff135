"""The one template every method fills: views → encoder → projector → target → loss.

Shapes: N images, D features of a query or key, K keys in the queue, C candidates of a query.
"""

import copy

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pretrain import methods
from pretrain.augment import Mixed
from pretrain.config import PretrainConfig
from pretrain.labels import UNLABELLED
from pretrain.loss import info_nce, mixed


def encoder(config: PretrainConfig, classes: int) -> nn.Module:
    """A torchvision ResNet whose `fc` is the method's projector: images (N, 3, S, S) → (N, D), or (N, classes)."""
    method = methods.get(config.method)
    outputs = classes if method.projector == "classifier" else config.feature_dim
    model: nn.Module = getattr(torchvision.models, config.arch)(num_classes=outputs)
    if method.projector != "classifier" and config.projector == "mlp":
        last = model.get_submodule("fc")
        assert isinstance(last, nn.Linear)
        model.fc = nn.Sequential(nn.Linear(last.in_features, last.in_features), nn.ReLU(), last)
    return model


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

    def forward(self, query: Mixed, key_images: Tensor | None, labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and how often the right candidate came first.

        Args:
            query: The augmented query view.
            key_images: (N, 3, S, S) the other view; None for a method of one view.
            labels: (N,), `UNLABELLED` where a label is not to be used.
            order: (N,) permutation in which the keys pass through their encoder when the batch is split.

        Returns:
            Two scalars: the mean loss, and the accuracy in [0, 1].
        """
        outputs = self._encode(self.query, query.images)
        if self.method.loss == "cross-entropy":
            return self._cross_entropy(outputs, query, labels)
        queries = F.normalize(outputs, dim=1)
        keys = self._keys(key_images, order)
        loss, accuracy = self._contrast(queries, keys, query, labels)
        self._enqueue(keys, labels)
        return loss, accuracy

    def backbone(self) -> dict[str, Tensor]:
        """The query encoder without its projector, under torchvision's names."""
        return {name: tensor for name, tensor in self.query.state_dict().items() if not name.startswith("fc.")}

    def _encode(self, network: nn.Module, images: Tensor) -> Tensor:
        if self.config.bn_splits == 1:
            outputs: Tensor = network(images)
            return outputs
        return torch.cat([network(part) for part in images.chunk(self.config.bn_splits)])

    @torch.no_grad()
    def _keys(self, images: Tensor | None, order: Tensor) -> Tensor:
        """(N, D) unit keys. The key encoder moves before its forward pass, over parameters only, as published."""
        assert images is not None
        share = self.config.key_momentum
        torch._foreach_mul_(list(self.key.parameters()), share)
        torch._foreach_add_(list(self.key.parameters()), list(self.query.parameters()), alpha=1 - share)
        if self.config.bn_splits == 1:
            return F.normalize(self._encode(self.key, images), dim=1)
        return F.normalize(self._encode(self.key, images[order])[order.argsort()], dim=1)

    def _contrast(self, queries: Tensor, keys: Tensor, query: Mixed, labels: Tensor) -> tuple[Tensor, Tensor]:
        """InfoNCE over the own key and the queue; mixed queries need their partner's key among the candidates too."""
        n = len(queries)
        if query.partner is None:
            in_batch, own = (queries * keys).sum(dim=1, keepdim=True), torch.zeros(n, dtype=torch.long, device=keys.device)
        else:
            in_batch, own = queries @ keys.T, torch.arange(n, device=keys.device)
        logits = torch.cat([in_batch, queries @ self.queue.clone()], dim=1) / self.config.temperature
        loss = self._info_nce(logits, own, labels)
        if query.partner is not None and query.weight is not None:
            loss = mixed(loss, self._info_nce(logits, query.partner, labels[query.partner], labels), query.weight)
        return loss.mean(), (logits.detach().argmax(dim=1) == own).float().mean()

    def _info_nce(self, logits: Tensor, own: Tensor, labels: Tensor, in_batch: Tensor | None = None) -> Tensor:
        if self.config.labels_used == 0:
            return info_nce(logits, own)
        candidates = self._candidate_labels(logits.shape[1], labels if in_batch is None else in_batch)
        same = (labels[:, None] == candidates) & (labels != UNLABELLED)[:, None]
        return info_nce(logits, own, same, label_mode=self.config.label_mode)

    def _candidate_labels(self, candidates: int, in_batch: Tensor) -> Tensor:
        """(C,) label of each column; without mixing the one column before the queue is the own key, which needs none."""
        if candidates == len(self.queue_labels) + 1:
            return torch.cat([in_batch.new_full((1,), UNLABELLED), self.queue_labels])
        return torch.cat([in_batch, self.queue_labels])

    @torch.no_grad()
    def _enqueue(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys; the batch divides the queue, so a batch never wraps."""
        start = int(self.queue_end)
        self.queue[:, start : start + len(keys)] = keys.T
        self.queue_labels[start : start + len(keys)] = labels
        self.queue_end.fill_((start + len(keys)) % self.queue.shape[1])

    def _cross_entropy(self, outputs: Tensor, query: Mixed, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Over the labelled images; a batch without any gives a loss of 0 that moves nothing."""
        known = labels != UNLABELLED
        loss = F.cross_entropy(outputs, labels, reduction="none", ignore_index=UNLABELLED)
        if query.partner is not None and query.weight is not None:
            other = F.cross_entropy(outputs, labels[query.partner], reduction="none", ignore_index=UNLABELLED)
            loss, known = mixed(loss, other, query.weight), known | known[query.partner]
        correct = (outputs.detach().argmax(dim=1) == labels)[known].float()
        return loss.sum() / known.sum().clamp(min=1), correct.mean() if len(correct) else correct.sum()

"""Contrast of queries with keys and a queue: what the MoCo family minimises, with labels and with blends.

Shapes: N queries, D features, K keys in the queue, C candidates of a query.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pretrain.augment.mixed import Mixed
from pretrain.core import distributed
from pretrain.images.labels import UNLABELLED
from pretrain.losses.blends import over_sources
from pretrain.losses.info_nce import info_nce
from pretrain.parts.key_queue import KeyQueue

LabelMode = Literal["positives", "mean-positives", "drop-negatives"]
MixedTarget = Literal["i-mix", "un-mix", "none"]


@dataclass(frozen=True)
class Contrast:
    """InfoNCE of a batch of queries; the settings are those of a run."""

    temperature: float
    label_mode: LabelMode
    """What a key of the query's class is."""
    labelled: bool
    """Whether any image keeps its label."""

    def __call__(
        self,
        queries: Tensor,
        keys: Tensor,
        queue: KeyQueue,
        view: Mixed,
        labels: Tensor,
        among: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compare each query with its own key, with the queue and, if wanted, with all keys of the step.

        Args:
            queries: (N, D), of unit length.
            keys: (N, D), of unit length.
            queue: The negatives.
            view: What the queries see; every source of a blend is a target by its fraction.
            labels: (N,) of the batch's images.
            among: Keys and labels of the step in all processes, which are candidates too, as i-Mix needs: a partner's key must
                be one.

        Returns:
            The mean loss, and the fraction of queries whose own key is the most similar candidate.
        """
        negatives = queries @ queue.keys
        if among is not None:
            first = distributed.rank() * len(keys)  # column of this process's first key
            logits = torch.cat([queries @ among[0].T, negatives], dim=1) / self.temperature
            known = torch.cat([among[1], queue.labels])
            loss = over_sources(view, lambda source: self._info_nce(logits, first + source, labels[source], known))
            correct = logits.detach().argmax(dim=1) == first + torch.arange(len(queries), device=queries.device)
            return loss.mean(), correct.float().mean()

        known = torch.cat([labels.new_full((1,), UNLABELLED), queue.labels])  # the first column is the own key

        def against_queue(source: Tensor) -> Tensor:
            candidates = torch.cat([_similarity(queries, keys[source])[:, None], negatives], dim=1) / self.temperature
            return self._info_nce(candidates, torch.zeros_like(source), labels[source], known)

        loss = over_sources(view, against_queue)
        nearest = negatives.detach().max(dim=1).values / self.temperature
        correct = _similarity(queries.detach(), keys) / self.temperature >= nearest
        return loss.mean(), correct.float().mean()

    def _info_nce(self, logits: Tensor, own: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
        """Compute the loss (N,) of queries of the classes `wanted` (N,) over candidates of the classes `known` (C,)."""
        if not self.labelled:
            return info_nce(logits, own)
        same = (wanted[:, None] == known) & (wanted != UNLABELLED)[:, None]
        return info_nce(logits, own, same, label_mode=self.label_mode)


def _similarity(queries: Tensor, keys: Tensor) -> Tensor:
    """(N,) cosine of each query with the key of the same row."""
    return torch.einsum("nd,nd->n", queries, keys)

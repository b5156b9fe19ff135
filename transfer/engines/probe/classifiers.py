"""Linear classifiers trained side by side on the same features, each with a learning rate of its own.

Shapes: N images, D features, C classes, H classifiers.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.core.errors import TrainingError
from transfer.tasks.linear import HeadSettings


class Classifiers(nn.Module):
    """H classifiers that start alike: weights from N(0, 0.01) and bias 0, as published.

    The sum of their losses is differentiated, and each classifier's gradient is that of its own loss alone: they are trained
    as if each were the only one, and the features are computed once.
    """

    def __init__(self, inputs: int, classes: int, settings: HeadSettings, seed: int) -> None:
        super().__init__()
        self.rates, self._settings = settings.rates, settings
        self.norm = nn.BatchNorm1d(inputs, affine=False) if settings.feature_norm else nn.Identity()
        self.linears = nn.ModuleList(_fresh(inputs, classes, seed) for _ in self.rates)
        self._unread: list[tuple[int, Tensor]] = []

    def optimizer(self) -> torch.optim.SGD:
        """Make SGD with a group for each classifier."""
        groups = [{"params": each.parameters(), "lr": rate} for each, rate in zip(self.linears, self.rates, strict=True)]
        return torch.optim.SGD(groups, momentum=self._settings.momentum, weight_decay=self._settings.weight_decay)

    def step(self, optimizer: torch.optim.SGD, features: Tensor, labels: Tensor, epoch: int) -> None:
        """Do one step of all classifiers on features (N, D) and labels (N,) on their device, which isn't waited for."""
        for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
            group["lr"] = lr_at(self._settings, epoch, rate)
        normed = self.norm(features)
        losses = torch.stack([F.cross_entropy(linear(normed), labels) for linear in self.linears])
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        self._unread.append((epoch, losses.detach()))

    def settle(self) -> list[float]:
        """Look at the losses of all steps since the last look, for which a GPU is waited for; returns the last step's H losses.

        Raises:
            TrainingError: If no loss of a step is finite. While one is, those that aren't are bad learning rates.
        """
        unread, self._unread = self._unread, []
        values: list[list[float]] = torch.stack([losses for _, losses in unread]).tolist() if unread else []
        for (epoch, _), losses in zip(unread, values, strict=True):
            if not any(map(math.isfinite, losses)):
                rates = ", ".join(f"{rate:g}" for rate in self.rates)
                fix = "lower it (--set lr=...), or try several (--lr-search)"
                raise TrainingError(f"the loss is not finite in epoch {epoch + 1}", seen=f"learning rate {rates}", fix=fix)
        return values[-1] if values else []

    @torch.no_grad()
    def scores(self, which: int, features: Tensor) -> Tensor:
        """Compute one classifier's scores (N, C) for features (N, D) on its device, in eval mode."""
        linear = self.linears[which]
        assert isinstance(linear, nn.Linear)
        logits: Tensor = linear(self.norm.eval()(features))
        self.norm.train()
        return logits


def lr_at(settings: HeadSettings, epoch: int, rate: float | None = None) -> float:
    """Compute the learning rate of an epoch; `rate` takes the place of the settings' own."""
    rate = settings.lr if rate is None else rate
    return rate * 0.1 ** sum(epoch >= fraction * settings.epochs for fraction in settings.milestones)


def top(scores: Tensor, labels: Tensor, k: int) -> float | None:
    """Compute the percentage of rows (N, C) whose label is among the k highest scores; None for no more than k classes.

    A row with scores that are not finite is a miss.
    """
    if scores.shape[1] <= k:
        return None
    hit = (scores.topk(k, dim=1).indices == labels[:, None]).any(dim=1)
    return float((hit & scores.isfinite().all(dim=1)).float().mean()) * 100


def _fresh(inputs: int, classes: int, seed: int) -> nn.Linear:
    linear = nn.Linear(inputs, classes)
    with torch.no_grad():
        linear.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(seed))
        linear.bias.zero_()
    return linear

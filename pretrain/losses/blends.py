"""What the loss of a blended view is: the loss with each of its sources as the target, averaged by their fractions."""

from collections.abc import Callable

import torch
from torch import Tensor

from pretrain.augment.mixed import Mixed


def over_sources(view: Mixed, loss_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute the loss (N,) of each image of a view that may be blended (i-Mix, arXiv:2010.08887, equation 3).

    Args:
        view: The view, with the sources (N, S) of its blends if there are any.
        loss_of: Indices (N,) of the images that are the targets → loss (N,).
    """
    if view.sources is None or view.weights is None:
        return loss_of(torch.arange(len(view.images), device=view.images.device))
    losses = [loss_of(source) for source in view.sources.unbind(dim=1)]
    return (torch.stack(losses, dim=1) * view.weights).sum(dim=1)

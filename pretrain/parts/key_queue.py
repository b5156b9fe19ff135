"""The queue of keys that serve as negatives (arXiv:1911.05722). Shapes: N keys of a step, D features, K keys kept."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.images.labels import UNLABELLED


class KeyQueue(nn.Module):
    """The last K keys, first in first out, with their labels; it begins as random unit vectors without a label."""

    keys: Tensor
    labels: Tensor
    end: Tensor

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(width, length), dim=0))
        self.register_buffer("labels", torch.full((length,), UNLABELLED))
        self.register_buffer("end", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys by those (N, D) of all processes, of these labels (N,).

        The batch divides the queue, so a batch never wraps.
        """
        # Counted where the queue is: nothing waits for a number.
        places = self.end + torch.arange(len(keys), device=keys.device)
        self.keys.index_copy_(1, places, keys.T)
        self.labels.index_copy_(0, places, labels)
        self.end.add_(len(keys)).remainder_(self.keys.shape[1])


def require_whole_batches(queue: int, batch: int) -> None:
    """Refuse a queue that whole batches don't fill.

    Raises:
        ValueError: With the nearest length that they fill.
    """
    if queue % batch:
        nearest = max(batch, round(queue / batch) * batch)
        raise ValueError(f"the queue ({queue}) must be a multiple of the batch ({batch}): --set queue={nearest}")

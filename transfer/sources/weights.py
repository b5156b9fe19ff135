"""A file's tensors as weights: float32, finite, on the CPU."""

from pathlib import Path

import torch
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer.sources.backbone import COUNTER


def cleaned(key: str, tensor: Tensor, path: Path) -> Tensor:
    """Return a backbone tensor as contiguous float32 on the CPU, a counter as int64.

    Args:
        key: Its name, for messages.
        tensor: As the file holds it.
        path: The file, for messages.

    Raises:
        CheckpointError: If it is of a type that holds no weights, or not finite.
    """
    tensor = tensor.detach().to("cpu")
    if key.endswith(COUNTER):
        return tensor.to(torch.int64)
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"the weights in {path} are not numbers with a point",
            seen=f"{key} is {str(tensor.dtype).removeprefix('torch.')}",
            allowed="float32; float16, bfloat16 and float64 are converted",
            fix="export the model before it was quantised",
        )
    tensor = tensor.to(torch.float32).contiguous()
    if not all(bool(edge.isfinite()) for edge in tensor.aminmax()):  # of any NaN, both; several times as fast as to ask each
        raise CheckpointError(
            f"the weights in {path} are broken",
            seen=f"{key} holds {int((~tensor.isfinite()).sum())} values that are not finite",
            allowed="finite numbers",
            fix="the training diverged, or a value is beyond float32; take an earlier checkpoint",
        )
    return tensor

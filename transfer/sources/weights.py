"""A file's tensors as weights: float32, finite, on the CPU."""

from pathlib import Path

import torch
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer.sources.backbone import COUNTER

CONVERTED = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Types of weights. What has fewer bits is quantised: the scales that its numbers are meant with lie elsewhere."""
VARIANCE = "running_var"


def cleaned(key: str, tensor: Tensor, path: Path) -> Tensor:
    """Return a backbone tensor as contiguous float32 on the CPU, a counter as int64.

    Args:
        key: Its name, for messages.
        tensor: As the file holds it.
        path: The file, for messages.

    Raises:
        CheckpointError: If it is of a type that holds no weights, not finite, or a variance below 0.
    """
    tensor = tensor.detach().to("cpu")
    if key.endswith(COUNTER):
        return tensor.to(torch.int64)
    if tensor.dtype not in CONVERTED:
        raise CheckpointError(
            f"the weights in {path} are not numbers with a point of 16 bits or more",
            seen=f"{key} is {str(tensor.dtype).removeprefix('torch.')}",
            allowed="float32; float16, bfloat16 and float64 are converted",
            fix="save the network as it was before it was quantised or converted",
        )
    tensor = tensor.to(torch.float32).contiguous()
    if tensor.untyped_storage().nbytes() > tensor.nbytes:  # a view of all weights in a row, which would be written with each
        tensor = tensor.clone()
    least, most = tensor.aminmax()
    if not (bool(least.isfinite()) and bool(most.isfinite())):  # of any NaN, both; several times as fast as to ask each
        raise CheckpointError(
            f"the weights in {path} are broken",
            seen=f"{key} holds {int((~tensor.isfinite()).sum())} values that are not finite",
            allowed="finite numbers",
            fix="the training diverged, or a value is beyond float32; take an earlier checkpoint",
        )
    if key.endswith(VARIANCE) and bool(least < 0):
        raise CheckpointError(
            f"the weights in {path} are broken",
            seen=f"{key} holds {int((tensor < 0).sum())} variances below 0, the least {float(least):.3g}",
            allowed="variances of 0 or more",
            fix="it was averaged or subtracted from another; take the checkpoint before that",
        )
    return tensor

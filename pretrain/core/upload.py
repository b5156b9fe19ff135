"""What is drawn and decided on the CPU, on its way to the device that computes: nothing waits for it.

The same seed then gives the same draws on every device. On the CPU both functions are the identity.
"""

import torch
from torch import Generator, Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device behind what that device is doing; a GPU copies from pinned memory."""
    if device.type == "cpu":
        return tensor
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def generator_on(device: torch.device, rng: Generator) -> Generator:
    """Return what draws numbers too many to be uploaded, such as noise for every pixel: `rng` itself on the CPU, and elsewhere
    a generator of that device, which has its seed from `rng`.
    """
    if device.type == "cpu":
        return rng
    return Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=rng)))

"""What is here: the GPU, its driver, the libraries; and `bench doctor`."""

import importlib.metadata
import subprocess

import torch

from parts import Check
from pretrain.core import devices


def check(check: Check) -> None:
    """The GPU is named, bf16 works where it should, and the doctor runs."""
    check.values |= {"torch": torch.__version__, "torchvision": importlib.metadata.version("torchvision")}
    check.values |= devices.libraries(check.device)
    if check.gpu:
        capability = torch.cuda.get_device_capability(check.device)
        check.values |= {"gpu": torch.cuda.get_device_name(check.device), "capability": list(capability)}
        check.values["identifier"] = bool(devices.identifier(check.device))
        check.require(capability < (8, 0) or torch.cuda.is_bf16_supported(), "no bf16 on a GPU that has it")
        asked = "--query-gpu=name,driver_version,memory.total,clocks.sm"
        shown = subprocess.run(["nvidia-smi", asked, "--format=csv,noheader"], capture_output=True, text=True)
        check.values["nvidia_smi"] = shown.stdout.strip()
        check.require(devices.unusable() is None, "the GPU is said to be unusable")
    done = check.bench("doctor")
    check.require(done.code == 0, f"bench doctor: {done.tail()}")
    name = check.values["gpu"] if check.gpu else "cuda"
    check.require("".join(name.split()) in "".join(done.out.split()), f"the doctor doesn't name {name}")

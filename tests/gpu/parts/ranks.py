"""Two processes equal one, and every collective is right.

NCCL refuses two processes on one GPU, so two of them share it by gloo; NCCL itself runs with one process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from parts import Check, crops, relative, trainer
from pretrain.core import distributed
from pretrain.core.group import joined

STEPS = 5


def check(check: Check) -> None:
    """Losses of two processes and of one with two parts, and the collectives on each backend."""
    one = trainer(check.device, batch=16, bn_splits=2)
    alone = [one.step(step, crops(one, step), _labels(16))[0] for step in range(STEPS)]
    out = check.folder / "two.json"
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parents[1])]!r}; from parts import ranks; "
    code += f"ranks.one_of_two({check.device!r}, {str(out)!r})"
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable, "-c", code]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, timeout=400)
    check.require(done.returncode == 0, f"two processes: {done.stderr[-600:]}")
    if done.returncode == 0:
        check.close("losses of two processes", max(relative(json.loads(out.read_text()), alone)), 1e-3 if check.gpu else 1e-5)
    _alone_in_a_group(check)


def one_of_two(device: str, out: str) -> None:
    """Be one of two processes that share a device."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    dist.init_process_group("gloo")
    rank = distributed.rank()
    run = trainer(device, batch=16)
    found = [run.step(step, crops(run, step, 2, rank), _labels(8))[0] for step in range(STEPS)]
    _collectives(device, rank, 2)
    mean = distributed.mean(torch.tensor(found)).tolist()
    if rank == 0:
        Path(out).write_text(json.dumps(mean))
    dist.destroy_process_group()


def _labels(images: int) -> torch.Tensor:
    return torch.full((images,), -1)


def _alone_in_a_group(check: Check) -> None:
    """All of `pretrain.core.distributed` over NCCL, or over gloo on a CPU, with one process."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    try:
        with joined(check.device) as device:
            check.values["backend"] = dist.get_backend()
            check.require(dist.get_backend() == ("nccl" if check.gpu else "gloo"), "another backend")
            _collectives(device, 0, 1)
    finally:
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            del os.environ[name]


def _collectives(device: str, rank: int, world: int) -> None:
    """Assert what each function returns."""
    every = torch.rand(4 * world, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(device)
    own = every[4 * rank : 4 * rank + 4]
    for images in (own, own.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(distributed.gather(images), every), "gather"
    order = torch.randperm(4 * world, generator=torch.Generator().manual_seed(1)).to(device)
    moved = distributed.shuffled(own, order)
    assert torch.equal(moved, every[order][4 * rank : 4 * rank + 4]), "shuffled"
    assert torch.equal(distributed.unshuffled(moved, order), every), "unshuffled"
    assert torch.allclose(distributed.total(own.sum()), every.sum()), "total"
    assert torch.allclose(distributed.mean(own), every.view(world, *own.shape).mean(dim=0)), "mean"
    weight = own.clone().requires_grad_()
    distributed.gather_with_gradient(weight).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full_like(weight, world)), "gather_with_gradient"
    assert distributed.largest(rank + 7) == world + 6, "largest"
    assert distributed.agreed_stop() is None, "agreed_stop"
    found = distributed.collected([f"{rank}{item}" for item in distributed.dealt("abc")])
    assert len(found) == (0 if rank else 3), "collected"
    assert distributed.everywhere(rank) == list(range(world)), "everywhere"
    tensor = torch.full((2,), float(rank), device=device)
    distributed.as_the_first([tensor])
    assert not tensor.any(), "as_the_first"
    with distributed.first_alone():
        pass
    distributed.barrier()

"""How a cell's command is started in a job: on its devices, on several nodes where it has them, with data of the node's own."""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.study import child
from bench.study.cells import Cell
from bench.study.slurm import commands, queue, staging
from bench.study.slurm.settings import CPUS, Slurm
from pretrain.core.errors import EngineError

PORTS = (20_000, 40_000)
"""Of the first node, for the meeting of its processes."""


@dataclass(frozen=True)
class Launch:
    """What `bench.study.child.start` is given."""

    cell: Cell
    """With the data's place on this node."""
    environment: Mapping[str, str]
    program: Sequence[str]
    halt: Callable[[], None] | None
    """How it is asked to stop; None: by a SIGTERM."""


def of(cell: Cell, slurm: Slurm) -> Launch:
    """Prepare the start of a cell in this job.

    Raises:
        BenchError: If data can't be staged, or Slurm does not say what the nodes are.
    """
    nodes, devices = cell.resource.nodes, cell.resource.devices // cell.resource.nodes
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores // devices)), "PYTHONUNBUFFERED": "1"}
    if slurm.of(cell.resource.slurm).gres == CPUS:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    each_node = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=0"]
    for data, place in slurm.stage.items():
        if cell.data == data:
            there = staging.everywhere(data, cell.layout, place, each_node if nodes > 1 else [])
            words = [there if word == data else word for word in cell.arguments]
            cell = dataclasses.replace(cell, arguments=tuple(words))
    if nodes == 1:
        return Launch(cell, environment, child.PROGRAM, None)
    return Launch(cell, environment, [*each_node, *_torchrun(nodes, devices)], _stop_steps)


def _torchrun(nodes: int, processes: int) -> list[str]:
    """Return the words that start processes on every node of this job, which meet on the first one."""
    job = int(os.environ["SLURM_JOB_ID"])
    port = PORTS[0] + job % (PORTS[1] - PORTS[0])
    return [
        child.PROGRAM[0],
        *("-m", "torch.distributed.run"),
        *("--nnodes", str(nodes), "--nproc-per-node", str(processes)),
        *("--rdzv-id", f"{job}.{os.environ.get('SLURM_RESTART_COUNT') or 0}", "--rdzv-backend", "c10d"),
        *("--rdzv-endpoint", f"{_first_address()}:{port}", *child.PROGRAM[1:]),
    ]


def _first_address() -> str:
    """Ask for the address of the first node of this job.

    Raises:
        EngineError: If Slurm does not say it.
    """
    names = commands.run(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]).split()
    found = re.search(r"\bNodeAddr=(\S+)", commands.run(["scontrol", "--oneliner", "show", "node", names[0]]))
    if found is None:
        raise EngineError(f"scontrol does not say the address of {names[0]}")
    return found[1]


def _stop_steps() -> None:
    """Send a SIGTERM to the processes on all nodes: `srun` itself would answer one by killing them."""
    job = queue.me()
    if job is not None:
        commands.run(["scancel", "--signal=TERM", job])

"""A study whose jobs run in a Slurm of the test's own."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.study import plan as planning
from bench.study.attempts import Attempts
from bench.study.slurm import place
from bench.study.states import Look, Observer
from tests.bench.study.slurm.cluster import Cluster, missing


@dataclass
class Submitted:
    """A study in the working folder, and the Slurm that its jobs go to."""

    cluster: Cluster
    path: Path = Path("study.yaml")
    said: list[str] = field(default_factory=list)

    def run(self, *, watch: bool = False) -> int:
        return place.run(self.path, (), {"watch": watch}, self.said.append, lambda look: None)

    def look(self) -> Look:
        found = planning.read(self.path)
        return Observer.of(found).look(found)

    def attempts(self, cell: str) -> list[str]:
        """How the attempts at a cell ended."""
        return [each.ended for each in Attempts(planning.read(self.path).home).of(cell)]

    def wait_begun(self, *cells: str) -> None:
        self.cluster.wait(lambda: all("begun" in self.attempts(cell) for cell in cells), 240)
        time.sleep(1)

    def jobs(self, cell: str) -> str:
        """Id of the last job that a cell was given to."""
        return next(each.job for each in reversed(Attempts(planning.read(self.path).home).of(cell)) if each.job)

    def element(self, job: str) -> int:
        """Process id of a job's element."""
        array, _, index = job.partition("_")
        wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode()}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if b"study" in words and wanted <= set((path / "environ").read_bytes().split(b"\0")):
                    return int(path.name)
        raise LookupError(f"{job} doesn't run")


def _started(tmp_path_factory: pytest.TempPathFactory, nodes: int, cpus: int) -> Iterator[Cluster]:
    if absent := missing():
        pytest.skip(f"not installed: {', '.join(absent)} (Debian's slurm-wlm and munge)")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"), nodes, cpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory, nodes=1, cpus=2)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory, nodes=2, cpus=1)


def submitted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, faked: bool) -> Submitted:
    """Let this process and its jobs use a cluster, with runs that are faked or real."""
    root = Path(__file__).parents[4]
    paths = [str(root / "tests/bench/study/slurm/site")] * faked + [str(root), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
    monkeypatch.setattr(place, "EVERY", 2.0)
    return Submitted(cluster)

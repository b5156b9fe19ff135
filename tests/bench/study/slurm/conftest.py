"""A private Slurm of one node or two on this machine, and a study whose jobs run there. Needs slurmctld, slurmd and munged, and
no root.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.study import plan as planning
from bench.study.attempts import Attempts
from bench.study.slurm import place
from bench.study.states import Look, Observer

PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged")
SBIN = "/usr/sbin:/usr/local/sbin"
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job starts again after this many seconds (default 120).
AuthInfo=socket={home}/munge.socket,cred_expire=8
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool.%n
SlurmctldLogFile={home}/ctld.log
SlurmdLogFile={home}/d.%n.log
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/d.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
JobRequeue=1
MaxArraySize=1001
SlurmdParameters=config_overrides
SlurmdTimeout=10
# Quick reactions, so that a test takes seconds: sites have 30 s, 60 s and more here.
KillWait=10
MinJobAge=300
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=2000 State=UNKNOWN{gres}\n"


def missing() -> list[str]:
    return [name for name in PROGRAMS if _program(name) is None]


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@dataclass
class Cluster:
    """Daemons of one Slurm; all commands of this process go to it while `SLURM_CONF` names its configuration."""

    home: Path
    nodes: int
    cpus: int
    gpus: Sequence[str] = ()
    """Files that stand for the GPUs of each node."""

    @property
    def configuration(self) -> Path:
        return self.home / "slurm.conf"

    def start(self) -> None:
        """Write the configuration, start everything, and wait until every node is idle."""
        host = socket.gethostname().split(".")[0]
        named = {"host": host, "home": self.home, "user": getpass.getuser()}
        gres = f" Gres=gpu:{len(self.gpus)}" if self.gpus else ""
        nodes = [NODE.format(number=n + 1, host=host, port=_port(), cpus=self.cpus, gres=gres) for n in range(self.nodes)]
        if self.gpus:
            nodes.insert(0, "GresTypes=gpu\n")
            (self.home / "gres.conf").write_text("".join(f"Name=gpu File={file}\n" for file in self.gpus))
        for folder in ("state", *(f"spool.n{n + 1}" for n in range(self.nodes))):
            (self.home / folder).mkdir()
        head, _, partitions = CONFIGURATION.format(port=_port(), **named).partition("PartitionName")
        self.configuration.write_text(head + "".join(nodes) + "PartitionName" + partitions)
        self._munge()
        self.control()
        for number in range(1, self.nodes + 1):
            self._daemon("slurmd", "-N", f"n{number}")
        self.wait(lambda: self.say("sinfo", "-h", "-N", "-t", "idle", "-p", "debug").count("\n") == self.nodes, 60)

    def control(self) -> None:
        """Start the controller."""
        self._daemon("slurmctld")

    def crash_control(self) -> None:
        """Kill the controller."""
        self._kill("ctld.pid", signal.SIGKILL)

    def stop(self) -> None:
        """End everything that `start` started."""
        subprocess.run(["scancel", "-u", getpass.getuser()], env=self.environment, check=False, capture_output=True)
        time.sleep(1)
        for file in [*self.home.glob("d.*.pid"), self.home / "ctld.pid", self.home / "munge.pid"]:
            self._kill(file.name, signal.SIGTERM)

    def say(self, *words: str) -> str:
        """Give a command, and return what it prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition.

        Raises:
            TimeoutError: If it isn't met.
        """
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(self.say("squeue", "-r") + self.say("sinfo", "-N", "-l"))
            time.sleep(0.5)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.configuration)}

    def _munge(self) -> None:
        key = self.home / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
        words = [f"--{option}={self.home / name}" for option, name in files.items()]
        self._daemon("munged", "--force", f"--key-file={key}", *words)

    def _daemon(self, name: str, *words: str) -> None:
        subprocess.run([str(_program(name)), *words], env=self.environment, check=True, start_new_session=True, timeout=60)

    def _kill(self, file: str, by: signal.Signals) -> None:
        path = self.home / file
        try:
            os.kill(int(path.read_text()), by)
        except (OSError, ValueError):
            return


@dataclass
class Submitted:
    """A study in the working folder, and the Slurm that its jobs go to."""

    cluster: Cluster
    path: Path = Path("study.yaml")
    said: list[str] = field(default_factory=list)

    def run(self, *, watch: bool = False) -> int:
        return place.run(self.path, (), {"watch": watch}, self.said.append, lambda look, observer: None)

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


def _started(tmp_path_factory: pytest.TempPathFactory, nodes: int, cpus: int, gpus: Sequence[str] = ()) -> Iterator[Cluster]:
    if absent := missing():
        pytest.skip(f"not installed: {', '.join(absent)} (Debian's slurm-wlm and munge)")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"), nodes, cpus, gpus)
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


def _submitted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, faked: bool) -> Submitted:
    """Let this process and its jobs use a cluster, with runs that are faked or real."""
    root = Path(__file__).parents[4]
    paths = [str(Path(__file__).parent / "site")] * faked + [str(root), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
    monkeypatch.setattr(place, "EVERY", 2.0)
    return Submitted(cluster)


@pytest.fixture
def on_one_node(one_node: Cluster, study, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    return _submitted(one_node, monkeypatch, faked=True)


@pytest.fixture
def on_two_nodes(two_nodes: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    monkeypatch.chdir(tmp_path)
    return _submitted(two_nodes, monkeypatch, faked=False)


@pytest.fixture
def on_one_node_really(one_node: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    monkeypatch.chdir(tmp_path)
    return _submitted(one_node, monkeypatch, faked=False)


@pytest.fixture(scope="module")
def node_of_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory, nodes=1, cpus=4, gpus=("/dev/null", "/dev/zero"))


@pytest.fixture
def on_gpus(node_of_gpus: Cluster, study, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    return _submitted(node_of_gpus, monkeypatch, faked=True)

"""What the commands do, one module per verb: resolve everything, refuse what is wrong, run, write the record.

Each has `run(request, ...) -> Finished`; the command line and the demo call the same functions.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import FIRST, command, places, runs
from bench.selection import Selection
from pretrain.core import distributed, interrupt, machine_errors
from pretrain.core.errors import BenchError, ConfigError, TrainingError
from pretrain.core.journal import Journal, Progress
from transfer import norms, sources
from transfer.record import Checkpoint, Data, RunRecord
from transfer.sources import Backbone

SMALL = "small"
ALL = Selection()
GENERATED_NOTE = "the data is generated (shapes): this number compares with no paper"


@dataclass(frozen=True)
class Request:
    """What all verbs are told."""

    progress: Progress
    data: str | None = None
    out: Path | None = None
    device: str | None = None
    budget: str | None = None
    config: str | None = None
    seed: int = 0
    resume: bool = False
    source: str | None = None
    """Whose file the checkpoint is; the table of `transfer.sources` decides without it."""
    branch: str | None = None
    """`online` or `momentum`; the source's own choice without it."""
    trust: bool = False
    """Whether the checkpoint's pickle may run what is in it."""
    devices: int = 1
    """Processes to train in."""
    selection: Selection = ALL
    """Which classes of the data; a pre-training's own settings say so for it."""
    command: str | None = None
    """Recorded as the exact command; the process's own unless given."""

    def __post_init__(self) -> None:
        if self.budget not in (None, SMALL):
            raise ConfigError.unknown("budget", str(self.budget), [SMALL])
        if self.devices < 1:
            raise ConfigError("at least one device is needed", seen=f"--devices {self.devices}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError("a seed has 32 bits", seen=self.seed, allowed=f"0 to {2**32 - 1}")

    @property
    def processes(self) -> int:
        """Processes that the training runs in: the launcher's, where there is one, or those asked for."""
        return distributed.asked() if distributed.launched() else self.devices

    def device_name(self) -> str:
        """`cpu` or `cuda`: as asked, or what there is.

        Raises:
            ConfigError: If CUDA was asked for and there is none, or not one for each process.
        """
        import torch

        wanted = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if wanted.split(":")[0] not in ("cpu", "cuda"):
            raise ConfigError.unknown("device", wanted, ["cpu", "cuda"])
        if wanted.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError("CUDA was asked for and there is none", seen=wanted, allowed="cpu", fix="see `bench doctor`")
        here = torch.cuda.device_count() if wanted == "cuda" else self.devices
        if self.devices > here and not distributed.launched():
            fix = "lower --devices, or choose --device cpu"
            raise ConfigError("each process needs a GPU of its own", seen=f"--devices {self.devices}, {here} GPUs", fix=fix)
        return wanted


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

    folder: Path
    record: RunRecord
    reused: bool
    """Whether it had been done before."""


def execute(
    request: Request,
    name: str,
    config: dict[str, Any],
    identity: Any,
    work: Callable[[Journal, Path], dict[str, Any]],
    follow: Callable[[Journal, Path], Any] | None = None,
) -> Finished:
    """Do a run in its folder, unless it is done already.

    Args:
        request: What all verbs are told.
        name: Of the run's folder.
        config: The resolved settings.
        identity: What the folder's name is told apart by.
        work: Does the run and returns the record's fields.
        follow: What the processes after the first do meanwhile, where there are several.
    """
    request.device_name()
    run = runs.locate(name, config, identity, request.out, request.command or command())
    done = runs.finished(run)
    if done is not None:
        return Finished(run.folder, done, reused=True)
    if request.devices > 1 and not distributed.launched():
        runs.refuse_held(run)
        distributed.launch(request.devices, sys.argv[1:])
        return Finished(run.folder, _record(run), reused=False)
    distributed.barrier()  # all have looked before the first one begins to write
    if distributed.rank() and follow is not None:
        with _listening():
            _heard(follow, run.folder)
        distributed.barrier()
        return Finished(run.folder, _record(run), reused=False)
    with runs.held(run) as unsupported, machine_errors.translating_os_errors("write the run folder", run.folder):
        done = runs.finished(run)
        if done is not None and distributed.world() == 1:  # another process did it between our look and our turn
            return Finished(run.folder, done, reused=True)
        again = runs.start(run)
        journal = Journal(run.folder, _stopping(request.progress), tensorboard=True)
        if unsupported:
            journal.say(f"{run.folder} can't be locked ({unsupported}): run nothing else in it")
        if (again or request.resume) and not runs.has_checkpoint(run):
            journal.say(f"nothing saved in {run.folder} yet: starting at step 0")
        journal.rewind()
        try:
            with _listening():
                fields = work(journal, run.folder)
            result = runs.finish(run, wall_seconds=journal.seconds(), **fields)
        finally:
            journal.close()
    distributed.barrier()
    return Finished(run.folder, result, reused=False)


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """A signal lets the step at hand be finished and saved; what breaks because of it is not reported as broken."""
    with interrupt.listening("\nstopping after this step; a second signal stops at once\n" if FIRST else ""):
        try:
            yield
        except (BenchError, interrupt.Interrupted):
            raise
        except Exception as error:  # loaders killed by the same signal, processes that wait for one that has gone
            stop = interrupt.asked()
            if stop is None:
                raise
            raise interrupt.Interrupted(stop, "nothing since the last checkpoint") from error


def _stopping(progress: Progress) -> Progress:
    """Stops at the second step of a stage whose loop does not look for signals: it has nothing to save."""
    waited = False

    def passed_on(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        nonlocal waited
        progress(stage, done, total, values)
        stop = interrupt.asked() if total else None
        if stop is not None and waited:
            raise interrupt.Interrupted(stop, f"nothing of {stage!r}, which starts again")
        waited = stop is not None

    return passed_on


def _heard(follow: Callable[[Journal, Path], Any], folder: Path) -> None:
    """Run a process's part; where the user's mistake shows in this process alone, no other one can tell."""
    try:
        follow(Journal(), folder)
    except BenchError as error:
        print(f"bench: process {distributed.rank()}: {error}", file=sys.stderr, flush=True)
        raise


def _record(run: runs.Run) -> RunRecord:
    """What the process that wrote it left."""
    done = runs.finished(run)
    if done is None:
        raise TrainingError(f"the processes ended without a result in {run.folder}", fix=f"see {run.folder / 'log.txt'}")
    return done


def loaded(request: Request, checkpoint: str) -> Backbone:
    """The checkpoint's backbone, read as the user said.

    Raises:
        CheckpointError: If it holds none that can be taken.
    """
    return sources.load(checkpoint, source=request.source, branch=request.branch, trust=request.trust)


def introduce(backbone: Backbone, journal: Journal) -> None:
    """Say what was recognised and why, what became of every key, and what is wrong with the weights."""
    for line in (*backbone.summary(), *remarks(backbone)):
        journal.say(line)


def checkpoint_ref(backbone: Backbone) -> Checkpoint:
    """What a record says of a backbone."""
    return Checkpoint(sha256=backbone.sha256, source=backbone.source, branch=backbone.branch, provenance=backbone.provenance)


def account(backbone: Backbone) -> dict[str, float]:
    """What a record's proof says of the file: its tensors used and dropped, and the typical norm of its weights."""
    return {**backbone.account(), "norm_ratio": norms.norm_ratio(backbone.state, backbone.arch)}


def remarks(backbone: Backbone) -> tuple[str, ...]:
    """What a record's notes say of a backbone: weights that look LARS-scaled."""
    warning = norms.warning(backbone.state, backbone.arch)
    return (warning,) if warning else ()


def slug(backbone: Backbone) -> str:
    """A backbone in a folder's name: its method and augmentation, and the head of its hash."""
    provenance = backbone.provenance
    words = [provenance.method, provenance.aug, provenance.supervision] if provenance.method != "random" else ["random"]
    return "-".join(word for word in words if word != "unknown") + f"-{backbone.sha256[:6]}"


def data_ref(ref: Data, generated: bool) -> Data:
    """Generated data goes by one name wherever it lies."""
    return ref.replace({"name": places.GENERATED}) if generated else ref


def notes(generated: bool, *others: str) -> tuple[str, ...]:
    """A record's notes, with the number of processes where there were several."""
    world = distributed.world()
    several = (f"trained in {world} processes",) if world > 1 else ()
    return (GENERATED_NOTE,) * generated + others + several

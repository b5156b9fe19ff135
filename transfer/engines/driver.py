"""The one order in which every engine works, and the small functions that an engine consists of."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from torch import Tensor, nn

from pretrain.core import distributed
from pretrain.core.errors import EngineError
from pretrain.core.journal import Journal, duration
from pretrain.diverged import require_finite
from transfer.engines import estimate
from transfer.engines.estimate import Step, Work
from transfer.engines.job import Job, Outcome
from transfer.prove import prove_input
from transfer.tasks import TaskSettings

S = TypeVar("S", bound=TaskSettings)
D = TypeVar("D")
LOWER = "lower the learning rate (--set lr=...), or lengthen the warm-up where the task has one"
"""What to do where weights are not finite."""
PREDICTIONS = "predictions.png"
"""The picture of some predictions in a run's folder."""


@dataclass(frozen=True)
class Resumed:
    """How far a broken run was trained."""

    done: int = 0
    """Steps done; 0: training begins anew."""
    total: int = 0
    """Steps of the whole training."""
    unit: str = "iteration"
    """Name of a step."""
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage of the journal → its last step that stands; what was logged after it is removed."""

    def announce(self, journal: Journal) -> None:
        """Remove from the journal what is done again, and log where training resumes."""
        journal.rewind(**self.stages)
        if self.done:
            journal.say(f"resuming at {self.unit} {self.done} of {self.total}")


class Engine(ABC, Generic[S, D]):
    """One job on one engine. `run` calls the methods below in the order they stand in.

    In a process group every process does, and the first one alone measures, draws and is listened to; the others have a
    silent journal.
    """

    NAME: ClassVar[str]
    """Name in the table of engines."""
    SETTINGS: ClassVar[type[TaskSettings]]
    """Settings of the tasks that it runs."""
    TASKS: ClassVar[str]
    """Those tasks, for messages, such as `detection tasks`."""

    def __init__(self, job: Job) -> None:
        """Check that the job is one for this engine.

        Raises:
            EngineError: If the settings are of another kind of task.
        """
        if not isinstance(job.settings, self.SETTINGS):
            raise EngineError(f"the engine {self.NAME!r} can't run {job.task.name!r}", allowed=self.TASKS)
        self.job = job
        self.settings = cast("S", job.settings)
        self.data = cast("D", job.data)

    @classmethod
    def of(cls, job: Job) -> "Engine[Any, Any]":
        """Make the engine for a job, or the variant of it that the job's settings ask for."""
        return cls(job)

    @classmethod
    def fit(cls, job: Job) -> Outcome:
        """Load the backbone with proof, train, and evaluate; resume from what a broken run left in `job.folder`.

        Raises:
            EngineError: If the engine can't run the job.
            ConfigError: If the processes can't divide a batch evenly.
            ProofError: If the model is not the backbone it was given.
            CheckpointError: If the folder holds a broken resume file, or one of another run.
            DataError: If an image can't be read.
            TrainingError: If the loss, or what the last step left, is not finite.
            Interrupted: If a signal asked for a stop; what was done until then is saved.
        """
        return run(cls.of(job))

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Surround all that follows up to the evaluation, for instance with another library's log."""
        yield self

    @abstractmethod
    def build(self) -> None:
        """Build the model with the backbone in it, and write the native configuration and the files that it names."""

    @abstractmethod
    def prepared(self, path: Path) -> Tensor:
        """Read a picture and normalise it as the model sees it, at its own size: (3, H, W)."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network that is trained, or whose features are read, once `build` has made it."""

    @abstractmethod
    def prove(self) -> dict[str, float]:
        """Compare the model before training with the backbone; raises ProofError unless they are equal."""

    @abstractmethod
    def work(self) -> Work:
        """Count the images of the whole run."""

    @abstractmethod
    def step(self) -> Step:
        """Prepare a step to be timed, on a copy of the model."""

    @abstractmethod
    def resume(self) -> Resumed:
        """Load what a broken run left in the folder."""

    @abstractmethod
    def train(self) -> None:
        """Train, from where `resume` has left off."""

    @abstractmethod
    def evaluate(self) -> None:
        """Evaluate, unless training has done so at its end."""

    @abstractmethod
    def measure(self) -> Mapping[str, float | None]:
        """Compute the metrics from the evaluation."""

    def draw(self) -> None:
        """Draw some predictions into the folder."""

    def chosen(self) -> Mapping[str, float]:
        """Return numbers that the run chose by itself, for the record, such as a learning rate."""
        return {}

    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the number must know."""

    def spent(self) -> tuple[Path, ...]:
        """Return the resume files, in the order in which they may be deleted."""
        return ()


def run(engine: Engine[Any, Any]) -> Outcome:
    """Run a job from the backbone to the metrics; what processes after the first return holds the proof alone."""
    job = engine.job
    with engine.session():
        proof = proven(engine)
        if job.announce_time:
            announce_time(engine)
        engine.resume().announce(job.journal)
        engine.train()
        require_finite(engine.network.state_dict(), "the network's weights", LOWER)
        engine.evaluate()
    if distributed.rank():
        return Outcome({}, proof)
    metrics = engine.measure()
    engine.draw()
    return Outcome(metrics, {**proof, **engine.chosen()}, engine.notes(), engine.spent())


def proven(engine: Engine[Any, Any]) -> dict[str, float]:
    """Build the model, and prove that it is the backbone and sees the same pixels."""
    engine.build()
    prove_input(engine.prepared, engine.job.backbone.recipe.seen)
    return engine.prove()


def announce_time(engine: Engine[Any, Any]) -> None:
    """Time a step and log what the whole run would take at that speed; draws no random number of the run's."""
    with estimate.without_drawing(engine.job.device):
        total = estimate.seconds(engine.work(), engine.step(), engine.job.device)
    engine.job.journal.say(f"estimated time: {duration(total)} ({engine.settings.schedule()}; one step timed now)")

"""The engine of the frozen-feature protocols: what linear evaluation and nearest neighbours do alike."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.core.errors import EngineError
from pretrain.diverged import require_finite
from pretrain.inputs import normalised
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines import estimate
from transfer.engines.driver import LOWER, Engine, Resumed
from transfer.engines.estimate import Step, Work
from transfer.engines.job import Job
from transfer.engines.probe.knn import knn_metrics
from transfer.engines.probe.linear import STATE, prepare
from transfer.representation.extractor import pixels_of
from transfer.representation.features import extractor, reading_note
from transfer.tasks import TaskSettings
from transfer.tasks.knn import KnnSettings
from transfer.tasks.linear import LinearSettings
from transfer.tasks.probe import ProbeSettings

TIMED_IMAGES = 8
"""Images of the step that is timed."""


class Probe(Engine[ProbeSettings, ClassificationData]):
    """A job on frozen features."""

    NAME = "probe"
    SETTINGS: ClassVar[type[TaskSettings]] = ProbeSettings
    TASKS = "linear evaluation and nearest neighbours"

    @classmethod
    def of(cls, job: Job) -> "Probe":
        """Make the engine of nearest neighbours, or that of linear evaluation."""
        return (Knn if isinstance(job.settings, KnnSettings) else Linear)(job)

    def build(self) -> None:
        """Build the frozen backbone, and prove it."""
        self.model, self.proof = extractor(self.job.backbone, self.job.device, self.settings.features)
        self._before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def prepared(self, path: Path) -> Tensor:
        """See `Engine`."""
        return normalised(pixels_of(path)[None].float() / 255, self.job.backbone.recipe.seen)[0]

    @property
    def network(self) -> nn.Module:
        """Return the frozen backbone."""
        return self.model

    def prove(self) -> dict[str, float]:
        """Return the proof that came with the frozen backbone."""
        return self.proof

    def step(self) -> Step:
        """Prepare a forward pass of a few images."""
        count = estimate.together(self.job.device, self.settings.batch, TIMED_IMAGES)
        images = torch.zeros(count, 3, self.settings.size, self.settings.size, device=self.job.device)

        def step() -> Work:
            with torch.inference_mode():
                self.model(images)
            return Work(forwarded=count)

        return Step(self.model, step)

    def work(self) -> Work:
        """Count one forward pass of every image."""
        return Work(forwarded=len(self.data.train) + len(self.data.val))

    def evaluate(self) -> None:
        """Check that the backbone stayed frozen.

        Raises:
            EngineError: If a tensor moved, which would make the number another protocol's.
        """
        state = self.model.state_dict()
        moved = [name for name, tensor in state.items() if not torch.equal(tensor, self._before[name])]
        if moved:
            raise EngineError("the frozen backbone moved", seen=f"{len(moved)} tensors, the first are {moved[:3]}")

    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """See `Engine`."""

    def read(self) -> tuple[str, ...]:
        """Say what is read of the backbone, where it isn't the usual."""
        return reading_note(self.job.backbone.architecture, self.settings.features)

    def spent(self) -> tuple[Path, ...]:
        """Return the classifiers' state; features stay in the cache folder, for other runs."""
        return (self.job.folder / STATE,)


class Knn(Probe):
    """Nearest neighbours."""

    def resume(self) -> Resumed:
        """Resume nothing: features that were read before are found where they are needed."""
        return Resumed()

    def train(self) -> None:
        """Let the training images vote, in the first process."""
        self._metrics = knn_metrics(self.job, self.model)

    def measure(self) -> Mapping[str, float | None]:
        """See `Engine`."""
        return self._metrics

    def notes(self) -> tuple[str, ...]:
        """Say what the reader left out, and what is read of the backbone where that is unusual."""
        return (*self.data.notes, *self.read())


class Linear(Probe):
    """Linear evaluation."""

    def work(self) -> Work:
        """Count the forward passes, of the training images one in every epoch where their crops are new."""
        passes = self.settings.epochs if isinstance(self.settings, LinearSettings) else 1
        return Work(forwarded=passes * len(self.data.train) + len(self.data.val))

    def resume(self) -> Resumed:
        """Read the features to evaluate on, and load the classifiers' state."""
        self.training = prepare(self.job, self.model)
        return self.training.resume()

    def train(self) -> None:
        """Train the classifiers, and keep the one to report."""
        self.training.train(self.model)
        reported = self.training.classifiers.linears[self.training.best.head]
        require_finite(reported.state_dict(), "the classifier's weights", LOWER)

    def measure(self) -> Mapping[str, float | None]:
        """Return the reported classifier's accuracies."""
        return self.training.best.metrics

    def chosen(self) -> Mapping[str, float]:
        """Return the learning rate that a search chose."""
        return self.training.chosen()

    def notes(self) -> tuple[str, ...]:
        """Say what the reader left out, what is read of the backbone where that is unusual, and what a search chose."""
        return (*self.data.notes, *self.read(), *self.training.notes())

"""What a job would take: its model is built and proven as a run does, and a step is timed; nothing is trained."""

from dataclasses import dataclass
from typing import Any

from pretrain.core import kept
from transfer.engines import estimate
from transfer.engines.driver import Engine, proven

MOMENTS = 1
"""Tensors of the optimiser's state for each that is trained: all engines train by SGD with momentum."""


@dataclass(frozen=True)
class Foretold:
    """What a job would take, of one process; measured on a step."""

    parameters: int
    """Of the whole network."""
    trains: bool
    """Whether it is trained, or its features are read alone."""
    seconds: float
    """Wall seconds on one device."""
    state: int
    """Bytes of weights, and where it is trained of gradients and momentum."""
    activations: float
    """Bytes that are kept of each image for the backward pass."""


def foretell(engine: Engine[Any, Any]) -> Foretold:
    """Build and prove the model as a run does, and time a step; nothing is trained. What is written lies in the job's folder.

    Raises:
        EngineError: If the engine can't run the job.
        ProofError: If the model is not the backbone it was given.
    """
    with engine.session():
        proven(engine)
        work, step, network = engine.work(), engine.step(), engine.network
        with estimate.without_drawing(engine.job.device):
            total = estimate.seconds(work, step, engine.job.device)
            activations = estimate.activations(step)
    held = [*network.parameters(), *network.buffers()]
    trained = [each for each in network.parameters() if each.requires_grad] if work.trained else []
    return Foretold(
        parameters=sum(each.numel() for each in network.parameters()),
        trains=bool(work.trained),
        seconds=total,
        state=kept.state(held, trained, MOMENTS),
        activations=activations,
    )

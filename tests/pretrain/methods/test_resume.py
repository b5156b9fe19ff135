"""A run cut anywhere is, resumed, the run in one go, for every method to the last bit of all that it holds."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.core.journal import Journal
from pretrain.trainer import Trainer

PER_EPOCH, STEPS = 3, 9
CUTS = {"in the first epoch": 1, "while something is frozen": 4, "in the last epoch": 7}
MORE: dict[str, dict[str, Any]] = {
    "mocov2": {"fill_queue": True, "aug": "cutmix"},
    "mocov2plus": {"fill_queue": True, "aug": "mixup"},
    "simclr": {"supervision": "semi", "local_views": 2},
    "dino": {"teacher_temperature_epochs": 3, "teacher_temperature": 0.07, "aug": "cutmix"},
    "swav": {"aug": "mixup"},
}
"""What else has a state, or is drawn."""


def go_on(trainer: Trainer, start: int, tiny: ModuleType, keep: Path | None = None) -> list[float]:
    """Take the steps from `start` on; saves at the cuts."""
    losses = []
    for step in range(start, STEPS):
        if keep is not None and step in CUTS.values():
            trainer.save(keep / f"{step}.pth", step, losses)
        labels = torch.arange(tiny.BATCH) % tiny.CLASSES - (trainer.config.supervision == "self") * 10
        loss, values = trainer.step(step, tiny.crops(trainer.config, step), labels.clamp(min=-1))
        losses += [loss, *map(float, values.values())]
    return losses


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All tensors that a run holds."""
    optimizer = trainer.optimizer.state_dict()["state"]
    moments = {f"{i} {name}": value for i, each in optimizer.items() for name, value in each.items()}
    return {**trainer.learner.state_dict(), **{name: torch.as_tensor(value) for name, value in moments.items()}}


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_resumed_run_is_the_run_in_one_go(name: str, tmp_path: Path, tiny: ModuleType) -> None:
    config: PretrainConfig = tiny.config(name, **{"aug": "random-erasing", **MORE.get(name, {})})

    def trainer() -> Trainer:
        return Trainer(config, PER_EPOCH * tiny.BATCH, tiny.CLASSES, "cpu")

    whole = trainer()
    losses = go_on(whole, 0, tiny, tmp_path)
    for cut in CUTS.values():
        resumed = trainer()
        start, before = resumed.resume(tmp_path / f"{cut}.pth", Journal())
        assert start == cut
        assert [*before, *go_on(resumed, cut, tiny)] == losses
        assert all(torch.equal(state(resumed)[name], tensor) for name, tensor in state(whole).items())


def test_something_is_frozen_at_the_second_cut_and_no_more_at_the_end(tiny: ModuleType) -> None:
    for name, part in (("swav", "prototypes.weight"), ("dino", "online.head.last.parametrizations.weight.original1")):
        trainer = Trainer(tiny.config(name), PER_EPOCH * tiny.BATCH, tiny.CLASSES, "cpu")
        seen = []
        for step in range(STEPS):
            before = trainer.learner.get_parameter(part).clone()
            trainer.step(step, tiny.crops(trainer.config, step), torch.full((tiny.BATCH,), -1))
            seen.append(bool(torch.allclose(trainer.learner.get_parameter(part), before, rtol=1e-6)))
        frozen = 5 if name == "swav" else 6  # steps; epochs of three steps
        assert seen[1:frozen] == [True] * (frozen - 1)  # at step 0 prototypes come to unit length
        assert not any(seen[frozen:])


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_method_logs_the_spread_of_what_it_compares(name: str, tiny: ModuleType) -> None:
    trainer = Trainer(tiny.config(name), PER_EPOCH * tiny.BATCH, tiny.CLASSES, "cpu")
    labels = torch.arange(tiny.BATCH) % tiny.CLASSES
    _, values = trainer.step(0, tiny.crops(trainer.config, 0), labels)
    assert 0 < float(values["spread"]) <= 1.0001

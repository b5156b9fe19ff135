"""Two processes on a CPU: gradients are means over both, a cut training goes on, statistics and findings are of all images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pretrain.core import distributed
from pretrain.core.group import group
from pretrain.core.journal import Journal
from transfer.datasets import coco
from transfer.datasets.objects import DetectionData, read_image
from transfer.engines.precise_bn import precise_bn
from transfer.engines.torchvision.data import (
    ORDER,
    SAMPLING,
    Sample,
    TrainingImages,
    as_tensor,
    batches,
    torch_random,
)
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.evaluate import find, in_file_pixels
from transfer.engines.torchvision.fpn import FPN
from transfer.engines.torchvision.rpn import Target
from transfer.engines.torchvision.train import Fit, begin, learning_rate, make_optimizer, set_statistics, train
from transfer.tasks.detection import DetectionSettings, FPNSettings

SEED = 3


class InterruptionError(Exception):
    """What a training is stopped with."""


def test_two_processes_train_and_evaluate_as_one(
    in_two_processes: Callable[..., None],
    tiny_detection: Callable[..., DetectionSettings],
    lay_coco: Callable[..., Path],
    tmp_path: Path,
) -> None:
    sizes = {"min_sizes": (64,), "test_size": 64, "iters": 2, "checkpoint_seconds": 0, "score_threshold": 0}
    settings = tiny_detection("coco-fpn", **sizes)
    in_two_processes(__file__, "check_two_processes", lay_coco(val=3), tmp_path, settings.model_dump_json())


def check_two_processes(root: str, folder: str, plain: str) -> None:
    """What each of two processes asserts."""
    torch.set_num_threads(1)
    settings, data = FPNSettings.model_validate_json(plain), coco.read(Path(root))
    with group("cpu"), group("cpu"):
        assert distributed.world() == 2
        _check_collection()
        _check_population()
        _check_gradients(data, settings.with_iters(1))
        model = _check_resuming(data, settings, Path(folder))
        _check_findings(model, data, settings)
        _check_a_process_without_objects(settings)


def _train(model: Detector, run: Fit) -> int:
    """Resume, or begin, and train; returns at which iteration."""
    optimizer, start = begin(model, run)
    train(model, run, optimizer, start)
    return start


def _model(settings: DetectionSettings) -> Detector:
    torch.manual_seed(0)
    return FPN("resnet18", 3, settings)


def _run(data: DetectionData, settings: DetectionSettings, folder: Path, journal: Journal | None = None) -> Fit:
    with distributed.first_alone():
        folder.mkdir(exist_ok=True)
    return Fit(data.train, settings, SEED, folder, "a", journal or Journal())


def _same_everywhere(tensor: Tensor) -> bool:
    return all(torch.equal(tensor, each) for each in distributed.gather(tensor[None]))


def _check_collection() -> None:
    """Five items go round the two processes and come back in their order, to the first one."""
    mine = [f"{item}!" for item in distributed.dealt("abcde")]
    assert mine == (["b!", "d!"] if distributed.rank() else ["a!", "c!", "e!"])
    assert distributed.collected(mine) == ([] if distributed.rank() else ["a!", "b!", "c!", "d!", "e!"])


def _check_population() -> None:
    """The statistics are those of all values in both processes, whatever their numbers."""
    torch.manual_seed(1)
    every = [torch.randn(4, 2, 3, 3), torch.randn(2, 2, 3, 3) + 1]
    layer = nn.BatchNorm2d(2).train()
    precise_bn(layer, layer, every[distributed.rank()].split(2))
    values = torch.cat(every).transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.running_mean, values.mean(dim=1))
    torch.testing.assert_close(layer.running_var, values.var(dim=1, correction=0))


def _check_gradients(data: DetectionData, settings: DetectionSettings) -> None:
    """A step is made with the mean of the gradients that two single processes would have on the two parts."""
    trained, expected = _model(settings), _model(settings).train()
    _train(trained, _run(data, settings.replace({"checkpoint_seconds": 1e6}), Path()))
    optimizer = make_optimizer(expected, settings)
    images = TrainingImages(data.train, settings, SEED)
    for place, draw in enumerate(next(batches(data.train, 2, SEED, ORDER))):
        losses = expected.losses([images[draw]], torch_random(SEED, SAMPLING, place))
        (torch.stack(list(losses.values())).sum() / 2).backward()
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = learning_rate(settings, 0)
    optimizer.step()
    for name, parameter in trained.named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name), rtol=1e-4, atol=1e-7, msg=name)


def _check_resuming(data: DetectionData, settings: DetectionSettings, folder: Path) -> Detector:
    """A training cut after its first checkpoint ends as one that was not, in both processes."""
    whole, cut = _model(settings), _model(settings)
    _train(whole, _run(data, settings, folder / "whole"))

    def stop(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == 2:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        _train(cut, _run(data, settings, folder / "cut", Journal(progress=stop)))
    resumed = _model(settings)
    assert _train(resumed, _run(data, settings, folder / "cut")) == 1
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
        assert _same_everywhere(tensor), name
    return whole


def _check_findings(model: Detector, data: DetectionData, settings: DetectionSettings) -> None:
    """What two processes find in three images is what one finds in them, one after the other."""
    set_statistics(model, _run(data, settings, Path()))
    assert all(_same_everywhere(buffer) for buffer in model.buffers())
    steps: list[int] = []
    found = find(model, data.val, settings, Journal(progress=lambda stage, done, total, values: steps.append(done)))
    assert steps == ([2] if distributed.rank() else [2, 3])
    assert len(found) == (0 if distributed.rank() else 3)
    for each, picture in zip(found, data.val, strict=False):
        pixels = np.asarray(read_image(picture).resize((77, 64), 2))  # 96 x 80 pixels, brought to a short side of 64
        alone = in_file_pixels(model.detect([as_tensor(pixels)])[0], (64, 77), (picture.height, picture.width))
        assert len(each.scores)
        for name in ("boxes", "scores", "labels"):
            assert np.array_equal(getattr(each, name), getattr(alone, name)), name
        assert each.masks == alone.masks


def _check_a_process_without_objects(settings: DetectionSettings) -> None:
    """Its masks cost nothing, and yet every parameter has a gradient, which the others wait for."""
    model = _model(settings).train()
    none = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    sample = Sample(torch.zeros(3, 64, 64, dtype=torch.uint8), none)
    losses = model([sample], torch.Generator().manual_seed(0))
    torch.stack(list(losses.values())).sum().backward()
    assert float(losses["mask"]) == 0
    assert all(parameter.grad is not None for parameter in model.parameters())

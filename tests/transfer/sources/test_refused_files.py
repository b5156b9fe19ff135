"""What is refused, and that its reason is said; and that reading a file runs nothing in it."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from pretrain.core.errors import CheckpointError
from transfer import sources
from transfer.sources import files

State = dict[str, Tensor]


def model_state(build: Callable[[], nn.Module]) -> State:
    """A state dict of zeros that shares one number: its names and shapes are what counts."""
    with torch.device("meta"):
        state = build().state_dict()
    zero = torch.zeros(())
    return {name: zero.to(tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}


def resnet18() -> State:
    return model_state(torchvision.models.resnet18)


def refused(tmp_path: Path, content: Any, name: str = "checkpoint.pth", **how: Any) -> str:
    """The message with which a file of that content is refused."""
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CheckpointError) as caught:
        sources.load(str(path), **how)
    return str(caught.value)


def in_four_parts(message: str) -> bool:
    return all(f"\n  {part}" in message for part in ("seen:", "allowed:", "do:"))


def without(state: State, prefix: str) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


def renamed(state: State, old: str, new: str) -> State:
    return {name.replace(old, new): tensor for name, tensor in state.items()}


def deep_stem(state: State, name: str) -> State:
    """A ResNetV1c's: three convolutions in the place of conv1."""
    stem = {f"{name}.{i}.weight": torch.zeros(()).expand(32, 3 if i == 0 else 32, 3, 3) for i in (0, 3, 6)}
    return stem | without(state, "conv1")


def clip_like() -> State:
    """OpenAI CLIP's ModifiedResNet, model.py: conv1 to conv3 are its stem."""
    state = without(resnet18(), "conv1") | {"conv1.weight": torch.zeros(()).expand(32, 3, 3, 3)}
    return state | {"conv2.weight": torch.zeros(()).expand(32, 32, 3, 3), "conv3.weight": torch.zeros(()).expand(64, 32, 3, 3)}


def cifar() -> State:
    """vturrisi/solo-learn @9187ea3, solo/methods/base.py: conv1 is 3×3 for CIFAR."""
    return resnet18() | {"conv1.weight": torch.zeros(()).expand(64, 3, 3, 3)}


def half() -> State:
    return without(without(resnet18(), "layer4"), "layer3.1")


def projector() -> Any:
    return {"state_dict": {f"module.projector.{name}": torch.zeros(8, 8) for name in ("0.weight", "2.weight")}}


def msra() -> State:
    """facebookresearch/detectron2 @02b5c4e, checkpoint/c2_model_loading.py: the names of MSRA's R-50.pkl."""
    names = ("conv1_w", "res_conv1_bn_s", "res2_0_branch1_w", "res2_0_branch2a_w", "res2_0_branch2a_bn_s")
    return {name: torch.zeros(4, 4, 1, 1) for name in names}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "half a checkpoint": (half, "nearest is resnet18, with 35 tensors amiss: 35 missing: layer3.1.bn1.bias"),
    "renamed keys": (lambda: renamed(resnet18(), "layer", "stage"), "no backbone recognised"),
    "some renamed keys": (lambda: renamed(resnet18(), "bn", "norm"), "68 missing: bn1.bias, bn1.running_mean"),
    "renamed blocks": (lambda: renamed(resnet18(), "layer3", "block3"), "missing: layer3.0.bn1.bias"),
    "a projector only": (projector, "it is a head or projector only"),
    "no tensors": (lambda: {"epoch": 3}, "it holds no tensors by name"),
    "a list": (lambda: [torch.zeros(3)], "holds no named tensors"),
    "a vision transformer": (lambda: model_state(torchvision.models.vit_b_16), "it is a vision transformer"),
    "a wide ResNet": (lambda: model_state(torchvision.models.wide_resnet50_2), "it is wider than a ResNet"),
    "a ResNeXt": (lambda: model_state(torchvision.models.resnext50_32x4d), "it is a ResNeXt"),
    "ResNet-152": (lambda: model_state(torchvision.models.resnet152), "it is a deeper ResNet"),
    "another network": (lambda: model_state(torchvision.models.mobilenet_v3_small), "no backbone recognised"),
    "a ResNetV1c of mmseg": (lambda: {"meta": {}, "state_dict": renamed(deep_stem(resnet18(), "stem"), "", "")}, "three 3×3"),
    "a ResNetV1c in a detector": (
        lambda: {"meta": {}, "state_dict": {f"backbone.{name}": t for name, t in deep_stem(resnet18(), "stem").items()}},
        "its stem is three 3×3 convolutions (ResNetV1c",
    ),
    "timm's d models": (lambda: deep_stem(resnet18(), "conv1"), "its stem is three 3×3 convolutions"),
    "CLIP's": (clip_like, "its stem is three 3×3 convolutions"),
    "a stem for CIFAR": (cifar, "one 3×3 convolution"),
    "one channel": (lambda: resnet18() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, "does not take 3 channels"),
    "group norm": (lambda: {k: t for k, t in resnet18().items() if "running" not in k and "num_b" not in k}, "GroupNorm"),
    "squeeze and excitation": (
        lambda: resnet18() | {"layer1.0.se.fc1.weight": torch.zeros(4, 64, 1, 1)},
        "squeeze-and-excitation",
    ),
    "a block too many": (
        lambda: resnet18() | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)},
        "1 extra: layer1.2.conv1.weight",
    ),
    "adapters": (lambda: resnet18() | {"layer1.0.conv1.lora_A.weight": torch.zeros(4, 4)}, "merge them first"),
    "fake quantisation": (lambda: resnet18() | {"conv1.weight_fake_quant.scale": torch.ones(1)}, "trained for that"),
    "folded norms": (
        lambda: {
            k.replace("weight", w): torch.zeros(t.shape[: 4 if w == "weight" else 1])
            for k, t in resnet18().items()
            if t.dim() == 4
            for w in ("weight", "bias")
        },
        "folded into its convolutions",
    ),
    "MSRA's": (msra, "stride in the 1×1 convolutions and BGR images"),
    "a number that is none": (lambda: resnet18() | {"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias holds 64 values"),
    "an infinity": (
        lambda: resnet18() | {"bn1.bias": torch.full((64,), 1e300, dtype=torch.float64)},
        "bn1.bias holds 64 values",
    ),
    "integers": (lambda: resnet18() | {"conv1.weight": torch.zeros(64, 3, 7, 7, dtype=torch.int8)}, "conv1.weight is int8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    message = refused(tmp_path, make())
    assert reason in message
    assert in_four_parts(message) or name == "a list"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in resnet18().items()}
    state["bn1.bias"] = torch.linspace(-1, 1, 64).to(dtype)
    torch.save(state, tmp_path / "half.pth")
    read = sources.load(str(tmp_path / "half.pth")).state
    assert {tensor.dtype for name, tensor in read.items() if "num_batches" not in name} == {torch.float32}
    assert torch.equal(read["bn1.bias"], torch.linspace(-1, 1, 64).to(dtype).float())


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(resnet18(), buffer)
    message = refused(tmp_path, buffer.getvalue()[:10_000])
    assert "can't read" in message
    assert "10000 bytes" in message
    assert in_four_parts(message)


@pytest.mark.parametrize("text", [b"version https://git-lfs.github.com/spec/v1\noid sha256:1", b"<!DOCTYPE html>", b""])
def test_a_text_file_is_refused(tmp_path: Path, text: bytes) -> None:
    message = refused(tmp_path, text)
    assert "as a checkpoint: it is none" in message
    assert text[:15].decode() in message
    assert in_four_parts(message)


def test_a_broken_safetensors_file_is_refused(tmp_path: Path) -> None:
    assert "can't read" in refused(tmp_path, (90).to_bytes(8, "little") + b'{"conv1.weight":', "model.safetensors")


def test_the_backbone_beside_a_training_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "backbone.pth").touch()
    message = refused(tmp_path, {"template": {"encoder": {"weight": torch.zeros(3, 3, 3, 3)}}, "step": 7}, "last.pth")
    assert "seen:    1 tensors, the first are ['weight']" in message
    assert "do:      pass the backbone.pth beside it" in message


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path, seen in ((tmp_path, "nothing"), (tmp_path / "none.pth", "nothing")):
        with pytest.raises(CheckpointError, match=f"no checkpoint (at|in)(.|\n)*{seen}"):
            sources.load(str(path))


class Make:
    """A pickle of this makes a folder as soon as it is opened without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.target),))


def hostile_files(target: Path) -> dict[str, bytes]:
    zipped, old = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": resnet18() | {"x": Make(target)}}, zipped)
    torch.save({"state_dict": Make(target)}, old, _use_new_zipfile_serialization=False)
    detectron2 = {"model": {"stem.conv1.weight": np.zeros(3)}, "__author__": Make(target)}
    return {
        "plain.pth": pickle.dumps(Make(target)),
        "zipped.pth": zipped.getvalue(),
        "old.pth": old.getvalue(),
        "r50.pkl": pickle.dumps(detectron2),
        "protocol0.pkl": pickle.dumps(detectron2, protocol=2),
    }


@pytest.mark.parametrize("name", ["plain.pth", "zipped.pth", "old.pth", "r50.pkl", "protocol0.pkl"])
def test_a_pickle_that_runs_code_is_refused_by_name_and_does_not_run(tmp_path: Path, name: str) -> None:
    target = tmp_path / "ran"
    message = refused(tmp_path, hostile_files(target)[name], name)
    assert "wants to run code, and did not" in message
    assert "asks for " in message
    assert ".mkdir" in message
    assert "--trust-checkpoint" in message
    assert not target.exists()


@pytest.mark.parametrize("name", ["plain.pth", "zipped.pth", "old.pth", "r50.pkl"])
def test_only_who_trusts_it_runs_it(tmp_path: Path, name: str) -> None:
    target = tmp_path / "ran"
    (tmp_path / name).write_bytes(hostile_files(target)[name])
    if name == "zipped.pth":
        assert sources.load(str(tmp_path / name), trust=True).source == "plain"
    else:  # it holds no backbone, and is read as far as that shows
        with pytest.raises(CheckpointError, match=r"holds no|recognised"):
            sources.load(str(tmp_path / name), trust=True)
    assert target.exists()


class History:
    """Stands for mmengine's HistoryBuffer, which training checkpoints of MMSelfSup and MMPretrain keep beside the weights."""


def test_a_class_beside_the_weights_stops_nothing_and_is_named(tmp_path: Path) -> None:
    saved = {"meta": {}, "state_dict": {f"backbone.{name}": tensor for name, tensor in resnet18().items()}, "hub": History()}
    torch.save(saved, tmp_path / "checkpoint.pth")
    backbone = sources.load(str(tmp_path / "checkpoint.pth"))
    assert backbone.strangers == (f"{__name__}.History",)
    assert backbone.summary()[-1] == f"beside the weights, not run: {__name__}.History"


def test_arrays_of_objects_are_no_way_around_it(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    message = refused(tmp_path, pickle.dumps({"model": {"a": np.array([Make(target)], dtype=object)}}), "r50.pkl")
    assert "mkdir" in message
    assert "wants to run code, and did not" in message
    assert not target.exists()


def test_a_dtype_of_objects_is_refused_before_its_bytes_are_taken_for_pointers(tmp_path: Path) -> None:
    class Forged:
        def __reduce__(self) -> tuple[object, ...]:
            return (np.ndarray, ((1,), "O", bytearray(b"\x01" * 8)))

    assert "asks for an array of dtype O" in refused(tmp_path, pickle.dumps({"model": {"a": Forged()}}), "r50.pkl")


def test_arrays_keep_their_values_order_and_bytes(tmp_path: Path) -> None:
    numbers = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    written = {
        "c": numbers,
        "f": np.asfortranarray(numbers),
        "big": numbers.astype(">f8"),
        "n": np.array(3),
        "x": np.float32(2),
    }
    for protocol in (2, 4, 5):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(written, protocol=protocol))
        content = files.read(tmp_path / "a.pkl").content
        assert all(np.array_equal(content[name], numbers) for name in ("c", "f", "big"))
        assert (int(content["n"]), content["x"]) == (3, 2.0)


def detectron2_file(named: State) -> Any:
    return {"model": {f"stem.{name}": tensor.contiguous().numpy() for name, tensor in named.items()}, "n": np.float32(3)}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    written = pickle.dumps(detectron2_file({"conv1.weight": torch.zeros(2, 3, 7, 7)}), protocol=protocol)
    assert "no backbone recognised" in refused(tmp_path, written, "r50.pkl")  # and not: wants to run code


def test_arrays_that_numpy_1_wrote_are_read(tmp_path: Path) -> None:
    """numpy 2 moved `numpy.core` to `numpy._core`; protocol 2 spells module names out, so that one can be put for the other."""
    written = pickle.dumps(detectron2_file({"conv1.weight": torch.zeros(2, 3, 7, 7)}), protocol=2)
    assert b"numpy._core" in written
    assert "no backbone recognised" in refused(tmp_path, written.replace(b"numpy._core", b"numpy.core"), "r50.pkl")

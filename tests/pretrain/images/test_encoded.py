"""JPEGs left to a GPU's decoder, for which libjpeg stands in here: the same crops, and what it can't do is done elsewhere."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError, DataError
from pretrain.images import encoded, imageset
from pretrain.images.crops import Crop
from pretrain.images.decode import sequential_jpeg
from pretrain.images.encoded import Encoded, EncodedCrops
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader
from pretrain.trainer import Trainer

KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a.jpg": ("RGB", {"subsampling": 2}, True),
    "b.jpg": ("RGB", {"subsampling": 0}, True),
    "c.jpg": ("L", {}, True),
    "d.jpg": ("RGB", {"progressive": True}, False),
    "e.jpg": ("CMYK", {}, False),
    "f.jpg": ("RGB", {"keep_rgb": True}, False),
    "g.png": ("RGB", {}, False),
}
"""File → mode, how it is saved, whether a GPU decodes it."""


@pytest.fixture
def found(tmp_path: Path) -> ImageSet:
    (tmp_path / "train" / "ant").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, (name, (mode, options, _)) in enumerate(KINDS.items()):
        smooth = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((60 + 9 * number, 80 - 5 * number))
        smooth.convert(mode).save(tmp_path / "train" / "ant" / name, **options)
    return imageset.read(tmp_path, "train")


def crops(kind: type[Crops], found: ImageSet) -> Crops:
    return kind(found, found.labels, [Crop(24, (0.2, 1.0)), Crop(16, (0.2, 1.0), resize="bicubic")], seed=0)


class Decoder:
    """libjpeg, which refuses some files."""

    def __init__(self, refuses: tuple[bytes, ...] = ()) -> None:
        self.refuses, self.calls = refuses, list[int]()

    def __call__(self, files: list[Tensor], device: torch.device) -> list[Tensor]:
        self.calls.append(len(files))
        if any(each.numpy().tobytes() in self.refuses for each in files):
            raise RuntimeError("nvjpeg: unsupported")
        return [torch.ops.image.decode_jpeg(each, 3, False) for each in files]


def made(found: ImageSet, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    monkeypatch.setattr(encoded, "decoder", lambda: decoder)
    (batch,) = loader(crops(EncodedCrops, found), in_order(len(found), 9), num_workers=1)
    assert isinstance(batch[0], Encoded)
    return pickle.loads(pickle.dumps(batch[0])).made("cpu")


def test_only_whole_baseline_files_in_known_colours_are_left_to_it(found: ImageSet) -> None:
    data = {name.split("/")[1]: found.picture(index).data for index, name in enumerate(found.names)}
    assert {name: sequential_jpeg(each) for name, each in data.items()} == {name: gpu for name, (*_, gpu) in KINDS.items()}
    assert not sequential_jpeg(data["a.jpg"][:-40])
    assert sequential_jpeg(data["a.jpg"] + b"\0\0")


def test_crops_are_those_of_the_workers(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()
    views = made(found, decoder, monkeypatch)
    expected, _, _ = crops(Crops, found).__getitems__([(0, index) for index in range(len(found))])
    assert decoder.calls == [3]
    for ours, theirs in zip(views, expected, strict=True):
        assert ours.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(ours[3:], theirs[3:])  # what the workers made
        assert int((ours.int() - theirs.int()).abs().max()) <= 3  # see `test_resample`


def test_a_file_that_it_refuses_is_decoded_on_the_cpu_and_the_others_by_it(
    found: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = made(found, Decoder(), monkeypatch)
    decoder = Decoder((found.picture(1).data,))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(made(found, decoder, monkeypatch), usual, strict=True))
    assert decoder.calls == [3, 1, 1, 1]


def test_a_file_that_nothing_decodes_is_an_error_that_names_it(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    path = found.root / "ant" / "b.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\xff\xda")] + b"\xff\xd9")  # headers alone, but it ends as a whole one does
    with pytest.raises(DataError, match=r"ant/b\.jpg"):
        made(found, Decoder((path.read_bytes(),)), monkeypatch)


def test_all_files_or_none_may_be_for_it(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen in ([0, 1, 2], [3, 4, 5, 6]):
        part = found.part(chosen)
        views = made(part, Decoder(), monkeypatch)
        assert [tuple(view.shape) for view in views] == [(len(chosen), 3, 24, 24), (len(chosen), 3, 16, 16)]


def test_it_is_part_of_the_identity_and_contradicts_what_needs_pixels_of_the_workers() -> None:
    gpu, cpu = PretrainConfig.read({"decode": "gpu"}), PretrainConfig.read({})
    assert gpu.identity() == {**cpu.identity(), "decode": "gpu"}
    assert gpu.replace({"cache": "jpeg"}).decode == "gpu"
    for other in ({"on_bad_image": "skip"}, {"cache": "ram"}, {"cache_side": 128}):
        with pytest.raises(ConfigError, match="decode gpu takes whole files"):
            gpu.replace(other)


def test_a_cpu_refuses_it_in_one_message() -> None:
    config = PretrainConfig.read({"decode": "gpu", "arch": "resnet18", "size": 32, "batch": 8, "queue": 16})
    with pytest.raises(ConfigError, match="no GPU decodes JPEGs here"):
        Trainer(config, 16, 2, "cpu")


@pytest.mark.parametrize("at_once", [1, 5000, 2**23])
def test_how_many_are_cropped_at_once_is_bounded_by_their_padded_pixels(
    found: ImageSet, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = made(found, Decoder(), monkeypatch)
    monkeypatch.setattr(encoded, "AT_ONCE", at_once)
    for ours, theirs in zip(made(found, Decoder(), monkeypatch), usual, strict=True):
        assert int((ours.int() - theirs.int()).abs().max()) <= 1  # sums of other lengths may round otherwise
    sides = np.array(list(itertools.product((10, 60, 90), repeat=2)))
    parts = list(encoded.at_once(np.concatenate([0 * sides, sides], axis=1)))
    assert [index for part in parts for index in range(len(sides))[part]] == list(range(len(sides)))
    for part in parts:
        width, height = sides[part].max(axis=0)
        assert len(sides[part]) == 1 or len(sides[part]) * width * height <= at_once
    assert not list(encoded.at_once(np.empty((0, 4))))

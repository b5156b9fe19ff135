"""Addresses: which forms there are, and which form is named where another was written."""

from pathlib import Path

import pytest

from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer import sources
from transfer.sources import addresses


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("timm/resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
        ("timm://resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
        ("facebook/dino-vits16", "hf:facebook/dino-vits16"),
        ("hf://facebook/dino-vits16", "hf:facebook/dino-vits16"),
        ("hf-hub:timm/resnet18.a1_in1k", "hf:timm/resnet18.a1_in1k"),
        ("https://huggingface.co/owner/name", "hf:owner/name"),
        ("https://huggingface.co/owner/name/tree/v1", "hf:owner/name@v1"),
        ("https://huggingface.co/owner/name/blob/main/a/b.bin", "hf:owner/name/a/b.bin@main"),
        ("https://github.com/owner/name/blob/main/x.pth", "https://github.com/owner/name/raw/main/x.pth"),
        ("https:/host/x.pth", "https://host/x.pth"),
        ("torchvision://resnet50", "torchvision:resnet50/IMAGENET1K_V1"),
        ("file:///data/x.pth", "/data/x.pth"),
        ("http://host/x.pth", "https://host/x.pth"),
    ],
)
def test_what_is_written_otherwise_is_refused_with_the_right_form(written: str, right: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        sources.load(written)
    assert f"--ckpt {right}" in str(caught.value)


def test_a_path_that_is_not_there_is_no_model_s_name() -> None:
    with pytest.raises(CheckpointError) as caught:
        sources.load("run/backbone.pth")
    assert "hf:run" not in str(caught.value)


def test_every_form_but_the_own_server_s_is_named_where_a_checkpoint_is_missing() -> None:
    with pytest.raises(CheckpointError) as caught:
        sources.load("nowhere.pth")
    assert all(scheme.form in str(caught.value) for name, scheme in addresses.SCHEMES.items() if name != "http")


@pytest.mark.parametrize("name", ["a" * 400, "a\0b", "owner/" + "a" * 400])
def test_a_name_that_no_disk_can_have_is_one_message(name: str) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        sources.load(name)


@pytest.mark.parametrize("address", ["s3://bucket/x.pth", "open-mmlab://resnet50"])
def test_another_kind_of_address_is_refused(address: str) -> None:
    with pytest.raises(CheckpointError, match="takes no address of that form"):
        sources.load(address)


@pytest.mark.parametrize("address", ["random:resnet18", "torchvision:resnet18/IMAGENET1K_V1"])
def test_nothing_is_left_to_choose_in_a_fixed_backbone(address: str) -> None:
    with pytest.raises(CheckpointError, match=r"is one backbone(.|\n)*--prefix encoder"):
        sources.load(address, prefix="encoder.")


def test_a_path_means_itself(tmp_path: object) -> None:
    located = addresses.find(str(tmp_path), Journal())
    assert isinstance(located, addresses.Located)
    assert (str(located.path), located.origin) == (str(tmp_path), None)


def test_timm_s_weights_are_named_with_their_tag() -> None:
    with pytest.raises(CheckpointError, match=r"which weights of resnet18(.|\n)*timm:resnet18\.a1_in1k"):
        sources.load("timm:resnet18")


def test_a_path_may_begin_at_home_and_its_neighbours_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match="it is an empty file"):
        sources.load("~/model.pth")
    with pytest.raises(CheckpointError, match=r"nothing; near it: model\.pth"):
        sources.load("~/model.pt")


def test_a_link_that_leads_nowhere_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "last.pth").symlink_to("epoch_9.pth")
    with pytest.raises(CheckpointError, match=r"a link to epoch_9\.pth, which is not there"):
        sources.load(str(tmp_path / "last.pth"))


def test_the_name_of_an_architecture_is_no_checkpoint() -> None:
    with pytest.raises(CheckpointError, match="random:resnet18, untrained"):
        sources.load("resnet18")

"""`bench card --hub`: the folder for the Hugging Face hub, loaded by timm's own loader and by ours."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from huggingface_hub import ModelCard

from bench.options import Reading
from bench.verbs import card
from pretrain import backbones
from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError, ConfigError, ProofError, RecordError
from pretrain.provenance import Provenance
from transfer import convert, sources
from transfer.datasets import LAYOUTS
from transfer.record import RunRecord, write
from transfer.sources import Backbone
from transfer.sources.addresses import hf, hub

ROOT = Path(__file__).resolve().parents[2]
made = runpy.run_path(str(ROOT / "tests" / "sample_records.py"))["made"]
FILES = {"README.md", "config.json", "model.safetensors", "model.safetensors.json"}


def silent(*_: object) -> None:
    """No progress shown."""


def random_backbone(arch: str, **how: Any) -> dict[str, torch.Tensor]:
    """Weights of a trunk whose norms are not those of a fresh one, so that a norm in the wrong place shows."""
    torch.manual_seed(0)
    trunk, _ = backbones.get(arch).build(1, **how)
    state = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    for name, tensor in state.items():
        if "running_var" in name:
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("bn1.bias", "norm1.bias", "running_mean")):
            tensor.normal_(0.1, 0.2)
    return state


def saved(folder: Path, arch: str = "resnet18", **how: Any) -> Path:
    """A backbone of ours that says where it came from."""
    came = Provenance(
        method="mocov2",
        method_version=2,
        aug="cutmix",
        supervision="self",
        label_fraction=0.0,
        arch=arch,
        data="eurosat",
        epochs=20,
        seed=3,
        changed={"method.queue": 64},
    )
    save_backbone(folder / "backbone.pth", random_backbone(arch, **how), came)
    return folder / "backbone.pth"


def of(record: RunRecord, backbone: Backbone) -> RunRecord:
    """The record, as if it were of that backbone."""
    return record.replace({"checkpoint": record.checkpoint.replace({"sha256": backbone.sha256}).model_dump(mode="json")})


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "vit_small", "vit_small_mocov3"])
def test_timm_loads_the_folder_by_itself_and_computes_the_same_features(arch: str, tmp_path: Path) -> None:
    checkpoint, folder = saved(tmp_path, arch), tmp_path / "with a space"
    done = card.for_hub(str(checkpoint), folder, [], silent)
    assert set(done.files) == FILES == {path.name for path in folder.iterdir()}
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(model(images), sources.load(str(checkpoint)).network()(images))
    plain = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (plain["num_classes"], plain["num_features"]) == (0, model.num_features)
    seen = timm.data.resolve_model_data_config(model)
    assert (seen["interpolation"], seen["crop_pct"], tuple(seen["input_size"])) == ("bilinear", 0.875, (3, 224, 224))
    assert tuple(seen["mean"]) == (0.485, 0.456, 0.406)


def test_a_new_classifier_keeps_the_trunk_and_small_images_keep_their_positions(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, "vit_small", size=96)
    card.for_hub(str(checkpoint), tmp_path / "hub", [], silent)
    model = timm.create_model(f"local-dir:{tmp_path / 'hub'}", pretrained=True, num_classes=7)
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 7)
    assert torch.equal(model.state_dict()["pos_embed"], sources.load(str(checkpoint)).state["pos_embed"])


def test_our_own_reader_finds_the_backbone_and_where_it_came_from(tmp_path: Path) -> None:
    before = sources.load(str(saved(tmp_path)))
    card.for_hub(str(tmp_path / "backbone.pth"), tmp_path / "hub", [], silent)
    after = sources.load(str(tmp_path / "hub"))
    assert after.provenance == before.provenance
    assert all(torch.equal(after.state[name], tensor) for name, tensor in before.state.items())


def test_the_hub_is_asked_for_what_says_where_it_came_from(tmp_path: Path) -> None:
    card.for_hub(str(saved(tmp_path)), tmp_path / "hub", [], silent)
    listing = hub.Listing("0" * 40, {path.name: hub.Item() for path in (tmp_path / "hub").iterdir()})
    model = hub.Model("hf:me/mine", "me/mine", None, "main")
    assert set(hf._chosen(model, listing)) == FILES - {"README.md"}


def test_the_input_of_0_to_255_is_said_by_mean_and_deviation(tmp_path: Path) -> None:
    torch.save(random_backbone("resnet18"), tmp_path / "a.pth")
    card.for_hub(str(tmp_path / "a.pth"), tmp_path / "hub", [], silent, reading=Reading(mean="123.675,116.28,103.53", std="1"))
    plain = json.loads((tmp_path / "hub" / "config.json").read_text(encoding="utf-8"))["pretrained_cfg"]
    assert plain["std"] == pytest.approx([1 / 255] * 3)
    assert plain["mean"] == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize(
    ("arch", "reading", "named"),
    [
        ("resnet50", Reading(stride_in="1x1"), "strides in the 1×1"),
        ("resnet18", Reading(eps=1e-3), "norms that add 0.001"),
        ("resnet18", Reading(input_order="BGR"), "channels in the order BGR"),
    ],
)
def test_what_timm_cannot_be_told_is_refused_by_name(arch: str, reading: Reading, named: str, tmp_path: Path) -> None:
    torch.save(random_backbone(arch), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=named):
        card.for_hub(str(tmp_path / "a.pth"), tmp_path / "hub", [], silent, reading=reading)
    assert not (tmp_path / "hub").exists()


def test_the_stem_for_small_images_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the stem for small images"):
        card.for_hub(str(saved(tmp_path, stem="small")), tmp_path / "hub", [], silent)


def test_an_architecture_that_timm_has_not_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(type(backbones.get("resnet18")), "in_timm", backbones.Architecture.in_timm)
    with pytest.raises(CheckpointError, match="the architecture resnet18"):
        card.for_hub(str(saved(tmp_path)), tmp_path / "hub", [], silent)


def test_a_folder_that_timm_reads_otherwise_is_never_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Six heads in place of twelve: all tensors are equal, and the features are not."""
    checkpoint, other = saved(tmp_path, "vit_small_mocov3"), backbones.get("vit_small")
    monkeypatch.setattr(type(backbones.get("vit_small_mocov3")), "in_timm", lambda self, shapes: other.in_timm(shapes))
    with pytest.raises(ProofError, match="0 different tensors"):
        card.for_hub(str(checkpoint), tmp_path / "hub", [], silent)
    assert [path.name for path in (tmp_path / "hub").iterdir()] == []


def test_the_card_says_numbers_as_the_hub_does_and_where_they_came_from(tmp_path: Path) -> None:
    backbone = sources.load(str(saved(tmp_path)))
    runs = [
        made("pretrain", {"loss": 1.0}, kind="pretrain", changed={"method.queue": 64}),
        *(made(metrics={"top1": value}, run_seed=seed, of_layout="imagefolder") for seed, value in enumerate((61.0, 62.0))),
        made("knn", metrics={"knn": 55.0}, of_layout="imagefolder"),
        made("voc0712", {"AP50": 41.0, "AP": None}, changed={"iters": 60}, engine="torchvision"),
    ]
    for index, record in enumerate(runs):
        folder = tmp_path / "runs" / f"r{index}"
        folder.mkdir(parents=True)
        write(of(record, backbone), folder / "result.json")
    write(made(metrics={"top1": 99.0}, aug="cutmix"), tmp_path / "runs" / "result.json")
    card.for_hub(str(tmp_path / "backbone.pth"), tmp_path / "hub", [tmp_path / "runs"], silent, license_id="cc-by-4.0")
    found = ModelCard.load(tmp_path / "hub" / "README.md")
    said = found.data.to_dict()
    assert (said["license"], said["library_name"]) == ("cc-by-4.0", "timm")
    assert "datasets" not in said  # a name of the user's own, whatever the hub has of that name
    assert "pre-trained on eurosat" in found.text
    assert {"timm", "mocov2", "cutmix", "resnet18", "self-supervised"} <= set(said["tags"])
    results = {result.metric_name: result for result in found.data.eval_results or []}
    assert results["linear top1 (%)"].metric_value == 61.5
    assert (results["linear top1 (%)"].metric_type, results["linear top1 (%)"].task_type) == (
        "accuracy",
        "image-classification",
    )
    assert (results["linear top1 (%)"].metric_args or {})["runs"] == 2
    assert {(result.dataset_type, result.dataset_name) for result in results.values()} >= {("imagefolder", "shapes")}
    assert results["voc0712* AP50 (%)"].task_type == "object-detection"
    assert (results["voc0712* AP50 (%)"].metric_args or {})["changed"] == "iters = 60"
    assert {result.metric_value for result in results.values()} == {61.5, 55.0, 41.0}
    for words in ("without labels", "| seed | 3 |", "queue", "One seed", "published protocol"):
        assert words in found.text, words
    assert "add `license:`" not in found.text


def test_without_a_license_and_records_the_card_says_what_is_missing(tmp_path: Path) -> None:
    checkpoint, runs = f"{saved(tmp_path)}", tmp_path / "none"
    with pytest.raises(RecordError, match=r"no folder .*none"):
        card.for_hub(checkpoint, tmp_path / "hub", [runs], silent)
    assert not (tmp_path / "hub").exists()
    runs.mkdir()
    card.for_hub(checkpoint, tmp_path / "hub", [runs], silent)
    text = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert "license" not in head
    assert "model-index" not in head
    assert "add `license:`" in text
    assert "Nothing was measured yet." in text


def test_records_that_cannot_be_read_are_said_even_if_none_can(tmp_path: Path) -> None:
    broken = tmp_path / "runs" / "one" / "result.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{", encoding="utf-8")
    done = card.for_hub(str(saved(tmp_path)), tmp_path / "hub", [tmp_path / "runs"], silent)
    assert [problem.path for problem in done.problems] == [broken]


def test_files_that_are_there_are_kept_unless_they_are_the_same_or_to_be_overwritten(tmp_path: Path) -> None:
    checkpoint, folder = str(saved(tmp_path)), tmp_path / "hub"
    card.for_hub(checkpoint, folder, [], silent)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert card.for_hub(checkpoint, folder, [], silent).files == ()
    (folder / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"README\.md"):
        card.for_hub(checkpoint, folder, [], silent)
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"
    assert card.for_hub(checkpoint, folder, [], silent, overwrite=True).files == ("README.md",)
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--license", "mit"), "--license: only with --hub"),
        (("--overwrite", "--source", "timm"), "--overwrite, --source and its like: only with --hub"),
        (("--hub", "hub", "--out", "a.md"), "--out a.md"),
        (("--hub", "hub", "--license", "My License"), "not a name of a license"),
        (("--hub", "backbone.pth"), "--hub names a file"),
    ],
)
def test_options_that_say_nothing_there_are_refused(
    words: tuple[str, ...], said: str, typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    assert typed("card", "backbone.pth", *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()


def test_the_command_prints_how_to_load_and_to_upload_it(typed: Any, tmp_path: Path, capsys: Any) -> None:
    assert typed("card", str(saved(tmp_path)), "--hub", str(tmp_path / "my hub"), "--runs", str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert f"hf upload OWNER/NAME '{tmp_path}/my hub'" in printed
    assert f"local-dir:{tmp_path}/my hub" in printed
    assert "--license" in printed


def test_every_layout_has_a_task_of_the_hub() -> None:
    from bench.report import hub_card

    assert set(hub_card.TASKS) == set(LAYOUTS)


def test_every_family_that_is_written_for_timm_has_a_name_there() -> None:
    for architecture in backbones.every():
        shapes = backbones.shapes_of(dict(architecture.skeleton()))
        assert (architecture.in_timm(shapes) is not None) == (architecture.family in convert.TARGETS["timm"].families)

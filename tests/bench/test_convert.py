"""The files that `bench convert` writes, loaded by the other tools' own loaders."""

import json
import pickle
import pickletools
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor

from bench import cli
from bench.options import Reading
from bench.verbs import convert
from pretrain.core.errors import CheckpointError, ConfigError
from transfer import norms, prove, sources
from transfer.sources import Backbone, addresses

State = dict[str, Tensor]


def silent(*_: object) -> None:
    """No progress shown."""


@pytest.fixture(scope="module")
def moco(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Checkpoints of MoCo's by architecture, whose backbones have random statistics; gone afterwards."""
    folder = tmp_path_factory.mktemp("moco")

    @cache
    def made(arch: str) -> Path:
        state = sources.load(f"random:{arch}").state
        for name, tensor in state.items():
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5)
            elif "bn" in name and tensor.is_floating_point():
                tensor.normal_(0.1, 0.2)
        named = {f"module.encoder_q.{name}": tensor for name, tensor in state.items()} | {"module.queue": torch.zeros(8, 8)}
        torch.save({"epoch": 200, "arch": arch, "state_dict": named, "optimizer": {}}, folder / arch)
        return folder / arch

    yield made
    shutil.rmtree(folder)


@pytest.fixture
def written(moco: Callable[[str], Path], tmp_path: Path) -> Iterator[Any]:
    """`written(to, name, arch)` converts one of them: the file and its backbone; gone afterwards."""

    def write(to: str, name: str, arch: str = "resnet18", **how: Any) -> tuple[Path, Backbone]:
        done = convert.run(str(moco(arch)), to, tmp_path / name, silent, **how)
        return done.file, sources.load(str(moco(arch)))

    yield write
    shutil.rmtree(tmp_path)


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_torchvision_loads_its_file_strictly(written: Any) -> None:
    path, backbone = written("torchvision", "out.pth")
    model = torchvision.models.resnet18()
    model.fc = torch.nn.Identity()
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert same(dict(model.state_dict()), backbone.state)


@pytest.mark.parametrize(
    ("to", "name"), [("torchvision", "a.pth"), ("detectron2", "a.pkl"), ("detectron2", "a.pth"), ("mmseg", "a.pth")]
)
def test_what_was_written_is_read_back_with_its_provenance(written: Any, to: str, name: str) -> None:
    path, backbone = written(to, name)
    again = sources.load(str(path))
    assert same(again.state, backbone.state)
    assert again.provenance == backbone.provenance
    assert again.provenance.method == "unknown (MoCo's layout)"
    assert again.source == {"torchvision": "plain", "mmseg": "plain"}.get(to, "detectron2")


def test_the_pickle_for_detectron2_needs_nothing_that_a_version_of_numpy_lacks(written: Any) -> None:
    path, _ = written("detectron2", "r18.pkl")
    strings: list[str] = []
    wanted = set()
    for operation, argument, _ in pickletools.genops(path.read_bytes()):
        if operation.name == "STACK_GLOBAL":
            wanted.add(tuple(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    assert wanted == {("numpy", "ndarray"), ("builtins", "bytearray")}
    content = pickle.loads(path.read_bytes())
    assert content["matching_heuristics"] is True
    assert {type(value) for value in content["model"].values()} == {np.ndarray}
    assert not any("fc" in name for name in content["model"])


def test_what_lies_beside_says_how_to_use_it(written: Any) -> None:
    path, backbone = written("detectron2", "r18.pkl")
    about = json.loads(path.with_name("r18.pkl.json").read_text(encoding="utf-8"))
    assert (about["arch"], about["channel_order"]) == ("resnet18", "RGB")
    assert (about["mean"], about["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert "stride" not in about  # a ResNet-18 has no 1×1 convolutions
    assert about["settings"]["MODEL.PIXEL_MEAN"] == [123.675, 116.28, 103.53]
    assert about["settings"]["MODEL.PIXEL_STD"] == [58.395, 57.12, 57.375]
    assert about["settings"]["MODEL.RESNETS.STRIDE_IN_1X1"] is False
    assert about["source"]["sha256"] == backbone.sha256
    assert about["source"]["dropped"] == {"queue": 1}
    assert about["norm_rescale"] is None


def test_what_the_user_tells_of_a_file_is_kept_beside_what_is_written(written: Any) -> None:
    told = Reading(provenance="method=pcl,aug=mixup,supervision=self,epochs=200", prefix="encoder_q")
    path, _ = written("torchvision", "told.pth", reading=told)
    about = json.loads(path.with_name("told.pth.json").read_text(encoding="utf-8"))
    for provenance in (about["provenance"], sources.load(str(path)).provenance.model_dump()):
        values = {name: provenance[name] for name in ("method", "aug", "supervision", "epochs")}
        assert values == {"method": "pcl", "aug": "mixup", "supervision": "self", "epochs": 200}
    with pytest.raises(ConfigError, match="not an assignment"):
        Reading(provenance="pcl").load(str(path))


def test_rescaled_weights_are_written_as_another_backbone(written: Any) -> None:
    path, backbone = written("torchvision", "out.pth", norm_rescale="0.1", scope="all")
    again = sources.load(str(path))
    assert again.provenance.method == "unknown (MoCo's layout)-normrescale"
    assert same(again.state, norms.rescale(backbone.state, 0.1, scope="all").state)
    about = json.loads(path.with_name("out.pth.json").read_text(encoding="utf-8"))["norm_rescale"]
    assert (about["anchor"], about["scope"], about["tensors"]) == ("0.1", "all", 100)
    assert about["norm_ratio_after"] == pytest.approx(about["norm_ratio_before"] / 10, rel=1e-4)


def test_timm_loads_the_file_of_a_vision_transformer_strictly(tmp_path: Path) -> None:
    done = convert.run("random:vit_small:3", "timm", tmp_path / "vit.pth", silent)
    model = timm.create_model("vit_small_patch16_224", num_classes=0)
    model.load_state_dict(torch.load(done.file, weights_only=True), strict=True)
    backbone = sources.load("random:vit_small:3")
    assert same(dict(model.state_dict()), backbone.state)
    about = json.loads(done.about.read_text(encoding="utf-8"))
    assert (about["arch"], about["heads"], about["features"]) == ("vit_small", 6, "the class token after the final norm")
    assert "stride" not in about
    again = sources.load(str(done.file))
    assert (again.arch, again.provenance) == ("vit_small", backbone.provenance)


def test_timm_s_resnets_have_torchvision_s_names(written: Any) -> None:
    path, backbone = written("timm", "r18.pth")
    model = timm.create_model("resnet18", num_classes=0)
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert same(dict(model.state_dict()), backbone.state)


@pytest.mark.parametrize(("to", "name"), [("torchvision", "v.pth"), ("detectron2", "v.pkl"), ("mmseg", "v.pth")])
def test_tools_without_names_for_a_vision_transformer_are_refused(tmp_path: Path, to: str, name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"vit_small can't be written for {to}(.|\n)*--to timm"):
        convert.run("random:vit_small", to, tmp_path / name, silent)
    assert list(tmp_path.iterdir()) == []


def test_an_anchor_may_be_any_checkpoint(written: Any) -> None:
    path, _ = written("torchvision", "out.pth", norm_rescale="random:resnet18:5")
    anchor = sources.load("random:resnet18:5")
    assert torch.isclose(sources.load(str(path)).state["conv1.weight"].norm(), anchor.state["conv1.weight"].norm())
    about = json.loads(path.with_name("out.pth.json").read_text(encoding="utf-8"))["norm_rescale"]
    assert about["anchor_sha256"] == anchor.sha256


@pytest.mark.parametrize(
    ("to", "name", "message"),
    [
        ("detectron", "out.pkl", "did you mean 'detectron2'"),
        ("torchvision", "out.pkl", "reads no file of that ending"),
        ("mmseg", "none/out.pth", "no folder to write into"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, to: str, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        convert.run("random:resnet18", to, tmp_path / name, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_overwritten_by_its_conversion(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save(sources.load("random:resnet18").state, path)
    with pytest.raises(ConfigError, match="the checkpoint itself"):
        convert.run(str(path), "torchvision", path, silent)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mmsegmentation_loads_its_file_through_init_cfg(written: Any) -> None:
    mmseg = pytest.importorskip("mmseg.models", reason="MMSegmentation is not installed")
    path, backbone = written("mmseg", "r18.pth")
    stages = {"out_indices": (0, 1, 2, 3), "style": "pytorch"}
    model = mmseg.backbones.ResNet(depth=18, init_cfg={"type": "Pretrained", "checkpoint": str(path)}, **stages)
    model.init_weights()
    model.eval()
    proof = prove.prove(backbone, model.state_dict(), lambda images: list(model(images)), prove.reference(backbone))
    assert proof["max_feature_difference"] == 0


@pytest.mark.detectron2
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize(("kind", "name"), [("C4", "r50.pkl"), ("FPN", "r50.pth")])
def test_detectron2_loads_its_file_into_every_tensor(written: Any, kind: str, name: str) -> None:
    pytest.importorskip("detectron2", reason="Detectron2 is not installed")
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    path, backbone = written("detectron2", name, "resnet50")
    about = json.loads(path.with_name(f"{name}.json").read_text(encoding="utf-8"))
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", "BN"])
    cfg.merge_from_list([part for pair in about["settings"].items() for part in pair])
    if kind == "FPN":
        cfg.merge_from_list(
            ["MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", "MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"]]
        )
        cfg.merge_from_list(["MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.MASK_ON", False])
        cfg.merge_from_list(
            ["MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64], [128], [256], [512]], "MODEL.ROI_HEADS.NAME", "StandardROIHeads"]
        )
        cfg.merge_from_list(
            ["MODEL.RPN.IN_FEATURES", ["p2", "p3", "p4", "p5", "p6"], "MODEL.ROI_HEADS.IN_FEATURES", ["p2", "p3", "p4", "p5"]]
        )
        cfg.merge_from_list(["MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead", "MODEL.ROI_BOX_HEAD.NUM_FC", 1])
    model = build_model(cfg).eval()
    DetectionCheckpointer(model).load(str(path))
    trunk = model.backbone.bottom_up if kind == "FPN" else model.backbone
    last = trunk.res5 if kind == "FPN" else model.roi_heads.res5

    def features(images: Tensor) -> list[Tensor]:
        outputs = [trunk.stem(images)]
        for stage in (trunk.res2, trunk.res3, trunk.res4, last):
            outputs.append(stage(outputs[-1]))
        return outputs[1:]

    loaded = {key: tensor for key, tensor in model.state_dict().items() if ".stem." in key or ".res" in key}
    torch.save({"model": loaded}, path.with_name("saved.pth"))
    read = sources.load(str(path.with_name("saved.pth")))
    path.with_name("saved.pth").unlink()
    assert prove.prove(backbone, read.state, features, prove.reference(backbone))["max_feature_difference"] == 0


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `bench WORDS` in this process; returns the exit code."""
    monkeypatch.setattr("sys.argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_says_what_it_recognised_and_what_it_wrote(
    moco: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r18.pkl"
    words = ("convert", "--ckpt", str(moco("resnet18")), "--to", "detectron2", "--out", str(out), "--norm-rescale", "0.1")
    assert command(monkeypatch, *words) == 0
    shown = capsys.readouterr()
    assert f"done: {out}" in shown.out
    assert str(out) + ".json" in shown.out
    assert "checkpoint: mocov2, resnet18; recognised by module.encoder_q.conv1.weight in state_dict" in shown.err
    assert "of its 121 tensors 120 are the backbone; dropped: queue (1)" in shown.err
    assert "norms rescaled by 0.1: 60 tensors (params), 0 of norm 0 kept" in shown.err
    out.unlink()


def test_a_pickle_that_asks_for_code_is_one_message_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": shutil.rmtree}))
    words = ("convert", "--ckpt", str(tmp_path / "x.pkl"), "--to", "mmseg", "--out", str(tmp_path / "out.pth"))
    assert command(monkeypatch, *words) == 2
    assert "bench: " in (shown := capsys.readouterr().err)
    assert "its pickle asks for shutil.rmtree" in shown
    assert command(monkeypatch, *words, "--trust-checkpoint") == 2
    assert "holds no tensors by name" in capsys.readouterr().err


def test_sources_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, "ls", "sources") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in sources.SOURCES)
    assert all(scheme.form in shown for scheme in addresses.SCHEMES.values())


def test_a_file_of_anyone_else_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out.pth"
    out.write_text("theirs")
    with pytest.raises(ConfigError, match="another file already"):
        convert.run("random:resnet18", "torchvision", out, silent)
    assert out.read_text() == "theirs"
    out.unlink()
    convert.run("random:resnet18", "torchvision", out, silent)
    convert.run("random:resnet18:1", "torchvision", out, silent)  # over its own

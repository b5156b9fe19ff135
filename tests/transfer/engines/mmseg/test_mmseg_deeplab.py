"""DeepLabV3: its head, loss and schedule are those of Detectron2's DeepLab project; both tasks' backbones are exact."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.checkpoint import save_atomically
from pretrain.core.journal import Journal
from transfer import sources, tasks
from transfer.datasets import cityscapes
from transfer.engines import Job
from transfer.engines.mmseg import engine, runner
from transfer.engines.mmseg.config import native_config
from transfer.engines.mmseg.proof import proven
from transfer.tasks.segmentation import SegmentationSettings

pytest.importorskip("mmseg", reason="MMSegmentation is not installed")

TINY = runpy.run_path(str(Path(__file__).parents[2] / "tiny_scenes.py"))
PUBLISHED = tasks.get("cityscapes-deeplabv3").settings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cityscapes.read(TINY["lay"](tmp_path_factory.mktemp("scenes"), train=4, val=2))


def config(data: Any, arch: str, work: Path, settings: Any = PUBLISHED) -> dict[str, Any]:
    runner.fill_tables()
    return native_config(settings, data, arch=arch, backbone=work / "backbone.pth", work=work, seed=0)


def build(model: dict[str, Any]) -> Any:
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    with runner._quiet():
        return MODELS.build(model)


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101"])
@pytest.mark.parametrize("task", ["cityscapes", "cityscapes-deeplabv3"])
def test_every_architecture_is_proven_to_the_last_bit(task: str, arch: str, data: Any, tmp_path: Path) -> None:
    chosen, backbone = tasks.get(task), sources.load(f"random:{arch}:1")
    settings = chosen.settings
    assert isinstance(settings, SegmentationSettings)
    save_atomically({"state_dict": backbone.state, "meta": {}}, tmp_path / "backbone.pth")
    model = build(config(data, arch, tmp_path, settings)["model"] | {"decode_head": _small_head()})
    model.backbone.init_weights()
    proof = proven(backbone, model, settings)
    assert proof == {"tensors": float(len(backbone.state)), "max_feature_difference": 0.0}
    blocks = [block.conv2 if hasattr(block, "conv3") else block.conv1 for block in model.backbone.layer4]
    dilations = (2, 2, 2) if task == "cityscapes" else (2, 4, 8)
    assert [conv.dilation for conv in blocks] == [(value, value) for value in dilations[: len(blocks)]]


def _small_head() -> dict[str, Any]:
    loss = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
    return {"type": "FCNHead", "in_channels": 4, "channels": 4, "num_classes": 3, "loss_decode": loss}


def head_of(data: Any, tmp_path: Path, **changes: Any) -> Any:
    settings = PUBLISHED.replace({"crop": 64, "head_channels": 8, **changes})
    return build(config(data, "resnet18", tmp_path, settings)["model"]["decode_head"])


@pytest.mark.detectron2
@pytest.mark.parametrize("size", [(4, 8), (8, 16)], ids=["a crop", "an image of twice its sides"])
def test_the_head_is_detectron2s(size: tuple[int, int], data: Any, tmp_path: Path) -> None:
    layers = pytest.importorskip("detectron2.layers", reason="Detectron2 is not installed")
    ours = head_of(data, tmp_path)
    ours.init_weights()
    theirs = layers.ASPP(512, 8, [6, 12, 18], norm="BN", activation=F.relu, pool_kernel_size=(4, 8))
    pairs = [(theirs.convs[n], ours.aspp_modules[n]) for n in range(4)] + [(theirs.project, ours.bottleneck)]
    for their, our in pairs:
        their.weight.data = our.conv.weight.data
        for norm in (their.norm, our.bn):
            for each, start in ((norm.running_mean, -0.5), (norm.running_var, 0.5)):
                each.copy_(torch.linspace(start, start + 1, 8))
    theirs.convs[4][1].weight.data = ours.image_pool.conv.weight.data
    theirs.convs[4][1].bias.data = ours.image_pool.conv.bias.data
    features = torch.rand(2, 512, *size)
    expected = F.conv2d(theirs.eval()(features), ours.conv_seg.weight, ours.conv_seg.bias)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()([features] * 4), expected, rtol=1e-5, atol=1e-6)


def test_the_head_begins_as_detectron2s(data: Any, tmp_path: Path) -> None:
    head = head_of(data, tmp_path, head_channels=64)
    torch.manual_seed(0)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.001, rel=0.1)
    for module in (head.image_pool.conv, head.bottleneck.conv, head.aspp_modules[1].conv):
        bound = (3 / (module.in_channels * module.kernel_size[0] ** 2)) ** 0.5  # Xavier's, as Caffe2 has it
        largest = module.weight.detach().abs().max().item()
        assert 0.98 * bound < largest <= bound * (1 + 1e-6)  # of float32
    assert head.image_pool.conv.bias.abs().max() == 0


def test_an_image_smaller_than_a_crop_is_pooled_as_a_whole(data: Any, tmp_path: Path) -> None:
    head = head_of(data, tmp_path).eval()
    with torch.no_grad():
        assert head([torch.rand(1, 512, 3, 5)] * 4).shape == (1, len(data.classes), 3, 5)


def test_the_loss_is_the_mean_over_the_hardest_fifth_of_all_pixels(data: Any, tmp_path: Path) -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    head, count = head_of(data, tmp_path, crop=32), len(data.classes)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, count, 32, 64, generator=rng)
    labels = torch.randint(0, count, (2, 32, 64), generator=rng)
    labels[:, :4] = data.ignore
    samples = [SegDataSample(gt_sem_seg=PixelData(data=each[None])) for each in labels]
    losses = F.cross_entropy(logits, labels, ignore_index=data.ignore, reduction="none").flatten()
    expected = losses.topk(int(0.2 * losses.numel())).values.mean()
    torch.testing.assert_close(head.loss_by_feat(logits, samples)["loss_ce"], expected, rtol=2e-3, atol=0)


def test_the_learning_rate_warms_up_and_falls_to_zero(data: Any, tmp_path: Path) -> None:
    from mmengine.registry import PARAM_SCHEDULERS

    settings = PUBLISHED.replace({"iters": 50, "warmup_iters": 10})
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    plain = config(data, "resnet18", tmp_path, settings)["param_scheduler"]
    schedules = [PARAM_SCHEDULERS.build(each, default_args={"optimizer": optimiser}) for each in plain]
    for step in range(50):
        warm = min(1.0, 0.001 + 0.999 * step / 10)  # Detectron2's WarmupPolyLR
        assert optimiser.param_groups[0]["lr"] == pytest.approx(0.01 * warm * (1 - step / 50) ** 0.9, rel=1e-6)
        optimiser.step()
        for schedule in schedules:
            schedule.step()


def test_the_published_recipe_reaches_the_configuration(data: Any, tmp_path: Path) -> None:
    plain = config(data, "resnet50", tmp_path)
    backbone, head = plain["model"]["backbone"], plain["model"]["decode_head"]
    assert (backbone["strides"], backbone["dilations"], backbone["multi_grid"]) == ((1, 2, 2, 1), (1, 1, 1, 2), (2, 4, 8))
    assert (head["channels"], head["dilations"], head["window"], head["dropout_ratio"]) == (256, (1, 6, 12, 18), (32, 64), 0.0)
    assert head["sampler"] == {"type": "OHEMPixelSampler", "min_kept": 104857}
    assert plain["optim_wrapper"]["paramwise_cfg"] == {"norm_decay_mult": 0.0}
    steps = {step["type"]: step for step in plain["train_dataloader"]["dataset"]["pipeline"]}
    assert steps["RandomCrop"]["crop_size"] == (512, 1024)
    sides = [side / data.short_side for _, side in steps["RandomChoiceResize"]["scales"]]
    assert sides == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


def test_a_run_is_trained_and_its_statistics_are_made_anew(data: Any, tmp_path: Path) -> None:
    tiny = {"iters": 2, "batch": 2, "crop": 64, "crop_aspect": 1.0, "warmup_iters": 1, "precise_bn": 2, "num_workers": 0}
    stages: list[str] = []
    journal = Journal(progress=lambda stage, *_: stages.append(stage))
    task = tasks.get("cityscapes-deeplabv3")
    job = Job(task, PUBLISHED.replace(tiny), sources.load("random:resnet18"), data, tmp_path, 0, "cpu", journal)
    first = engine.MMSegmentation.fit(job)
    assert stages == ["train"] * 2 + ["precise-bn"] * 2 + ["evaluate"] * 3
    assert "PublishedASPPHead" in (tmp_path / "mmseg_config.py").read_text()
    # What is evaluated again has the same statistics, and so the same metrics.
    assert engine.MMSegmentation.fit(job).metrics == first.metrics

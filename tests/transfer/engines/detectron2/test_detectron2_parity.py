"""Our detectors beside Detectron2's, with the same weights, images and random numbers, C4 and FPN.

Detectron2's are built from the configuration that the `detectron2` engine gives it.

They skip where Detectron2 can't be imported. It needs no compilation: its source tree (commit 02b5c4e) on PYTHONPATH and
`pip install fvcore iopath yacs omegaconf cloudpickle termcolor tabulate portalocker` are enough.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from transfer import convert, tasks
from transfer.datasets import coco, voc
from transfer.datasets.objects import Picture
from transfer.detection import masks as mask_ops
from transfer.detection.coco_metric import coco_metrics
from transfer.detection.found import Found
from transfer.detection.voc_metric import voc_metrics
from transfer.engines.detectron2.config import native_config
from transfer.engines.detectron2.roi_heads import register_heads
from transfer.engines.precise_bn import precise_bn
from transfer.engines.torchvision import pooling
from transfer.engines.torchvision.data import Sample, training_sample
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.engine import FAMILIES
from transfer.engines.torchvision.evaluate import in_file_pixels
from transfer.engines.torchvision.heads import Detections
from transfer.engines.torchvision.rpn import Target
from transfer.engines.torchvision.train import learning_rate, make_optimizer
from transfer.tasks.detection import DetectionSettings

pytest.importorskip("detectron2", reason="Detectron2 is not installed; the head of this file says what it needs")

from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, detection_utils
from detectron2.data import transforms as T
from detectron2.data.datasets import register_coco_instances, register_pascal_voc
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.layers.mask_ops import paste_masks_in_image
from detectron2.modeling import build_model
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from fvcore.nn.precise_bn import update_bn_stats

pytestmark = [
    pytest.mark.detectron2,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning"),
]

CLASSES = 5
SIZES = ((112, 160), (120, 150))
"""Height and width of the two images; the second is no multiple of the stride."""
STRIDES = (4, 8, 16, 32)
EVERY = 100000
"""More regions and anchors than there are: nothing is left to the sampling."""
LOSSES = {
    "cls": "loss_cls",
    "box_reg": "loss_box_reg",
    "rpn_cls": "loss_rpn_cls",
    "rpn_loc": "loss_rpn_loc",
    "mask": "loss_mask",
}
SHARED_NAMES = {
    "rpn.conv": "proposal_generator.rpn_head.conv",
    "rpn.objectness": "proposal_generator.rpn_head.objectness_logits",
    "rpn.offsets": "proposal_generator.rpn_head.anchor_deltas",
    "box.scores": "roi_heads.box_predictor.cls_score",
    "box.offsets": "roi_heads.box_predictor.bbox_pred",
    "mask.upsample": "roi_heads.mask_head.deconv",
    "mask.predict": "roi_heads.mask_head.predictor",
}
NAMES = {
    "coco-c4": SHARED_NAMES | {"norm": "roi_heads.res5.norm"},
    "coco-fpn": SHARED_NAMES
    | {f"pyramid.inner_blocks.{i}.0": f"backbone.fpn_lateral{i + 2}" for i in range(4)}
    | {f"pyramid.inner_blocks.{i}.1": f"backbone.fpn_lateral{i + 2}.norm" for i in range(4)}
    | {f"pyramid.layer_blocks.{i}.0": f"backbone.fpn_output{i + 2}" for i in range(4)}
    | {f"pyramid.layer_blocks.{i}.1": f"backbone.fpn_output{i + 2}.norm" for i in range(4)}
    | {f"box_body.{i}.0": f"roi_heads.box_head.conv{i + 1}" for i in range(4)}
    | {f"box_body.{i}.1": f"roi_heads.box_head.conv{i + 1}.norm" for i in range(4)}
    | {"box_body.5": "roi_heads.box_head.fc1"}
    | {f"mask_body.{i}.0": f"roi_heads.mask_head.mask_fcn{i + 1}" for i in range(4)}
    | {f"mask_body.{i}.1": f"roi_heads.mask_head.mask_fcn{i + 1}.norm" for i in range(4)},
}
"""Of the layers on top of the backbone: ours → Detectron2's."""


def recipe(task: str = "coco-c4", **changes: Any) -> DetectionSettings:
    settings = tasks.get(task).settings
    small = {"rois": 32, "rpn_batch": 64, "pre_nms_train": 400, "post_nms_train": 100, "pre_nms_test": 400, "post_nms_test": 40}
    replaced = settings.replace(small | changes)
    assert isinstance(replaced, DetectionSettings)
    return replaced


def their_config(arch: str, settings: DetectionSettings) -> CfgNode:
    register_heads()
    names = {"train": "none", "val": "none", "bit_masks": False}
    flat = native_config(settings, arch=arch, classes=CLASSES, seed=0, device="cpu", **names)
    cfg = get_cfg()
    cfg.merge_from_list([part for item in flat.items() for part in item])
    return cfg


def under_their_names(state: dict[str, Tensor], task: str) -> dict[str, Tensor]:
    """Our detector's tensors, or their gradients, under Detectron2's names."""
    backbone = {key.removeprefix("body."): value for key, value in state.items() if key.startswith("body.")}
    backbone |= {"layer4." + key.removeprefix("res5."): value for key, value in state.items() if key.startswith("res5.")}
    renamed = {}
    for key, value in convert.to_detectron2(backbone).items():
        if task == "coco-fpn":
            renamed["backbone.bottom_up." + key] = value
        else:
            renamed[("roi_heads." if key.startswith("res5.") else "backbone.") + key] = value
    for key, value in state.items():
        for ours, theirs in NAMES[task].items():
            if key.startswith(ours + "."):
                renamed[theirs + key.removeprefix(ours)] = value
    assert len(renamed) == len(state)
    return renamed


def pair(arch: str, settings: DetectionSettings) -> tuple[Detector, nn.Module]:
    """Our detector and theirs with the same random weights and BN statistics, neither at its initial values."""
    torch.manual_seed(3)
    ours = FAMILIES[settings.family](arch, CLASSES, settings)
    for name, module in ours.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            # Small where a residual branch ends, or else fifty layers saturate every score.
            last = name.endswith("bn3" if arch in ("resnet50", "resnet101") else "bn2")
            nn.init.uniform_(module.weight, 0.1, 0.3) if last else nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.7, 1.3)
    for layer, std in ((ours.rpn.objectness, 0.05), (ours.box.scores, 0.2), (ours.box.offsets, 0.02)):
        nn.init.normal_(layer.weight, std=std)
    if ours.mask is not None:
        nn.init.normal_(ours.mask.predict.weight, std=0.1)
    theirs = build_model(their_config(arch, settings))
    state = {key: value for key, value in ours.state_dict().items() if "num_batches_tracked" not in key}
    result = theirs.load_state_dict(under_their_names(state, "coco-" + settings.family), strict=False)
    assert not result.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in result.missing_keys)
    return ours, theirs


def scenes() -> list[Sample]:
    """Two images with three and two objects, each a polygon in its box."""
    numbers = np.random.default_rng(0)
    samples = []
    for (height, width), count in zip(SIZES, (3, 2), strict=True):
        corner = numbers.uniform(0, 50, (count, 2))
        boxes = np.concatenate([corner, corner + numbers.uniform(30, 60, (count, 2))], axis=1).astype(np.float32)
        polygons = [np.array([x0, y0, x1, y0 + 9, x1 - 5, y1, x0 + 3, y1 - 4], dtype=np.float64) for x0, y0, x1, y1 in boxes]
        image = torch.from_numpy(numbers.integers(0, 256, (3, height, width), dtype=np.uint8))
        labels = torch.from_numpy(numbers.integers(0, CLASSES, count))
        samples.append(Sample(image, Target(torch.from_numpy(boxes), labels), tuple((each,) for each in polygons)))
    return samples


def their_inputs(samples: list[Sample]) -> list[dict[str, Any]]:
    inputs = []
    for sample in samples:
        truth = Instances(sample.image.shape[1:])
        truth.gt_boxes, truth.gt_classes = Boxes(sample.target.boxes), sample.target.labels
        truth.gt_masks = PolygonMasks([list(mask) for mask in sample.masks])
        height, width = (2 * side for side in sample.image.shape[1:])
        inputs.append({"image": sample.image, "instances": truth, "height": height, "width": width})
    return inputs


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


@pytest.mark.parametrize(
    ("task", "arch", "masks", "rois"),
    [
        ("coco-c4", "resnet18", False, EVERY),
        ("coco-c4", "resnet18", True, EVERY),
        ("coco-c4", "resnet18", True, 12),
        ("coco-c4", "resnet34", True, 12),
        ("coco-c4", "resnet50", False, 12),
        ("coco-c4", "resnet50", True, 12),
        ("coco-fpn", "resnet18", False, EVERY),
        ("coco-fpn", "resnet18", True, EVERY),
        ("coco-fpn", "resnet34", True, 12),
        ("coco-fpn", "resnet50", True, 12),
        ("coco-fpn", "resnet101", True, 12),
    ],
)
def test_losses_and_gradients_are_detectron2s(task: str, arch: str, masks: bool, rois: int) -> None:
    settings = recipe(task, masks=masks, rois=rois, rpn_batch=64 if rois < EVERY else EVERY, post_nms_train=30)
    ours, theirs = pair(arch, settings)
    samples = scenes()
    ours.train(), theirs.train()
    torch.manual_seed(5)
    losses = ours.losses(samples, torch.default_generator)
    torch.manual_seed(5)
    with EventStorage():
        expected = theirs(their_inputs(samples))
    assert {LOSSES[name] for name in losses} == expected.keys()
    for name, value in losses.items():
        print(f"{task} {arch} masks={masks} rois={rois} {name} {value.item():.7f} {expected[LOSSES[name]].item():.7f}")
        assert value.item() == pytest.approx(expected[LOSSES[name]].item(), rel=1e-5)
    sum(losses.values()).backward()
    sum(expected.values()).backward()
    gradients = under_their_names({name: parameter.grad for name, parameter in ours.named_parameters()}, task)
    reference = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert gradients.keys() == reference.keys()
    differences = {name: relative(gradients[name], reference[name]) for name in reference}
    print(f"{task} {arch} masks={masks} rois={rois} largest relative gradient difference {max(differences.values()):.2e}")
    assert max(differences.values()) < 1e-4


@pytest.mark.parametrize("task", ["coco-c4", "coco-fpn"])
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize("masks", [False, True])
def test_detections_are_detectron2s(task: str, arch: str, masks: bool) -> None:
    ours, theirs = pair(arch, recipe(task, masks=masks))
    samples = scenes()
    ours.eval(), theirs.eval()
    for sample, given in zip(samples, their_inputs(samples), strict=True):
        size = (given["height"], given["width"])
        found = in_file_pixels(ours.detect([sample.image])[0], tuple(sample.image.shape[1:]), size)
        with torch.no_grad():
            expected = theirs([given])[0]["instances"]
        assert len(found.scores) == len(expected) > 10
        overlaps = torchvision.ops.box_iou(torch.from_numpy(found.boxes), expected.pred_boxes.tensor)
        overlaps[torch.from_numpy(found.labels)[:, None] != expected.pred_classes] = 0
        best, index = overlaps.max(dim=1)
        assert best.min() >= 0.999
        assert len(set(index.tolist())) == len(index)
        difference = np.abs(found.scores - expected.scores[index].numpy()).max()
        what = f"{task} {arch} masks={masks}: {len(found.scores)} detections"
        print(f"{what}, IoU >= {best.min():.6f}, scores within {difference:.1e}")
        assert difference < 1e-5
        if found.masks is not None:
            pixels = np.stack([mask_ops.decode(mask) for mask in found.masks]) != expected.pred_masks[index].numpy()
            print(f"{task} {arch} masks: {pixels.sum()} of {pixels.size} pixels differ")
            assert pixels.mean() < 1e-5


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("short", "longest"), [(128, 1333), (33, 1333), (160, 171)])
def test_images_boxes_and_polygons_are_resized_as_by_detectron2(tmp_path: Path, flip: bool, short: int, longest: int) -> None:
    numbers = np.random.default_rng(1)
    path = tmp_path / "a.png"
    Image.fromarray(numbers.integers(0, 256, (61, 97, 3), dtype=np.uint8)).save(path)
    boxes = np.array([[3, 5, 40.5, 60], [10, 0, 97, 30.25]], dtype=np.float32)
    polygons = [np.array([3, 5, 40.5, 7, 20, 60.0]), np.array([10, 0, 97, 2, 50, 30.25])]
    none = np.zeros(2, dtype=bool)
    picture = Picture(path, 1, 97, 61, boxes, np.array([1, 0]), none, none, tuple((each,) for each in polygons))
    sample = training_sample(picture, short, longest, flip, masks=True)

    image = detection_utils.read_image(path, "RGB")
    resized = T.AugInput(image)
    done = T.AugmentationList([T.ResizeShortestEdge(short, longest, "choice"), T.RandomFlip(1.0 if flip else 0.0)])(resized)
    annotations = [
        {"bbox": box.tolist(), "bbox_mode": BoxMode.XYXY_ABS, "category_id": label, "segmentation": [polygon.copy()]}
        for box, label, polygon in zip(boxes, (1, 0), polygons, strict=True)
    ]
    size = resized.image.shape[:2]
    moved = [detection_utils.transform_instance_annotations(each, done, size) for each in annotations]
    expected = detection_utils.annotations_to_instances(moved, size)
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), resized.image)
    assert torch.equal(sample.target.boxes, expected.gt_boxes.tensor)
    assert torch.equal(sample.target.labels, expected.gt_classes)
    for mask, theirs in zip(sample.masks, expected.gt_masks.polygons, strict=True):
        assert np.allclose(mask[0], theirs[0], rtol=0, atol=1e-12)


def test_regions_are_cut_from_the_pyramid_as_by_detectron2() -> None:
    numbers = np.random.default_rng(6)
    sides = np.concatenate([2.0 ** np.arange(0, 11), 224 * 2.0 ** np.arange(-3, 3), numbers.uniform(0, 900, 100), [0]])
    boxes = torch.zeros(len(sides), 4)
    boxes[:, 2:] = torch.from_numpy(sides).float()[:, None]
    expected = assign_boxes_to_levels([Boxes(boxes)], 2, 5, 224, 4)
    assert torch.equal(pooling.levels(boxes, STRIDES), expected)
    assert set(expected.tolist()) == {0, 1, 2, 3}
    maps = [torch.rand(2, 3, 1024 // stride, 1024 // stride) for stride in STRIDES]
    halves = [boxes[:50], boxes[50:]]
    pooler = ROIPooler(7, [1 / stride for stride in STRIDES], 0, "ROIAlignV2")
    assert torch.equal(pooling.pool(maps, STRIDES, halves, 7), pooler(maps, [Boxes(half) for half in halves]))


def test_mask_targets_are_detectron2s() -> None:
    numbers = np.random.default_rng(2)
    polygons = [
        tuple(numbers.uniform(0, 100, 2 * numbers.integers(3, 9)) for _ in range(numbers.integers(1, 3))) for _ in range(40)
    ]
    corner = numbers.uniform(0, 60, (40, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + numbers.uniform(0.05, 60, (40, 2))], axis=1)).float()
    expected = PolygonMasks([list(each) for each in polygons]).crop_and_resize(boxes, 14)
    assert torch.equal(mask_ops.crop(polygons, boxes, 14), expected.float())
    pixels = numbers.integers(0, 2, (40, 90, 110), dtype=np.uint8)
    expected = BitMasks(torch.from_numpy(pixels)).crop_and_resize(boxes, 14)
    assert torch.equal(mask_ops.crop(list(pixels), boxes, 14), expected.float())


def test_masks_are_pasted_as_by_detectron2() -> None:
    numbers = np.random.default_rng(3)
    masks = torch.from_numpy(numbers.random((30, 14, 14))).float()
    corner = numbers.uniform(0, 80, (30, 2))
    boxes = torch.from_numpy(
        np.concatenate([corner, np.minimum(corner + numbers.uniform(0.5, 60, (30, 2)), 100)], axis=1)
    ).float()
    expected = paste_masks_in_image(masks, boxes, (100, 120)).numpy()
    ours = np.stack([mask_ops.paste(mask, box, 100, 120) for mask, box in zip(masks, boxes, strict=True)])
    assert np.array_equal(ours.astype(bool), expected)


@pytest.mark.parametrize(("iters", "steps", "warmup"), [(50, (30, 44), 7), (20, (3, 18), 5), (6, (), 6), (8, (6,), 0)])
def test_learning_rates_are_detectron2s(iters: int, steps: tuple[int, ...], warmup: int) -> None:
    settings = recipe(iters=iters, steps=steps, warmup=warmup)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    scheduler = build_lr_scheduler(their_config("resnet18", settings), optimizer)
    for step in range(iters):
        assert learning_rate(settings, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("task", ["coco-c4", "coco-fpn"])
def test_the_optimiser_is_detectron2s(task: str) -> None:
    settings = recipe(task)
    ours, theirs = pair("resnet18", settings)
    expected = build_optimizer(their_config("resnet18", settings), theirs)
    names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    decay = {names[id(p)]: (g["weight_decay"], g["momentum"]) for g in expected.param_groups for p in g["params"]}
    own = {id(parameter): name for name, parameter in ours.named_parameters()}
    found = {
        own[id(p)]: (g["weight_decay"], g["momentum"]) for g in make_optimizer(ours, settings).param_groups for p in g["params"]
    }
    assert under_their_names(found, task) == decay  # type: ignore[arg-type]


def test_precise_bn_is_fvcores() -> None:
    torch.manual_seed(0)
    batches = [torch.randn(size, 3, 8, 8) * 2 + 1 for size in (4, 2, 7)]
    models = []
    for _ in range(2):
        torch.manual_seed(1)
        models.append(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4)))
    precise_bn(models[0], models[0], batches)
    update_bn_stats(models[1], iter(batches), len(batches))
    for ours, theirs in zip(models[0].buffers(), models[1].buffers(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def noisy(pictures: tuple[Picture, ...], classes: int, *, masks: bool) -> list[Found]:
    """Detections near the truth, some of a wrong class, some anywhere, with scores that often tie."""
    numbers = np.random.default_rng(4)
    found = []
    for picture in pictures:
        near = picture.boxes + numbers.normal(0, 3, picture.boxes.shape)
        corner = numbers.uniform(0, 60, (5, 2))
        boxes = np.concatenate([near, near + 1, np.concatenate([corner, corner + 25], axis=1)]).clip(0, 95).astype(np.float32)
        boxes = boxes[(boxes[:, 2] > boxes[:, 0] + 1) & (boxes[:, 3] > boxes[:, 1] + 1)]
        labels = np.concatenate([picture.labels, picture.labels, numbers.integers(0, classes, 5)])[: len(boxes)]
        scores = numbers.random(len(boxes)).round(2).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        probabilities = torch.from_numpy(numbers.random((len(boxes), 14, 14)) ** 0.2).float()
        detections = Detections(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels))
        if masks:
            detections = dataclasses.replace(detections, masks=probabilities)
        kept = in_file_pixels(detections, (picture.height, picture.width), (picture.height, picture.width))
        encoded = tuple(kept.masks[i] for i in order) if kept.masks is not None else None
        found.append(Found(kept.boxes[order], kept.scores[order], kept.labels[order], encoded))
    return found


def their_outputs(pictures: tuple[Picture, ...], found: list[Found]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for picture, each in zip(pictures, found, strict=True):
        instances = Instances((picture.height, picture.width))
        instances.pred_boxes = Boxes(torch.from_numpy(each.boxes.copy()))
        instances.scores, instances.pred_classes = torch.from_numpy(each.scores), torch.from_numpy(each.labels)
        if each.masks is not None:
            instances.pred_masks = torch.from_numpy(np.stack([mask_ops.decode(mask) for mask in each.masks]))
        yield {"image_id": picture.identity}, {"instances": instances}


def random_objects(count: int) -> list[tuple[int, list[int], bool]]:
    """Class, corners in pixels and difficulty of objects in 96-pixel images."""
    numbers = np.random.default_rng(count)
    corners = numbers.integers(1, 55, (3, 2))
    boxes = np.concatenate([corners, corners + numbers.integers(12, 40, (3, 2))], axis=1)
    return [(int(numbers.integers(3)), [int(v) for v in box], bool(numbers.random() < 0.2)) for box in boxes]


def test_voc_ap_is_detectron2s(tmp_path: Path) -> None:
    folder = tmp_path / "VOC2007"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for image in range(30):
        Image.new("RGB", (96, 96)).save(folder / "JPEGImages" / f"{image:03}.jpg")
        root = ElementTree.Element("annotation")
        for label, box, difficult in random_objects(image):
            each = ElementTree.SubElement(root, "object")
            for key, value in {"name": "abc"[label], "pose": "x", "truncated": "0", "difficult": str(int(difficult))}.items():
                ElementTree.SubElement(each, key).text = value
            corners = ElementTree.SubElement(each, "bndbox")
            for key, corner in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                ElementTree.SubElement(corners, key).text = str(corner)
        ElementTree.ElementTree(root).write(folder / "Annotations" / f"{image:03}.xml")
    names = "".join(f"{image:03}\n" for image in range(30))
    for split in ("trainval", "test"):
        (folder / "ImageSets/Main" / f"{split}.txt").write_text(names)
    data = voc.read(tmp_path)
    found = noisy(data.val, 3, masks=False)
    register_pascal_voc("parity_voc", str(folder), "test", 2007, class_names=data.classes)
    try:
        evaluator = PascalVOCDetectionEvaluator("parity_voc")
        evaluator.reset()
        for given, output in their_outputs(data.val, found):
            evaluator.process([given], [output])
        expected = evaluator.evaluate()["bbox"]
    finally:
        DatasetCatalog.remove("parity_voc")
        MetadataCatalog.remove("parity_voc")
    metrics, absent = voc_metrics(found, data.val, 3)
    print(metrics, dict(expected))
    assert not absent
    assert metrics == pytest.approx(dict(expected), abs=1e-9)
    assert 5 < expected["AP50"] < 95


def test_coco_ap_is_detectron2s(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    images = [{"id": 7 + i, "file_name": f"{i}.jpg", "width": 96, "height": 96} for i in range(20)]
    counter = itertools.count(1)
    annotations = []
    for image in images:
        for label, (x0, y0, x1, y1), crowd in random_objects(image["id"]):
            box = [x0, y0, x1 - x0, y1 - y0]
            polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
            shared = {"id": next(counter), "image_id": image["id"], "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
            annotations.append(shared | {"category_id": (3, 8, 90)[label], "segmentation": [polygon]})
    categories = [{"id": identity, "name": f"class {identity}"} for identity in (3, 8, 90)]
    for split in ("train2017", "val2017"):
        (tmp_path / split).mkdir()
        for image in images:
            Image.new("RGB", (96, 96)).save(tmp_path / split / image["file_name"])
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    data = coco.read(tmp_path)
    found = noisy(data.val, 3, masks=True)
    register_coco_instances("parity_coco", {}, str(tmp_path / "annotations/instances_val2017.json"), str(tmp_path / "val2017"))
    try:
        DatasetCatalog.get("parity_coco")
        evaluator = COCOEvaluator("parity_coco", tasks=("bbox", "segm"), distributed=False, use_fast_impl=False)
        evaluator.reset()
        for given, output in their_outputs(data.val, found):
            evaluator.process([given], [output])
        results = evaluator.evaluate()
    finally:
        DatasetCatalog.remove("parity_coco")
        MetadataCatalog.remove("parity_coco")
    metrics = coco_metrics(found, data, masks=True)
    kinds = {"box": "bbox", "seg": "segm"}
    expected = {f"{stat}_{ours}": results[kinds[ours]][stat] for ours in kinds for stat in ("AP", "AP50", "AP75")}
    print(metrics, expected)
    assert metrics == pytest.approx(expected, abs=1e-9)
    assert 5 < expected["AP50_box"] < 95
    assert 5 < expected["AP50_seg"] < 95

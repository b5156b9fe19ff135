"""The loaders in MMSegmentation's own configuration: which images are read, and how they are scaled and cropped."""

from pathlib import Path
from typing import Any

from PIL import Image

from transfer.datasets.labelmaps import read_ids
from transfer.datasets.segmentation import SegmentationData, spread
from transfer.segmentation.label_maps import palette
from transfer.tasks.segmentation import SegmentationSettings

ANY_LENGTH = 1_000_000
"""Limit of the long side that no image reaches: scaling then follows the short side alone."""
LABEL_MAPS = "label_maps"
"""Folder in the work folder."""
READ: dict[str, Any] = {"type": "LoadImageFromFile", "imdecode_backend": "pillow"}
"""How images are read: OpenCV would fill up a truncated one without a word."""


def write_lists(settings: SegmentationSettings, data: SegmentationData, work: Path) -> None:
    """Write the image lists that the configuration names."""
    for split, pairs in (("train", data.train), ("val", spread(data.val, settings.max_val_images))):
        stems = (data.folders[split].stem(data.root, pair) for pair in pairs)
        (work / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def write_label_maps(data: SegmentationData, work: Path) -> None:
    """Where some label maps have several channels, write folders that hold these with one, and links to all others."""
    for split, pairs in (("train", data.train), ("val", data.val)):
        for pair in pairs if data.many_channels else ():
            target = work / LABEL_MAPS / split / pair.label.relative_to(data.root / data.folders[split].labels)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if pair.label in data.many_channels:
                Image.fromarray(read_ids(pair.label)).save(target)
            else:
                target.symlink_to(pair.label)


def train_loader(settings: SegmentationSettings, data: SegmentationData, work: Path, batch: int) -> dict[str, Any]:
    # NOTE: random scaling starts from one short side for the whole set, as in MMSegmentation's own configurations.
    short_side = settings.short_side or data.short_side
    pipeline: list[dict[str, Any]] = [
        READ,
        {"type": "LoadAnnotations"},
        _scaling(settings, short_side),
        {"type": "RandomCrop", "crop_size": settings.crop_size, "ignore_index": data.ignore},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackSegInputs"},
    ]
    return {
        "batch_size": batch,
        "num_workers": settings.num_workers,
        "persistent_workers": settings.num_workers > 0,
        "sampler": {"type": "InfiniteSampler", "shuffle": True},
        "dataset": _dataset(data, "train", work, pipeline),
    }


def _scaling(settings: SegmentationSettings, short_side: int) -> dict[str, Any]:
    if settings.scale_choices is None:
        return {
            "type": "RandomResize",
            "scale": (ANY_LENGTH, short_side),
            "ratio_range": settings.scale,
            "keep_ratio": True,
        }
    sides = [(ANY_LENGTH, round(short_side * scale)) for scale in settings.scales]
    return {"type": "RandomChoiceResize", "scales": sides, "keep_ratio": True}


def val_loader(settings: SegmentationSettings, data: SegmentationData, work: Path) -> dict[str, Any]:
    resize: dict[str, Any] = {"type": "Resize", "scale": (ANY_LENGTH, settings.short_side), "keep_ratio": True}
    pipeline: list[dict[str, Any]] = [
        READ,
        *([resize] if settings.short_side else []),
        {"type": "LoadAnnotations"},  # after the resizing, so that the truth keeps its own size
        {"type": "PackSegInputs"},
    ]
    return {
        "batch_size": 1,
        "num_workers": settings.num_workers,
        "persistent_workers": settings.num_workers > 0,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": _dataset(data, "val", work, pipeline),
    }


def _dataset(data: SegmentationData, split: str, work: Path, pipeline: list[dict[str, Any]]) -> dict[str, Any]:
    folders = data.folders[split]
    labels = str(work / LABEL_MAPS / split) if data.many_channels else folders.labels
    return {
        "type": "BaseSegDataset",
        "data_root": str(data.root),
        "data_prefix": {"img_path": folders.images, "seg_map_path": labels},
        "ann_file": str(work / f"{split}.txt"),
        "img_suffix": folders.image_suffix,
        "seg_map_suffix": folders.label_suffix,
        "metainfo": {"classes": data.classes, "palette": palette(len(data.classes))},
        "ignore_index": data.ignore,
        "reduce_zero_label": data.ids.reduce_zero_label,
        "pipeline": pipeline,
        "test_mode": split == "val",
    }

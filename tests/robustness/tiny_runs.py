"""Tiny runs of every kind for `kill.py`: their commands, their data, and what they import."""

import importlib.util
import runpy
from pathlib import Path

from faults import lay_images

TESTS = Path(__file__).resolve().parents[1]
IMPORTED = ("bench.cli", "bench.progress", "bench.verbs.pretrain", "bench.verbs.transfer", "torch.utils.tensorboard")
"""Modules that the parent imports, so that no child has to, besides the engines."""
METHODS = {"swav": "a queue in use and prototypes frozen at first", "dino": "a centre, and outputs frozen at first"}
"""Methods with a state beside parameters, which are killed too, and what it is."""
OWN = {
    "swav": [
        "hidden=16",
        "prototypes=12",
        "local_views=1",
        "local_size=16",
        "freeze_steps=9",
        "queue=16",
        "feature_dim=8",
        "queue_epoch=0",
    ],
    "dino": ["hidden=16", "bottleneck=8", "outputs=24", "local_views=1", "local_size=16", "freeze_epochs=1"],
}
"""Their settings, at which a run of three epochs is through all of it."""
PRETRAININGS = ("pretrain", *METHODS, "signals")
SMALL = ["--device", "cpu", "--budget", "small"]
TINY = ["arch=resnet18", "size=16", "batch=8", "queue=16", "feature_dim=8", "num_workers=0", "keep_every=2", "monitor_every=2"]
DETECTION = [
    "iters=6",
    "batch=2",
    "lr=0.02",
    "warmup=2",
    "steps=[4]",
    "min_sizes=[80]",
    "test_size=80",
    "rois=8",
    "rpn_batch=32",
]
DETECTION += ["roi_resolution=4", "pre_nms_train=100", "post_nms_train=30", "pre_nms_test=100", "post_nms_test=10"]
DETECTION += ["precise_bn=2", "detections_per_image=10", "num_workers=0", "checkpoint_seconds=0"]
SEGMENTATION = ["iters=8", "batch=2", "lr=0.02", "crop=64", "head_dilation=1", "num_workers=0"]


def voc(root: Path) -> Path:
    """Write a few scenes of coloured rectangles in the layout of VOC 2007."""
    scenes = runpy.run_path(str(TESTS / "transfer/conftest.py"))
    folder = root / "VOC2007"
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for split, numbers in (("trainval", range(6)), ("test", range(1000, 1004))):
        for number in numbers:
            image, things = scenes["scene"](number)
            image.save(folder / f"JPEGImages/{number:06}.png")
            (folder / f"Annotations/{number:06}.xml").write_text(scenes["voc_xml"](things))
        (folder / f"ImageSets/Main/{split}.txt").write_text("".join(f"{number:06}\n" for number in numbers))
    return root


def command(kind: str, data: Path) -> list[str]:
    """Return the command of a tiny run of that kind, without `--out`."""
    if kind in METHODS:
        words = ["pretrain", "--device", "cpu", "--method", kind, "--aug", "random-erasing", "--epochs", "3"]
        shared = [pair for pair in TINY if not pair.startswith(("size", "queue", "feature_dim"))]
        return words + assigned(shared + OWN[kind] + ["size=32", "warmup_epochs=0"]) + ["--data", str(data / "images")]
    if kind in PRETRAININGS:
        more = ["num_workers=1"] if kind == "signals" else []
        words = ["pretrain", "--device", "cpu", "--aug", "cutmix", "--supervision", "semi", "--epochs", "3"]
        return words + assigned(TINY + more) + ["--data", str(data / "images")]
    words = ["transfer", *SMALL, "--ckpt", "random:resnet18"]
    if kind == "linear":
        own = ["--task", "linear", "--data", str(data / "images")]
        return words + own + assigned(["epochs=3", "batch=8", "size=32", "num_workers=0", *_often("linear")])
    if kind == "mmseg":
        return words + ["--task", "cityscapes", "--data", str(data / "scenes")] + assigned(SEGMENTATION + _often("cityscapes"))
    return words + ["--task", "voc07", "--engine", kind, "--data", str(data / "voc")] + assigned(DETECTION)


def _often(task: str) -> list[str]:
    """Ask for a checkpoint after every step or two, by whichever setting the task has."""
    from transfer import tasks

    often = {"checkpoint_seconds": 0, "checkpoint_every": 2}
    return [f"{name}={value}" for name, value in often.items() if name in type(tasks.get(task).settings).model_fields]


def assigned(pairs: list[str]) -> list[str]:
    """Put `--set` before each `field=value`."""
    return [word for pair in pairs for word in ("--set", pair)]


def missing(kind: str) -> str | None:
    """Return the package that is missing for that kind; None if it can run."""
    from transfer import engines

    return engines.missing(kind) if kind in engines.ENGINES else None


def prepare(folder: Path, kinds: tuple[str, ...]) -> None:
    """Import what runs of these kinds need, and write the images that they are trained on."""
    engines = [f"transfer.engines.{kind}.engine" for kind in kinds if kind in ("torchvision", "detectron2", "mmseg")]
    for name in (
        *IMPORTED,
        "transfer.engines.probe.engine",
        *engines,
        *(kind for kind in kinds if importlib.util.find_spec(kind)),
    ):
        importlib.import_module(name)
    if "detectron2" in kinds:
        importlib.import_module("detectron2.engine")
    lay_images(folder / "images", train=16)
    voc(folder / "voc")
    runpy.run_path(str(TESTS / "transfer/tiny_scenes.py"))["lay"](folder / "scenes")

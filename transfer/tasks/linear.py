"""Linear evaluation on frozen features: as MoCo's authors do it, and its fast form."""

from typing import Any

from transfer.tasks import Expected, Published, Task
from transfer.tasks.probe import CachedSettings, LinearSettings

README = "facebookresearch/moco @132aea9, README.md"

SMALL: dict[str, Any] = {"size": 64, "batch": 64, "epochs": 4, "lr": 0.1, "feature_norm": True, "num_workers": 0}

LINEAR = Task(
    name="linear",
    version=2,
    title="linear classifier on the frozen backbone",
    source="facebookresearch/moco @7397dfe, main_lincls.py",
    layout="imagefolder",
    engines=("probe",),
    settings=LinearSettings(),
    small=SMALL,
    generated={**SMALL, "epochs": 3},
    metrics=("top1", "top5"),
    published=(Published(name="imagenet-linear", classes=1000, val=50_000),),
    expected=(
        Expected(checkpoint="MoCo v1, 200 epochs", metrics={"top1": 60.8}, spread={"top1": 0.2}, source=f"{README}: 5 runs"),
        Expected(checkpoint="MoCo v2, 200 epochs", metrics={"top1": 67.5}, spread={"top1": 0.1}, source=f"{README}: 5 runs"),
        Expected(checkpoint="MoCo v2, 800 epochs", metrics={"top1": 71.1}, source=README),
    ),
)
"""NOTE: the best epoch on the validation images is reported, as published."""

LINEAR_CACHED = Task(
    name="linear-cached",
    version=1,
    title="linear classifier on features that are read once",
    source="ours; the schedule is that of facebookresearch/moco @7397dfe, main_lincls.py",
    layout="imagefolder",
    engines=("probe",),
    settings=CachedSettings(save_every=10),
    small={**SMALL, "epochs": 50},
    metrics=("top1", "top5"),
)
"""NOTE: no paper's protocol, and so without expected numbers: the features are those of the centre crop, read once, where
papers train on new random crops in every epoch. It costs one pass over the images; compare it with itself alone."""

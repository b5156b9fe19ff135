"""Adjustments of a task: changes with an option of their own, which every task that has them makes in its own way."""

from collections.abc import Mapping
from typing import Any, Literal

from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings
from transfer.tasks import TaskSettings


class Adjustments(Settings):
    """The options. A task has those for which its settings have a method `with_NAME`, which returns a changed copy."""

    iters: int | None = None
    """Training iterations; the schedule scales with them."""
    batch: int | None = None
    """Images per iteration; the learning rate scales with it."""
    size: int | None = None
    """Short side of the images in pixels, for training and test."""
    rois: int | None = None
    """Regions per image to train the box head."""
    precise_bn: int | None = None
    """Forward passes for the statistics of the normalisation layers."""
    lr_search: bool | None = None
    """Train linear classifiers at several learning rates side by side, and choose one on held-out training images."""
    on_bad_image: Literal["stop", "skip"] | None = None
    """What a training image that can't be decoded does: end the run, or stay out of it, counted and listed."""


def adjust(
    settings: TaskSettings, task: str, adjustments: Mapping[str, int | bool | str | None]
) -> tuple[TaskSettings, list[str]]:
    """Apply adjustments to a task's settings.

    Args:
        settings: The task's.
        task: Its name, for messages.
        adjustments: Fields of `Adjustments`; those of None stay as they are.

    Returns:
        The changed settings, and one line for each learning rate that was scaled: the arithmetic in words.

    Raises:
        ConfigError: For an adjustment that the task has not.
    """
    arithmetic = []
    for name, value in adjustments.items():
        if value is None:
            continue
        change = getattr(settings, f"with_{name}", None)
        if change is None:
            raise _missing(settings, task, f"--{name.replace('_', '-')}")
        before, settings = settings, change(value)
        if name == "batch":
            arithmetic += _scaling(before.numbers(), settings.numbers())
    return settings, arithmetic


def _missing(settings: TaskSettings, task: str, option: str) -> ConfigError:
    fields = ", ".join(type(settings).model_fields)
    return ConfigError(f"{task} has no {option}", allowed=f"--set of {fields}", fix=f"leave {option} away")


def _scaling(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say how the learning rate followed the batch; nothing, if it didn't."""
    if before.get("lr") == now.get("lr"):
        return []
    return [f"learning rate {before['lr']:g} × {now['batch']} / {before['batch']} = {now['lr']:g}"]

"""`--classes` and `--label-map`: which classes of an image folder a command reads, and under which labels."""

from pathlib import Path
from typing import Any

from bench import places
from pretrain.config import Classes
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings, TextFile
from pretrain.images import classes as choosing
from transfer import tasks
from transfer.datasets.imagefolder import ClassificationData

SEED = 0
"""Seed that draws a fraction of the classes where no pre-training runs: the same for every checkpoint and every trial."""
LAYOUT = "imagefolder"
"""The layout whose classes can be chosen."""


class Selection(Settings):
    """A choice of classes; without any, all classes under their folders' names.

    It is a choice of data, no change of a protocol: the data's fingerprint tells its runs from others.
    """

    classes: Classes = None
    """Classes to use: imagenet100, a file of class folders such as a pre-training's classes.txt, or a fraction of them drawn
    with seed 0."""
    label_map: TextFile | None = None
    """File of `folder: label` lines that gives the class folders other labels."""

    def plain(self) -> dict[str, Any]:
        """The choice as plain values; empty where nothing was chosen."""
        return self.model_dump(mode="json", exclude_none=True)

    def require_folders(self, reader: str, layout: str) -> None:
        """Refuse a choice of classes for data that has no folders of them.

        Raises:
            ConfigError: If there is one, and `reader` reads another layout.
        """
        options = " and ".join(f"--{name.replace('_', '-')}" for name in self.plain())
        if options and layout != LAYOUT:
            able = [name for name in tasks.TASKS if tasks.get(name).layout == LAYOUT]
            allowed = f"{', '.join(['pretrain', *able])} and measure, which read class folders"
            raise ConfigError(f"{reader} has no {options}", allowed=allowed, fix=f"leave {options} away")

    def arguments(self, seed: int = SEED) -> dict[str, Any]:
        """Arguments for `imagefolder.read` beside the root; none where nothing was chosen.

        Args:
            seed: Draws a fraction of the classes.

        Raises:
            ConfigError: For an unknown list, or a file that can't be read.
        """
        if not self.plain():
            return {}
        labels = None if self.label_map is None else choosing.read_map(Path(self.label_map.path))
        return {"classes": self._folders(), "labels": labels, "seed": seed}

    def _folders(self) -> float | list[str] | None:
        """List the class folders, or return the fraction of them."""
        if self.classes is None or isinstance(self.classes, float):
            return self.classes
        listed = places.class_list(self.classes) if isinstance(self.classes, str) else Path(self.classes.path)
        return choosing.read_list(listed)

    def remarks(self) -> tuple[str, ...]:
        """Describe the choice for a record's notes."""
        remarks = []
        if self.classes is not None:
            remarks.append(f"classes chosen: {self._chosen()} (the run's {choosing.LISTED} names them)")
        if self.label_map is not None:
            remarks.append(f"labels of the map {Path(self.label_map.path).name}")
        return tuple(remarks)

    def _chosen(self) -> str:
        if isinstance(self.classes, float):
            return f"a share of {self.classes:g}, drawn with seed {SEED}"
        return f"the list {Path(self.classes.path).name if isinstance(self.classes, TextFile) else self.classes}"

    def save(self, folder: Path, data: ClassificationData) -> None:
        """Write the class folders in use into the run's folder, where something was chosen."""
        if self.plain():
            choosing.save(folder, data.train)


ALL = Selection()
"""All classes, under their folders' names."""

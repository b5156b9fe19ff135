"""`--classes` and `--label-map`: which classes of an image folder a command reads, and under which labels."""

from pathlib import Path
from typing import Any, Self

from bench import places
from pretrain.config import Classes
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings, TextFile
from pretrain.images import classes as choosing
from transfer import tasks
from transfer.datasets.imagefolder import ClassificationData

SEED = 0
"""Of a share's draw where no pre-training runs: the same classes for every checkpoint and for every trial."""
LAYOUT = "imagefolder"
"""The layout whose classes can be chosen."""


class Selection(Settings):
    """What was chosen; nothing: all classes, under their folders' names.

    It is a choice of data, no change of a protocol: the data's fingerprint tells its runs from others.
    """

    classes: Classes = None
    """A share of the classes, the name of a list in `configs/classes`, or a file with one class folder per line."""
    label_map: TextFile | None = None
    """File of other labels for the class folders."""

    @classmethod
    def asked(cls, classes: str | None, label_map: str | None) -> Self:
        """What the options say.

        Raises:
            ConfigError: If a share can't be, or a file can't be read.
        """
        return cls.read({"classes": classes, "label_map": label_map}, where="the options")

    def plain(self) -> dict[str, Any]:
        """What was chosen, as plain values; empty for nothing."""
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
        """What `imagefolder.read` is told beside the root; nothing where nothing was chosen.

        Args:
            seed: Of a share.

        Raises:
            ConfigError: For an unknown list, or a file that can't be read.
        """
        if not self.plain():
            return {}
        labels = None if self.label_map is None else choosing.read_map(Path(self.label_map.path))
        return {"classes": self._folders(), "labels": labels, "seed": seed}

    def _folders(self) -> float | list[str] | None:
        """The class folders, or the share of them."""
        if self.classes is None or isinstance(self.classes, float):
            return self.classes
        listed = places.class_list(self.classes) if isinstance(self.classes, str) else Path(self.classes.path)
        return choosing.read_list(listed)

    def remarks(self) -> tuple[str, ...]:
        """What a record's notes say of the choice."""
        chosen, labels = self.classes, self.label_map
        if isinstance(chosen, float):
            which = f"a share of {chosen:g}, drawn with seed {SEED}"
        else:
            which = f"the list {Path(chosen.path).name if isinstance(chosen, TextFile) else chosen}"
        said = f"classes chosen: {which} (the run's {choosing.LISTED} names them)"
        return (said,) * (chosen is not None) + ((f"labels of the map {Path(labels.path).name}",) if labels else ())

    def save(self, folder: Path, data: ClassificationData) -> None:
        """Write the class folders in use into the run's folder, where something was chosen."""
        if self.plain():
            choosing.save(folder, data.train)

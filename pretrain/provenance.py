"""Where a backbone came from: what its file says, and what makes one row of the leaderboard. Needs no torch."""

from typing import Any, Literal, Self

from pydantic import Field

from pretrain.core.settings import Settings

Supervision = Literal["self", "semi", "full", "none", "unknown"]
UNTRAINED = "random"
"""The method of a backbone that was never trained."""


class Drawn(Settings):
    """What a share of the classes was drawn from: repetitions draw other classes with their seeds, of the same ones."""

    fingerprint: str
    """Fingerprint of the images of all classes."""
    share: float
    """Share of the classes that was drawn."""
    epochs: float | None = None
    """Where the iterations are kept: passes over the images of all classes that have as many; null elsewhere."""


class Provenance(Settings):
    """Where a backbone came from: what makes one row of the leaderboard.

    What differs from the published recipe of the method stands field by field in two parts, for a control shares every setting
    but the augmentation's own.
    """

    method: str
    """For instance `mocov2`; `random` for an untrained one, `unknown` where the file doesn't say."""
    method_version: int | None = None
    """Its version, which moves with its numbers; null where the file doesn't say."""
    aug: str = "unknown"
    """Augmentation on top of the base pipeline: a name of the augmentation table, or several joined by `+`."""
    supervision: Supervision = "unknown"
    """How labels were used."""
    label_fraction: float | None = None
    """Fraction of the images whose label was used, 0 to 1; null where unknown."""
    arch: str
    """For instance `resnet50`."""
    data: str = "unknown"
    """Name of the pre-training images."""
    data_fingerprint: str | None = None
    """Fingerprint of the pre-training images."""
    drawn: Drawn | None = None
    """What their classes were drawn from; null where they weren't, and where the file is older."""
    epochs: float | None = None
    """Passes over the images; null where unknown."""
    seed: int | None = None
    """Seed of the run; rows that differ in nothing else are repetitions."""
    augmentation: dict[str, Any] = Field(default_factory=dict)
    """What differs from the published recipe and is the augmentation's own: its options, its views, what blends mean."""
    changed: dict[str, Any] = Field(default_factory=dict)
    """Everything else that differs from it, by the whole names of `pretrain.config`; `batch_statistics` says over how many
    images batch normalisation took its statistics, and by which means; `gradient` and `loss` what several processes make
    of them where that is not one process's."""

    def after(self, epochs: float) -> Self:
        """Say where a backbone on the way came from: the iterations that the run keeps are those of its end."""
        drawn = None if self.drawn is None else self.drawn.replace({"epochs": None})
        return self.model_copy(update={"epochs": float(epochs), "drawn": drawn})

    @property
    def untrained(self) -> bool:
        """Return whether the backbone was never trained."""
        return self.method == UNTRAINED

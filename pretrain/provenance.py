"""Where a backbone came from: what its file says, and what makes one row of the leaderboard. Needs no torch."""

from typing import Literal

from pretrain.core.settings import Settings

Supervision = Literal["self", "semi", "full", "none", "unknown"]


class Provenance(Settings):
    """Where a backbone came from: what makes one row of the leaderboard."""

    method: str
    """For instance `mocov2`; `random` for an untrained one, `unknown` where the file doesn't say."""
    aug: str = "unknown"
    """Augmentation on top of the base pipeline: a name of the augmentation table, or several joined by `+`."""
    supervision: Supervision = "unknown"
    """How labels were used."""
    label_fraction: float | None = None
    """Share of the images whose label was used, 0 to 1; null where unknown."""
    arch: str
    """For instance `resnet50`."""
    data: str = "unknown"
    """Name of the pre-training images."""
    data_fingerprint: str | None = None
    """Fingerprint of the pre-training images."""
    epochs: float | None = None
    """Passes over the images; null where unknown."""
    seed: int | None = None
    """Seed of the run; rows that differ in nothing else are repetitions."""
    settings: str | None = None
    """Digest of every setting that changes the numbers, apart from those above."""

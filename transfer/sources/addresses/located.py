"""Where a checkpoint was found."""

from dataclasses import dataclass
from pathlib import Path

from pretrain.provenance import Provenance
from transfer.sources.backbone import Origin


@dataclass(frozen=True)
class Located:
    """A checkpoint's file, and what its address says of it."""

    path: Path
    """The file; of shards, their index; a folder where one was named."""
    origin: Origin | None = None
    """Where it was fetched from; None for a path of the user's own."""
    provenance: Provenance | None = None
    """What the address says of where the weights came from; None: nothing."""

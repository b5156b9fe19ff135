"""What the protocols share that train no backbone: linear evaluation and nearest neighbours."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from pretrain.core.ranges import Side, Workers
from transfer.tasks import TaskSettings

if TYPE_CHECKING:
    from pretrain.backbones import Architecture

USUAL = "default"
"""The reading of a backbone's features that every architecture has: `Architecture.features`."""


class ProbeSettings(TaskSettings):
    """Settings of every protocol on frozen features."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers", "verify_data"})
    OPTIONAL: ClassVar[frozenset[str]] = TaskSettings.OPTIONAL | {"features"}

    size: Side = 224
    """Side of a crop, in pixels."""
    batch: int = Field(256, ge=1)
    """Images per step."""
    num_workers: Workers = "auto"
    """Worker processes that load images; 0 loads in the process itself. `auto`: 2 on a CPU; on a GPU as many as each process
    has cores, less two, from 2 to 16."""
    verify_data: bool = False
    """Look at every file of a large image folder at the start, whatever the index of an earlier start says."""
    features: str = USUAL
    """What is read of the backbone: by default the class token after the last norm of a ViT, the mean over the last map of a
    ResNet. Of a ViT also `mean`, of the patch tokens after that norm, or `last4`, the class tokens of the last four blocks,
    each after that norm, joined. Another reading is another protocol."""

    def splits(self) -> dict[str, Any]:
        """Say that the classes are told apart."""
        return {"probed": True, "verify": self.verify_data}

    def require(self, architecture: "Architecture") -> None:
        """See `TaskSettings`."""
        architecture.require_size(self.size)
        if self.features != USUAL:
            architecture.require_reading(self.features)

    def with_size(self, size: int) -> Self:
        """Change the crop size."""
        return self.replace({"size": size})

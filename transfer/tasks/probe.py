"""What the protocols share that train no backbone: linear evaluation and nearest neighbours."""

from typing import Any, ClassVar, Self

from pydantic import Field

from transfer.tasks import TaskSettings


class ProbeSettings(TaskSettings):
    """Settings of every protocol on frozen features."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers"})

    size: int = Field(224, ge=16)
    """Side of a crop, in pixels."""
    batch: int = Field(256, ge=1)
    """Images per step."""
    num_workers: int = Field(2, ge=0)
    """Worker processes that load images; 0 loads in the process itself."""

    def splits(self) -> dict[str, Any]:
        """Say that the classes are told apart."""
        return {"probed": True}

    def with_size(self, size: int) -> Self:
        """Change the crop size."""
        return self.replace({"size": size})

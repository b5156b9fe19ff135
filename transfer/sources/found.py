"""What recognising a file results in: a backbone's tensors, unchecked, and why they were taken."""

from dataclasses import dataclass

from torch import Tensor

from transfer.sources.backbone import Branch


@dataclass(frozen=True)
class Found:
    """A backbone's tensors as the file holds them."""

    source: str
    branch: Branch
    state: dict[str, Tensor]
    """Under canonical names; nothing checked yet."""
    dropped: tuple[str, ...]
    """Every other tensor of the file, by the file's own names."""
    why: str
    own_choice: bool = True
    """Whether the project's own conversion takes this branch too."""

"""What recognising a file results in: a backbone's tensors, unchecked, and why they were taken."""

from dataclasses import dataclass

from torch import Tensor

from pretrain.provenance import Supervision
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
    method: str = "unknown"
    """The method, where the file tells it from its relatives or the user names the source; else `unknown (MoCo's layout)`."""
    supervision: Supervision = "unknown"
    """How labels were used, where the method is known."""
    remarks: tuple[str, ...] = ()
    """What was done to its tensors, or is doubtful of them, for the record."""

"""`timm:NAME`: timm's pretrained weights, which lie on the Hugging Face hub as `timm/NAME`."""

import re

from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer.sources.addresses import hf
from transfer.sources.addresses.located import Located

FORM = "timm:ARCH.TAG[@REVISION], such as timm:resnet50.a1_in1k"


def find(checkpoint: str, journal: Journal) -> Located:
    """Find timm's weights on the hub.

    The tag must be named: weights of one architecture transfer differently.

    Raises:
        CheckpointError: If the name has no tag or another form, or the hub does not give it.
    """
    name = checkpoint.removeprefix("timm:")
    if not re.fullmatch(r"[\w-]+(\.[\w-]+)?(@\S+)?", name):
        raise CheckpointError("no name of timm's weights", seen=checkpoint, allowed=FORM)
    arch = name.partition("@")[0]
    if "." not in arch:
        raise CheckpointError(
            f"which weights of {arch}? timm has several, each with a tag",
            seen=checkpoint,
            allowed=_tagged(arch) or FORM,
            fix="name the tag: they transfer differently",
        )
    return hf.find(f"hf:timm/{name}", journal, address=checkpoint)


def _tagged(arch: str) -> str:
    """List an architecture's weights."""
    import timm

    return ", ".join(f"timm:{name}" for name in timm.list_pretrained(f"{arch}.*"))

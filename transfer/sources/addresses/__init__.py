"""What `--ckpt` takes beside paths: the table of address schemes, each a module with `find`."""

import contextlib
import difflib
import errno
import importlib
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pretrain.backbones import BACKBONES
from pretrain.core.access import why_not
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer.sources.addresses.located import Located
from transfer.sources.backbone import Backbone
from transfer.sources.containers import ENDINGS, require_no_part


@dataclass(frozen=True)
class Scheme:
    """One kind of address."""

    form: str
    """How it is written, with an example's words."""
    about: str
    """What it names."""
    module: str
    """The module here whose `find(checkpoint, journal)` returns a `Located` file, or the `Backbone` itself."""
    fixed: bool = False
    """Whether it names one backbone, so that nothing is left to choose in its file."""


SCHEMES: dict[str, Scheme] = {
    "random": Scheme("random:resnet50[:SEED]", "an untrained backbone", "random", fixed=True),
    "torchvision": Scheme("torchvision:resnet50/IMAGENET1K_V2", "torchvision's published weights", "torchvision", fixed=True),
    "timm": Scheme("timm:resnet50.a1_in1k", "timm's pretrained weights: a model of the Hugging Face hub", "timm"),
    "hf": Scheme("hf:OWNER/NAME[/FILE][@REVISION]", "a model of the Hugging Face hub", "hf"),
    "https": Scheme("https://HOST/FILE[#sha256=HEX]", "a file of the web", "https"),
    "http": Scheme("http://localhost:PORT/FILE[#sha256=HEX]", "a file of this machine's own server", "https"),
}
"""What stands before the first colon → the kind of address."""

FORMS = ", ".join(["a file or folder", *(scheme.form for name, scheme in SCHEMES.items() if name != "http")])
"""What `--ckpt` takes, in words."""

_HUB = r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)"
SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"torchvision://(\w+)(?:/(\w+))?", r"torchvision:\1/IMAGENET1K_V1"),
    (r"(?:timm://|timm:/+|timm/|timm:timm/)([\w.-]+)", r"timm:\1"),
    (r"(?:hf|hf[-_]hub|huggingface)(?:://|:/*)([\w.-]+/[\w.-]+)(@[\w./-]+)?", r"hf:\1\2"),
    (rf"{_HUB}/?", r"hf:\1"),
    (rf"{_HUB}/(?:tree|commit)/([\w.-]+)/?", r"hf:\1@\2"),
    (rf"{_HUB}/(?:blob|raw)/([\w.-]+)/([\w./-]+)(?:\?.*)?", r"hf:\1/\3@\2"),
    (r"(https?):/*(?:www\.)?(?:github\.com)/([\w.-]+/[\w.-]+)/blob/(.+)", r"https://github.com/\2/raw/\3"),
    (r"(https?):/?([^/].*)", r"\1://\2"),
    (r"file://(?:localhost)?(/.+)", r"\1"),
    (r"([\w-]+/[\w.-]+)", r"hf:\1"),
)
"""Other ways to write an address or a file (whole text, the first that fits) → how it is written here."""


MOST_NAMES = 10_000
"""Names in a folder that a missing one is compared with."""


def find(checkpoint: str, journal: Journal) -> Located | Backbone:
    """Find what `--ckpt` names: a path means itself, an address what its scheme says.

    Args:
        checkpoint: The path or address.
        journal: Is told what is fetched, and how far it is.

    Raises:
        CheckpointError: If it names nothing, or what it names can't be fetched.
    """
    scheme = scheme_of(checkpoint)
    if scheme is None:
        checkpoint = os.path.expanduser(checkpoint)  # no shell expands --ckpt=~/x.pth
        _require_path(checkpoint)
        return Located(Path(checkpoint))
    if right := _respelled(checkpoint):
        raise CheckpointError(f"--ckpt takes no address of that form: {checkpoint}", allowed=FORMS, fix=f"--ckpt {right}")
    found: Located | Backbone = importlib.import_module(f"{__name__}.{scheme.module}").find(checkpoint, journal)
    return found


def scheme_of(checkpoint: str) -> Scheme | None:
    """Return the kind of address that a text is; None for a path."""
    name, colon, _ = checkpoint.partition(":")
    return SCHEMES.get(name) if colon else None


def _respelled(checkpoint: str) -> str | None:
    """Return how something written otherwise is written here; None where it is right, or nothing fits."""
    for pattern, right in SPELLINGS:
        if found := re.fullmatch(pattern, checkpoint, re.IGNORECASE):
            proper = found.expand(right)
            return None if proper == checkpoint else proper
    return None


def _require_path(checkpoint: str) -> None:
    """Refuse what is no path and nothing that is fetched, with the form that may be meant.

    Raises:
        CheckpointError: If there is no such file, with what it may be: an address, a model's name, what files have in common.
    """
    if os.path.exists(checkpoint):  # of a name that no disk can have it says no, where Path raises
        return
    require_no_part(checkpoint)
    address = re.match(r"[A-Za-z][\w+.-]+:/", checkpoint) is not None
    right = _respelled(checkpoint)
    if address:
        fix = f"--ckpt {right}" if right else "download the file and pass its path with --ckpt"
        raise CheckpointError("--ckpt takes no address of that form", seen=checkpoint, allowed=FORMS, fix=fix)
    model = right is not None and not checkpoint.lower().endswith(ENDINGS)
    raise CheckpointError(
        f"no checkpoint at {checkpoint or chr(39) * 2}",
        seen=_what_is_there(checkpoint),
        allowed=FORMS,
        fix="pass a file, for instance runs/<id>/backbone.pth"
        + (f"; or, for the model of that name on the Hugging Face hub, --ckpt {right}" if model else "")
        + (f"; or --ckpt random:{checkpoint}, untrained, or timm:{checkpoint}.TAG" if checkpoint in BACKBONES else ""),
    )


def _what_is_there(path: str) -> str:
    """Say what is in the place of a path where no file is: a link that leads nowhere, names that are nearly the same."""
    if os.path.islink(path):
        return why_not(path, FileNotFoundError(errno.ENOENT, ""))[0]
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError, ValueError):
        near = difflib.get_close_matches(name, islice(sorted(os.listdir(folder or ".")), MOST_NAMES))
        return f"nothing; near it: {', '.join(near)}" if near else "nothing"
    return "nothing" if not folder else f"nothing, and no folder {folder}"

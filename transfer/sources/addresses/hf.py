"""`hf:OWNER/NAME[/FILE][@REVISION]`: a model of the Hugging Face hub, with its `config.json` beside the weights."""

import os
import re
from pathlib import Path

from huggingface_hub import constants

from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer.sources import containers, published
from transfer.sources.addresses import hub
from transfer.sources.addresses.download import Wanted, download, sha256_of, storing
from transfer.sources.addresses.hub import MAIN, Listing, Model
from transfer.sources.addresses.located import Located
from transfer.sources.addresses.web import UnfetchedError
from transfer.sources.backbone import Origin
from transfer.sources.said import CONFIGS, NEIGHBOURS

FORM = "hf:OWNER/NAME, hf:OWNER/NAME/FILE, either with @REVISION"
BESIDE = (*CONFIGS, *NEIGHBOURS)
"""Files that say of what architecture the weights are, and how their images were normalised."""
ADDRESS = re.compile(r"hf:(?P<model>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[\w][\w./-]*))?")


def find(checkpoint: str, journal: Journal, *, address: str | None = None) -> Located:
    """Find a model's weights in a cache, or fetch them.

    Args:
        checkpoint: `hf:OWNER/NAME[/FILE][@REVISION]`.
        journal: Is told what is fetched.
        address: What the user wrote in its place.

    Raises:
        CheckpointError: If there is no such model, it is closed to this user, there is no network, or it has no weights.
    """
    asked = ADDRESS.fullmatch(checkpoint)
    if asked is None or ".." in checkpoint:
        raise CheckpointError("not a model of the hub", seen=checkpoint, allowed=FORM)
    model = Model(address or checkpoint, asked["model"], asked["file"], asked["revision"] or MAIN)
    try:
        listing = hub.listing(model, journal)
        weights, *others = _chosen(model, listing)
        for name in (*others, weights):  # the weights last: where they lie, all lies
            _bring(model, listing, name, journal)
    except UnfetchedError as error:
        raise _explained(model, error) from None
    return Located(model.folder(listing.commit) / weights, Origin(model.address, listing.commit, listing.how))


def _chosen(model: Model, listing: Listing) -> list[str]:
    """Return the names of the files to have: the weights, or the index of their shards, first."""
    names = sorted(listing.files)
    if model.file is not None and model.file not in names:
        raise CheckpointError.unknown(f"file of {model.model}", model.file, names)
    found = [model.file] if model.file else containers.weights_among([name for name in names if "/" not in name])
    if len(found) != 1:
        raise CheckpointError(
            f"{model.model} has {len(found)} files of weights" if found else f"{model.model} has no file of weights",
            seen=", ".join((found or names)[:6]),
            allowed="a model with one, or with shards and their index",
            fix=f"name one: --ckpt hf:{model.model}/{found[0]}" if found else "take a model with weights for torch",
        )
    weights = found[0]
    around = weights.rpartition("/")[0]
    beside = [f"{around}/{name}" if around else name for name in BESIDE] + [str(published.about(Path(weights)))]
    shards = [name for name in names if containers.is_shard_of(name, weights)]
    return [weights, *(name for name in beside if name in names), *shards]


def _bring(model: Model, listing: Listing, name: str, journal: Journal) -> None:
    """Have a file in the folder: it is there, or the library's cache has it, or it is fetched."""
    item, path = listing.files[name], model.folder(listing.commit) / name
    if path.is_file() and item.size in (None, path.stat().st_size):
        return
    theirs = hub.theirs(model) / listing.commit / name
    if theirs.is_file() and item.size in (None, theirs.stat().st_size) and item.sha256 in ("", sha256_of(theirs)):
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            link = path.with_name(f".{path.name}.{os.getpid()}.link")
            link.symlink_to(theirs.resolve())
            os.replace(link, path)
        return
    path.unlink(missing_ok=True)
    url = model.url(name, listing.commit)
    hub.require_online(url)
    download(Wanted(url, path, size=item.size, sha256=item.sha256, secret=hub.token()), journal)


def _explained(model: Model, error: UnfetchedError) -> CheckpointError:
    """Say what the hub's refusal means."""
    page = f"{constants.ENDPOINT}/{model.model}"
    wrong, fix = f"can't fetch {model.address}", "correct the name; a private model needs HF_TOKEN, or `hf auth login`"
    at = f"{page}: {error.reason}"
    if error.code == "GatedRepo" or error.status == 403:
        fix = f"ask for access on {page} in a browser, and set HF_TOKEN (or `hf auth login`) to a token that may read it"
        return CheckpointError(f"{wrong}: it is given to those alone who asked for access", seen=at, fix=fix)
    if error.code == "RevisionNotFound":
        fix = f"choose one on {page}/commits/main"
        return CheckpointError(f"{wrong}: it has no revision {model.revision}", seen=at, fix=fix)
    if error.status in (401, 404):
        return CheckpointError(f"{wrong}: the hub has no such model, or does not show it to you", seen=at, fix=fix)
    if error.passing:
        fix = f"fetch it on a machine with a network (`hf download {model.model}`), and bring HF_HUB_CACHE here, or the file"
        return CheckpointError(wrong, seen=at, allowed=f"the network, or a copy in {constants.HF_HUB_CACHE}", fix=fix)
    return error

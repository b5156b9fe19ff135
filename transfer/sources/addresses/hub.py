"""What is in a model of the Hugging Face hub, at which commit: asked for, and kept, for a commit never changes.

Settings, token and cache are the hub's own library's: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_CACHE.
NOTE: its download isn't taken: what broke off begins anew there once the process ended, and its waiting has no bound.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants, get_token

from pretrain.core.atomic import replacing
from pretrain.core.cachefolder import cache_folder
from pretrain.core.journal import Journal
from transfer.sources.addresses import web
from transfer.sources.addresses.download import storing
from transfer.sources.addresses.web import UnfetchedError

MAIN = "main"
"""The revision that is meant where none is named."""
COMMIT = re.compile(r"[0-9a-f]{40}")
LISTING = ".listing.json"
"""File in the folder of a commit that keeps what the hub lists of it."""


@dataclass(frozen=True)
class Model:
    """A model at a revision, as it was asked for."""

    address: str
    """As the user wrote it."""
    model: str
    """OWNER/NAME."""
    file: str | None
    """The file of its weights; None: the one there is."""
    revision: str
    """A branch, a tag or a commit."""

    def folder(self, revision: str = "") -> Path:
        """Where files of a commit are kept: as the hub's library lays them out, in a cache of ours."""
        return _folder(cache_folder() / "hub", self.model) / revision

    def url(self, name: str, commit: str) -> str:
        """Where a file lies on the hub."""
        return f"{constants.ENDPOINT}/{self.model}/resolve/{commit}/{quote(name)}"


@dataclass(frozen=True)
class Item:
    """A file of a commit."""

    size: int | None = None
    sha256: str = ""
    """Empty for small files, whose content the hub names by another digest."""


@dataclass(frozen=True)
class Listing:
    """What is in a model at a commit."""

    commit: str
    files: Mapping[str, Item]
    how: str = ""
    """Why it is not the hub's newest; empty: it is."""


def listing(model: Model, journal: Journal) -> Listing:
    """Return what the hub lists of a model; what the caches know where there is no network, or a commit is asked for.

    Raises:
        UnfetchedError: If the hub refuses, or can't be asked and nothing is known.
    """
    if COMMIT.fullmatch(model.revision) and (kept := _kept(model, model.revision)):
        return kept
    try:
        found = _asked(model)
    except UnfetchedError as error:
        known = _known(model) if error.passing else None
        if known is None:
            raise
        found = replace(known, how=f"the copy in the cache: the hub was not asked ({error.reason})")
        journal.say(f"{model.address}: {found.how}")
        return found
    _keep(model, found)
    return found


def _asked(model: Model) -> Listing:
    url = f"{constants.ENDPOINT}/api/models/{model.model}/revision/{quote(model.revision, safe='')}?blobs=true"
    require_online(url)
    try:
        plain = json.loads(web.text(url, secret=token()))
        files = {item["rfilename"]: Item(_size(item), _sha256(item)) for item in plain["siblings"]}
        commit = str(plain["sha"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reason = "no answer of a hub: see HF_ENDPOINT, and whether your network asks for a login"
        raise web.unfetched(url, reason, "correct HF_ENDPOINT, or log in") from None
    if not COMMIT.fullmatch(commit) or not all(_is_safe(name) for name in files):
        raise web.unfetched(url, f"a commit {commit!r} or a file's name that the hub can't have", "see HF_ENDPOINT", status=200)
    return Listing(commit, files)


def _size(item: Mapping[str, Any]) -> int | None:
    size = (item.get("lfs") or item).get("size")
    return size if isinstance(size, int) else None


def _sha256(item: Mapping[str, Any]) -> str:
    return str((item.get("lfs") or {}).get("sha256") or "")


def _is_safe(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("/") and ".." not in name.split("/")


def _keep(model: Model, listing: Listing) -> None:
    """Keep a listing, and that the revision is this commit now."""
    plain = {name: [item.size, item.sha256] for name, item in listing.files.items()}
    for path, content in (
        (model.folder(listing.commit) / LISTING, json.dumps(plain)),
        (model.folder().parent / "refs" / model.revision, listing.commit),
    ):
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(content.encode())


def _kept(model: Model, commit: str) -> Listing | None:
    """Return what was listed of a commit when it was asked for; None: never."""
    try:
        plain = json.loads((model.folder(commit) / LISTING).read_text(encoding="utf-8"))
        return Listing(commit, {name: Item(size, sha256) for name, (size, sha256) in plain.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _known(model: Model) -> Listing | None:
    """Return what the caches hold of a revision, ours or the library's, without asking anyone."""
    for folder in (model.folder(), theirs(model)):
        ref = folder.parent / "refs" / model.revision
        commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else model.revision
        if not COMMIT.fullmatch(commit):
            continue
        if kept := _kept(model, commit):
            return kept
        here = folder / commit
        if names := [path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()]:
            return Listing(commit, {name: Item() for name in names})
    return None


def theirs(model: Model) -> Path:
    """Where the hub's library keeps the commits of a model."""
    return _folder(Path(constants.HF_HUB_CACHE), model.model)


def _folder(cache: Path, model: str) -> Path:
    return cache / f"models--{model.replace('/', '--')}" / "snapshots"


def require_online(url: str) -> None:
    """Refuse to ask, where the user set that nobody is asked."""
    if constants.HF_HUB_OFFLINE:
        raise web.unfetched(url, "HF_HUB_OFFLINE is set", "unset it, or fetch the model before")


def token() -> str | None:
    """Return the user's token for the hub, if there is one."""
    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()

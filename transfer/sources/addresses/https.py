"""`https://…` and, of this machine, `http://localhost…`: a file of the web, checked against a digest, kept in the cache."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urlsplit

from pretrain.core.cachefolder import cache_folder
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer.sources.addresses import web
from transfer.sources.addresses.download import Wanted, download
from transfer.sources.addresses.located import Located
from transfer.sources.backbone import Origin

FORM = "https://HOST/FILE, or https://HOST/FILE#sha256=64 hexadecimal digits"
NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z][\w.]*")
"""Matches the end of file names as torch's hub writes them: `resnet50-0676ba61.pth`, with the head of the SHA-256."""
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")
"""Eight digits that are no digest."""


@dataclass(frozen=True)
class Address:
    """A file of the web."""

    url: str
    """Without the digest."""
    sha256: str
    """The beginning of its SHA-256 in hexadecimal digits, or all of it; empty: not told."""

    @classmethod
    def parsed(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            CheckpointError: If it is not encrypted, holds a password, or what follows `#` is no digest.
        """
        url, fragment = urldefrag(text)
        url = quote(url, safe="!#$%&'()*+,/:;=?@[]~")  # what a browser shows with spaces and accents
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise CheckpointError("not an address", seen=f"{text}: {error}", allowed=FORM) from None
        if not host or not parts.path.strip("/"):
            raise CheckpointError("an address without a host or a file", seen=text, allowed=FORM)
        if parts.scheme == "http" and not web.is_local(url):
            fix = f"--ckpt https{text.removeprefix('http')}; or download the file, and pass its path"
            raise CheckpointError("an address that is not encrypted", seen=text, allowed=FORM, fix=fix)
        if parts.username is not None:
            fix = "download the file, and pass its path: an address is written into records, with what is in it"
            raise CheckpointError(f"an address of {host} with a name or a password", allowed=FORM, fix=fix)
        if fragment:
            return cls(url, _told(fragment, text))
        named = NAMED_DIGEST.search(Path(parts.path).name)
        return cls(url, named[1] if named and not DATE.fullmatch(named[1]) else "")

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        name = re.sub(r"[^\w.+-]", "_", unquote(urlsplit(self.url).path.rstrip("/").rpartition("/")[2])).lstrip(".")
        return cache_folder() / "checkpoints" / hashlib.sha256(self.url.encode()).hexdigest()[:16] / (name or "checkpoint")


def find(checkpoint: str, journal: Journal) -> Located:
    """Fetch a file of the web, or find it in the cache: what was fetched once is not asked for again.

    Raises:
        CheckpointError: If the address is none, the file can't be fetched, or is not the one that its digest tells.
    """
    address = Address.parsed(checkpoint)
    fetched = download(Wanted(address.url, address.path, sha256=address.sha256), journal)
    since = datetime.fromtimestamp(address.path.stat().st_mtime, UTC)
    how = "" if fetched else f"in the cache since {since:%Y-%m-%d %H:%M} UTC, not asked for again: {address.path}"
    return Located(address.path, Origin(address.url, how=how))


def _told(fragment: str, text: str) -> str:
    name, _, digits = fragment.partition("=")
    if name.lower() != "sha256" or not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        seen = f"#{fragment} of {len(digits)} digits" if name.lower() == "sha256" else f"#{fragment}"
        raise CheckpointError(f"no digest behind the # of {text}", seen=seen, allowed=FORM, fix="sha256sum FILE prints it")
    return digits.lower()

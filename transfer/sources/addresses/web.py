"""Opening an address of the web: in bounded time, through the environment's proxies, and with one message for a failure."""

import contextlib
import http.client
import queue
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pretrain.core.errors import CheckpointError

SILENCE = 10.0
"""Seconds without a byte after which a connection is given up."""
FIRST_ANSWER = 20.0
"""Seconds until an answer begins, names, proxies, redirects and all; no single step of it is bounded by sockets alone."""
LARGEST_TEXT = 2**24
"""Bytes of an answer that is no file."""
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Hosts that may be asked without encryption."""
BROKEN = (OSError, http.client.HTTPException)
"""What a connection raises that breaks or is refused."""

Answer = Any
"""What `urllib` returns: `status`, `headers`, `read1(size)`."""


class UnfetchedError(CheckpointError):
    """Something could not be fetched; `reason` says why in a few words."""

    reason = ""
    status: int | None = None
    """The server's answer; None: it gave none."""
    code = ""
    """The hub's own word for it, such as `GatedRepo`."""

    @property
    def passing(self) -> bool:
        """Whether it may work later: there was no connection, or the server is busy or broken."""
        return self.status is None or self.status == 429 or self.status >= 500


def unfetched(url: str, reason: str, fix: str, *, status: int | None = None, code: str = "") -> UnfetchedError:
    """Build the error for an address that can't be fetched."""
    error = UnfetchedError(f"can't fetch {url}", seen=reason, allowed="an address that this machine reaches", fix=fix)
    error.reason, error.status, error.code = reason, status, code
    return error


@contextlib.contextmanager
def opened(url: str, headers: Mapping[str, str] | None = None, *, secret: str | None = None) -> Iterator[Answer]:
    """Open an address, follow its redirects, and close it after the block.

    Args:
        url: The address.
        headers: What to ask with.
        secret: A token, which is told to this host only and to none that it redirects to.

    Raises:
        UnfetchedError: If there is no connection in time, or the server refuses; says which, and what to do.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "bench-transfer", **(headers or {})})
        if secret:
            request.add_unredirected_header("Authorization", f"Bearer {secret}")
        answer = _within(FIRST_ANSWER, request)
    except UnfetchedError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from None
    except (*BROKEN, ValueError) as error:
        raise _unreachable(url, error) from None
    with answer:
        yield answer


def text(url: str, *, secret: str | None = None) -> bytes:
    """Read a short answer.

    Raises:
        UnfetchedError: If it can't be read, or is not short.
    """
    try:
        with opened(url, secret=secret) as answer:
            content: bytes = answer.read(LARGEST_TEXT + 1)
    except BROKEN as error:
        raise _unreachable(url, error) from None
    if len(content) > LARGEST_TEXT:
        raise unfetched(url, f"an answer of more than {LARGEST_TEXT} bytes", "see what is there in a browser", status=200)
    return content


def is_local(url: str) -> bool:
    """Whether an address is of this machine."""
    return urlsplit(url).hostname in LOCAL


def _within(seconds: float, request: urllib.request.Request) -> Answer:
    """Open a request in a thread of its own: the look-up of a name, or many dead addresses of one host, know no time-out."""
    box: queue.SimpleQueue[tuple[Answer, Exception | None]] = queue.SimpleQueue()
    opener = urllib.request.build_opener(_Redirects)

    def work() -> None:
        try:
            box.put((opener.open(request, timeout=SILENCE), None))
        except Exception as error:
            box.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, error = box.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps secrets: a token goes to the same host alone, and nothing from https to http."""

    def redirect_request(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Build the next request, or refuse it."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:") and not is_local(newurl):
            fix = "take an address that stays encrypted"
            raise unfetched(req.full_url, f"redirected to {newurl}, which is not encrypted", fix, status=code)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        secret = req.unredirected_hdrs.get("Authorization")
        if request is not None and secret and urlsplit(newurl)[:2] == urlsplit(req.full_url)[:2]:
            request.add_unredirected_header("Authorization", secret)
        return request


_REFUSALS: dict[int, tuple[str, str]] = {
    401: ("it asks for a login", "download the file in a browser where you are logged in, and pass its path with --ckpt"),
    403: ("access is refused", "download the file in a browser where you may, and pass its path with --ckpt"),
    404: ("there is no such file", "correct the address"),
    407: ("the proxy asks for a login", "set HTTPS_PROXY with a name and a password"),
    410: ("the file is gone", "take another address"),
    429: ("too many requests", "wait some minutes, and give the same command again"),
}
"""Status → what it means, what to do."""


def _refused(url: str, error: urllib.error.HTTPError) -> UnfetchedError:
    busy = ("the server can't answer now", "give the same command again later: a broken download goes on where it stopped")
    other = ("the server refuses", "see what is there in a browser")
    words, fix = _REFUSALS.get(error.code, busy if error.code >= 500 else other)
    code = error.headers.get("X-Error-Code", "") if error.headers else ""
    return unfetched(url, f"{words} (HTTP {error.code} {error.reason})", fix, status=error.code, code=code)


def _unreachable(url: str, error: Exception) -> UnfetchedError:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    fix = "on a machine with a network: download the file; bring it here, and pass its path with --ckpt"
    if isinstance(cause, ssl.SSLCertVerificationError):
        fix = "name your network's certificates by SSL_CERT_FILE"
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(cause)) or type(cause).__name__
    proxies = {name: value for name, value in urllib.request.getproxies().items() if name == urlsplit(url).scheme}
    through = f" (by the proxy {urlsplit(next(iter(proxies.values()))).hostname})" if proxies and not is_local(url) else ""
    return unfetched(url, f"no connection{through}: {reason}", fix)

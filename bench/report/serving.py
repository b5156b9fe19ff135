"""Serve the report's page on this machine alone, read-only, made anew as runs end.

Nobody else reaches it: it listens on the loopback address and answers to that address's names alone, since a page of elsewhere
could have its own name lead there (DNS rebinding). What it gives away are the page and the files that the page names, looked up
whole in a table: a path that climbs is merely one that isn't in it.
"""

import errno
import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from markupsafe import escape

from bench.report import kept, page, words
from bench.report.content import Content
from bench.report.gather import RESULT
from bench.report.sources import Source
from pretrain.core.errors import BenchError, ConfigError
from transfer.board.entries import Entry

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""By which a browser on this machine may call it."""
EVERY = 3.0
"""Seconds between two looks at the records."""
SHARE = 10
"""Times longer than a look takes is waited at least, so that looking through very many runs is no load."""
NOTHING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="color-scheme" content="light dark"><title>{title}</title><h1>{title}</h1><pre>{message}</pre>
<p>This page looks again by itself.</p></html>
"""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
PART = 1 << 16
"""Bytes of a file that are sent at once."""
BARE = (204, 304)
"""Answers without a text."""


@dataclass(frozen=True)
class Site:
    """What is served at one moment."""

    version: str
    page: bytes
    files: Mapping[str, Path] = field(default_factory=dict)
    """Address → file."""


def site(source: Source) -> Site:
    """Make the page of a source, and the table of the files it names; where nothing can be read, a page that says why."""
    version = _version(source)
    try:
        content = source.content()
    except BenchError as error:
        text = NOTHING.format(title=words.TITLE, message=escape(words.lines(str(error))))
        return Site(version, text.encode())
    return Site(
        version, page.write(content, [_address(entry) for entry in content.board.entries], version).encode(), _files(content)
    )


def _version(source: Source) -> str:
    """Name what the source is now; one that can't be looked at, such as a study file half edited, by the reason."""
    try:
        return _digest(repr(source.stamp()))
    except BenchError as error:
        return _digest(str(error))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _address(entry: Entry) -> str:
    """Name a run's folder by a digest: its own path is nobody's business, and stays in no browser's history."""
    return f"runs/{_digest(str(entry.path.parent))}/"


def _files(content: Content) -> dict[str, Path]:
    """List what the page names of each run; a link that leads out of the run's folder is none of it."""
    found = {}
    for entry in content.board.entries:
        for name in (*kept.FILES, kept.PICTURE, RESULT):
            path = kept.beside(entry, name)
            if path is not None and path.resolve().parent == entry.path.parent.resolve():
                found[f"/{_address(entry)}{name}"] = path
    return found


class Server(ThreadingHTTPServer):
    """Serves what a source has become; `refresh` looks at it again."""

    daemon_threads = True

    def __init__(self, source: Source, port: int) -> None:
        """Make the page and take the port; 0 takes a free one.

        Raises:
            ConfigError: If the port can't be had.
        """
        self.source, self.site = source, site(source)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            wrong = f"port {port} is taken by another program" if taken else f"port {port} can't be had"
            raise ConfigError(wrong, seen=error, fix="pass another one with --port; --port 0 takes one that is free") from None
        port = self.server_address[1]
        self.hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    def server_bind(self) -> None:
        """Take the port without asking a name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @property
    def url(self) -> str:
        """Return the page's address."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def refresh(self) -> bool:
        """Make the page anew if the source changed; return whether it did."""
        if _version(self.source) == self.site.version:
            return False
        self.site = site(self.source)
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a browser that went away go; anything else is a bug and says so."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "bench", ""
    timeout = 60

    def do_GET(self) -> None:
        """Send what is asked for."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Say what would be sent."""
        self._answer(body=False)

    def _refuse(self) -> None:
        """Refuse whatever isn't reading; what came with it is not read."""
        self.close_connection = True
        self._send(405, b"read-only: GET and HEAD\n", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815, the library's names

    def _answer(self, *, body: bool) -> None:
        found, address = self.server.site, self.path.partition("?")[0]
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._send(421, f"this server answers to {self.server.url} alone\n".encode(), body=body)
        elif address == "/":
            tag = {"ETag": f'"{found.version}"'}
            same = self.headers.get("If-None-Match") == tag["ETag"]
            self._send(304 if same else 200, b"" if same else found.page, tag, "text/html", body=body)
        elif address in found.files:
            self._send_file(found.files[address], body=body)
        elif address == "/favicon.ico":  # every browser asks for one
            self._send(204, b"")
        else:
            self._send(404, b"not of this report\n", body=body)

    def _send(
        self, status: int, text: bytes, more: Mapping[str, str] | None = None, kind: str = "text/plain", *, body: bool = True
    ) -> None:
        self._head(status, len(text), kind, more or {})
        if body:
            self.wfile.write(text)

    def _send_file(self, path: Path, *, body: bool) -> None:
        """Send a file as a picture or as text, never as a page: logs hold texts of strangers."""
        try:
            file = path.open("rb")
        except OSError:
            return self._send(404, b"no longer there\n", body=body)
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            kind = "image/png" if path.suffix == ".png" else "text/plain"
            self._head(200, size, kind, {"Content-Security-Policy": "default-src 'none'; sandbox"})
            if body:
                self._copy(file, size)
        return None

    def _copy(self, file: Any, size: int) -> None:
        """Send as many bytes as were promised: a log may grow meanwhile."""
        while size > 0 and (part := file.read(min(size, PART))):
            self.wfile.write(part)
            size -= len(part)
        self.close_connection |= size > 0  # it was cut meanwhile, as by a run that goes on: nothing else ends the answer

    def _head(self, status: int, size: int, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        charset = "" if kind.startswith("image") else "; charset=utf-8"
        about = {} if status in BARE else {"Content-Type": kind + charset, "Content-Length": str(size)}
        for name, text in {**about, **HEADERS, **more}.items():
            self.send_header(name, text)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the library's name
        """Stay silent: a page that looks every few seconds would fill the terminal."""


@contextmanager
def serving(source: Source, port: int) -> Iterator[Server]:
    """Serve within the block, in a thread of its own."""
    with Server(source, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def watch(server: Server, tell: Callable[[str], None], ended: threading.Event) -> None:
    """Look at the records until `ended` is set, and make the page anew when they change."""
    took = 0.0
    while not ended.wait(max(EVERY, SHARE * took)):
        began = time.monotonic()
        if server.refresh():
            tell(f"{time.strftime('%H:%M:%S')} new results: the page is made anew")
        took = time.monotonic() - began


def serve(source: Source, port: int, tell: Callable[[str], None]) -> None:
    """Serve a report until a signal comes.

    Raises:
        ConfigError: If the port can't be had.
        Stopped: When a signal comes; nothing was written that could be half done.
    """
    with serving(source, port) as server:
        tell(f"serving {server.url} to this machine alone; Ctrl-C ends it")
        watch(server, tell, threading.Event())

"""A web server of this process, for tests: ranges, validators, redirects, and connections that break where a test wants."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from transfer.sources.addresses import download


@dataclass
class Reply:
    """What is given for a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    """Bytes after which a connection breaks, one entry for each of the next connections."""
    stalls: int | None = None
    """Bytes after which nothing comes and the connection stays; None: all comes."""
    ranges: bool = True
    """Whether parts can be asked for."""
    tagged: bool = True
    """Whether an ETag tells its version."""


@dataclass
class Web:
    """The server, and what was asked of it."""

    address: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, range) of every request."""
    secrets: dict[str, str | None] = field(default_factory=dict)
    """Path → the token that came with the last request."""

    def give(self, path: str, body: bytes = b"", **how: object) -> str:
        """Serve bytes at a path; returns the address."""
        self.replies[path] = Reply(body, **how)  # type: ignore[arg-type]
        return self.address + path

    def ranges(self, path: str) -> list[str]:
        """The ranges that were asked for of a path; empty text: all of it."""
        return [span for asked, span in self.asked if asked == path]

    def model(self, name: str, files: dict[str, bytes], commit: str = "c" * 40, revision: str = "main") -> None:
        """Serve a model as the hub does; files of weights are LFS files with a SHA-256."""
        siblings = []
        for file, body in files.items():
            large = {"lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}} if "json" not in file else {}
            siblings.append({"rfilename": file, "size": len(body), **large})
            self.give(f"/{name}/resolve/{commit}/{file}", body)
        listing = json.dumps({"sha": commit, "siblings": siblings}).encode()
        for each in (revision, commit):
            self.give(f"/api/models/{name}/revision/{each}?blobs=true", listing)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server that is the hub, too; caches are empty, and nobody is logged in."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, web)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "")
    for name, value in {"ENDPOINT": web.address, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": False}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(download, "PAUSE", 0.0)
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, web: Web) -> None:
    span = request.headers.get("Range", "")
    web.asked.append((request.path, span))
    web.secrets[request.path] = request.headers.get("Authorization")
    reply = web.replies.get(request.path, Reply(b"not here", 404))
    body, status, headers = reply.body, reply.status, dict(reply.headers)
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers |= {"ETag": tag} if reply.tagged else {}
    start = re.fullmatch(r"bytes=(\d+)-", span)
    if reply.ranges and start and status == 200 and request.headers.get("If-Range", tag) == tag:
        first, size = int(start[1]), len(body)
        body, status = body[first:], 206 if first < size else 416
        headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}" if first < size else f"bytes */{size}"
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    stop = reply.breaks.pop(0) if reply.breaks else len(body)
    if reply.stalls is not None:
        request.wfile.write(body[: reply.stalls])
        request.wfile.flush()
        request.rfile.read(1)  # until the other side is gone
        return
    request.wfile.write(body[:stop])
    if stop < len(body):
        request.wfile.flush()
        request.close_connection = True

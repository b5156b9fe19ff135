"""Files of the web, against a server of this process: whole or not at all, and what broke off goes on where it stopped."""

import hashlib
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import CheckpointError, StorageError
from pretrain.core.journal import Journal
from transfer.sources.addresses import download, https
from transfer.sources.addresses import web as opening
from transfer.sources.addresses.download import Wanted

BODY = bytes(range(256)) * 4000
"""Larger than what sockets hold back."""
SHA256 = hashlib.sha256(BODY).hexdigest()


def fetch(address: str, told: list[str] | None = None) -> Path:
    """The file of an address."""
    journal = Journal(progress=lambda text, *_: None if told is None else told.append(text))
    return https.find(address, journal).path


def leftovers(path: Path) -> list[str]:
    """What lies in the folder of a file that was to be fetched."""
    return [each.name for each in path.parent.iterdir() if not each.name.endswith(".lock")] if path.parent.is_dir() else []


def test_a_file_is_fetched_once_and_then_found_without_asking(web: Any) -> None:
    address = web.give("/x.pth", BODY)
    located = https.find(address, Journal())
    assert located.path.read_bytes() == BODY
    assert located.path.name == "x.pth"
    assert leftovers(located.path) == ["x.pth"]
    again = https.find(address, Journal())
    assert (again.path, len(web.asked)) == (located.path, 1)
    assert again.origin is not None
    assert "in the cache since" in again.origin.how


def test_a_broken_connection_goes_on_where_it_stopped(web: Any) -> None:
    address = web.give("/x.pth", BODY, breaks=[300_000, 200_000])
    told: list[str] = []
    assert fetch(address, told).read_bytes() == BODY
    assert web.ranges("/x.pth") == ["", "bytes=300000-", "bytes=500000-"]
    assert "the connection broke at 0.3 MiB (it ended after 300000 of 1024000 bytes); it goes on" in told


def test_what_a_command_left_is_the_next_one_s_beginning(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TRIES", 1)
    address = web.give("/x.pth", BODY, breaks=[300_000, 0])
    with pytest.raises(CheckpointError, match=r"0\.3 MiB have come(.|\n)*goes on where it stopped"):
        fetch(address)
    path = https.Address.parsed(address).path
    assert not path.exists()
    assert fetch(address).read_bytes() == BODY
    assert web.ranges("/x.pth")[-1] == "bytes=300000-"
    assert leftovers(path) == ["x.pth"]


def part_of(address: str, body: bytes, validator: str, total: int) -> Path:
    """Leave what a killed command would have left."""
    path = https.Address.parsed(address).path
    path.parent.mkdir(parents=True)
    part = download._Part(path)
    part.begin(validator, total)
    part.file.write_bytes(body)
    return path


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changed_meanwhile_starts_again(web: Any, ranges: bool) -> None:
    address = web.give("/x.pth", BODY, ranges=ranges)
    part_of(address, b"another file's", '"its tag"', len(BODY))
    assert fetch(address).read_bytes() == BODY
    assert web.ranges("/x.pth")[-1] == ""


def test_a_part_whose_version_nothing_tells_is_not_continued(web: Any) -> None:
    address = web.give("/x.pth", BODY, tagged=False)
    part_of(address, b"another file's", "", len(BODY))
    assert fetch(address).read_bytes() == BODY
    assert web.ranges("/x.pth") == [""]


def test_a_range_of_another_version_is_not_appended(web: Any) -> None:
    """A server that gives ranges and ignores what they are of: its own tag tells."""
    address = web.give("/x.pth", BODY)
    tag = f'"{hashlib.sha256(BODY).hexdigest()[:16]}"'
    part_of(address, b"old" * 10, tag, len(BODY) + 7)
    assert fetch(address).read_bytes() == BODY


def test_a_part_that_is_whole_is_asked_for_by_its_last_byte(web: Any) -> None:
    address = web.give("/x.pth", BODY)
    part_of(address, BODY, f'"{hashlib.sha256(BODY).hexdigest()[:16]}"', len(BODY))
    assert fetch(address).read_bytes() == BODY
    assert web.ranges("/x.pth") == [f"bytes={len(BODY) - 1}-"]


def test_a_part_that_no_validator_told_from_another_file_is_fetched_anew(web: Any) -> None:
    address = web.give("/x.pth", BODY)
    part_of(address, b"?" * 1000, f'"{hashlib.sha256(BODY).hexdigest()[:16]}"', len(BODY))
    assert fetch(f"{address}#sha256={SHA256}").read_bytes() == BODY
    assert web.ranges("/x.pth") == ["bytes=1000-", ""]


@pytest.mark.parametrize("tail", ["/x.pth#sha256=" + "0" * 64, "/x-00000000.pth"])
def test_another_digest_is_refused_and_nothing_is_kept(web: Any, tail: str) -> None:
    web.give(tail.partition("#")[0], BODY)
    with pytest.raises(CheckpointError, match=rf"gave another file(.|\n)*sha256 {SHA256}(.|\n)*sha256 00000000"):
        fetch(web.address + tail)
    assert leftovers(https.Address.parsed(web.address + tail).path) == []


def test_the_digest_in_a_name_is_checked_a_date_is_none(web: Any) -> None:
    assert fetch(web.give(f"/x-{SHA256[:8]}.pth", BODY)).read_bytes() == BODY
    assert fetch(web.give("/x-20210831.pth", BODY)).read_bytes() == BODY


def test_what_the_cache_holds_is_fetched_anew_where_its_digest_is_not_the_one_that_is_told(web: Any) -> None:
    fetch(web.give("/x.pth", b"first version"))
    assert fetch(web.give("/x.pth", BODY) + f"#sha256={SHA256}").read_bytes() == BODY


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>log in</html>", "web page"),
        (b"", "empty"),
    ],
)
def test_what_is_given_in_the_file_s_place_is_named(web: Any, body: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"gave no checkpoint: (.|\n)*{words}"):
        fetch(web.give("/x.pth", body))
    assert leftovers(https.Address.parsed(f"{web.address}/x.pth").path) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "login"), (403, "access is refused"), (404, "no such file"), (429, "too many requests"), (503, "later")],
)
def test_a_server_s_refusal_is_one_message(web: Any, status: int, words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"can't fetch(.|\n)*{words}") as caught:
        fetch(web.give("/x.pth", b"no", status=status))
    assert f"HTTP {status}" in str(caught.value)
    assert len(web.asked) == 1


def test_a_redirect_is_followed_and_tells_no_secret(web: Any) -> None:
    other = web.address.replace("127.0.0.1", "localhost")
    web.give("/same", status=302, headers={"Location": "/x.pth"})
    web.give("/away", status=302, headers={"Location": f"{other}/y.pth"})
    for path in ("/x.pth", "/y.pth"):
        web.give(path, BODY)
    for path in ("/same", "/away"):
        with opening.opened(web.address + path, secret="secret") as answer:
            assert answer.read() == BODY
    assert (web.secrets["/x.pth"], web.secrets["/y.pth"]) == ("Bearer secret", None)


def test_a_redirect_is_not_followed_out_of_encryption() -> None:
    request = opening.urllib.request.Request("https://host/x.pth")
    with pytest.raises(CheckpointError, match="not encrypted"):
        opening._Redirects().redirect_request(request, None, 302, "", {}, "http://host/x.pth")


def test_a_silent_server_is_given_up(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FIRST_ANSWER", 0.2)
    monkeypatch.setattr(opening.urllib.request.OpenerDirector, "open", lambda *_, **__: time.sleep(3))
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="no connection: no answer in 0 s"):
        fetch(f"{web.address}/x.pth")
    assert time.monotonic() - began < 2


def test_an_address_may_have_spaces_and_accents(web: Any) -> None:
    web.give("/a%20b/caf%C3%A9.pth?v=1", BODY)
    path = fetch(f"{web.address}/a b/café.pth?v=1")
    assert (path.name, path.read_bytes()) == ("café.pth", BODY)


def test_the_environment_s_proxy_is_asked(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.address)
    monkeypatch.setenv("no_proxy", "")
    web.give("http://localhost:9/x.pth", BODY)
    assert fetch("http://localhost:9/x.pth").read_bytes() == BODY


def test_a_killed_command_s_part_is_continued(web: Any, tmp_path: Path) -> None:
    """The process dies in the middle of the answer, without a chance to tidy up."""
    address, path = web.give("/x.pth", BODY, stalls=600_000), tmp_path / "x.pth"
    other = multiprocessing.get_context("fork").Process(target=download.download, args=(Wanted(address, path), Journal()))
    other.start()
    part, until = path.with_name(".x.pth.part"), time.monotonic() + 20
    while time.monotonic() < until and not (part.is_file() and part.stat().st_size):
        time.sleep(0.02)
    other.kill()
    other.join()
    came = part.stat().st_size
    assert (path.exists(), 0 < came <= 600_000) == (False, True)
    web.replies["/x.pth"].stalls = None
    assert download.download(Wanted(address, path), Journal())
    assert path.read_bytes() == BODY
    assert web.ranges("/x.pth") == ["", f"bytes={came}-"]


def test_without_a_network_the_message_says_what_to_do(web: Any) -> None:
    with pytest.raises(CheckpointError, match=r"no connection: (.|\n)*refused(.|\n)*bring it here"):
        fetch("http://127.0.0.1:9/x.pth")


def test_a_full_disk_is_told_before_anything_is_fetched(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: download.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StorageError, match=r"too little disk(.|\n)*BENCH_CACHE"):
        fetch(web.give("/x.pth", BODY))


def _fetch_onto_a_small_disk(address: str, path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    with pytest.raises(StorageError, match=r"can't write(.|\n)*BENCH_CACHE"):
        download.download(Wanted(address, path), Journal())


def test_a_disk_that_fills_up_meanwhile_is_one_message(web: Any, tmp_path: Path) -> None:
    job = (web.give("/x.pth", BODY), tmp_path / "x.pth")
    child = multiprocessing.get_context("fork").Process(target=_fetch_onto_a_small_disk, args=job)
    child.start()
    child.join(20)
    assert (child.exitcode, web.ranges("/x.pth")) == (0, [""])


def test_a_cache_that_can_t_be_made_is_one_message(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="BENCH_CACHE"):
        fetch(web.give("/x.pth", BODY))


def _fetch_to(address: str, path: Path) -> None:
    assert not download.download(Wanted(address, path), Journal())


def test_of_two_processes_one_fetches_and_the_other_waits(web: Any, tmp_path: Path) -> None:
    address, path = web.give("/x.pth", BODY), tmp_path / "x.pth"
    with download._alone(path, Journal()):
        other = multiprocessing.get_context("fork").Process(target=_fetch_to, args=(address, path))
        other.start()
        time.sleep(0.3)
        assert (other.is_alive(), web.asked) == (True, [])
        path.write_bytes(BODY)
    other.join(20)
    assert (other.exitcode, web.asked) == (0, [])


def test_progress_is_told_in_mebibytes(web: Any) -> None:
    steps: list[tuple[str, int, int]] = []
    https.find(web.give("/x.pth", BODY * 3), Journal(progress=lambda stage, done, total, _: steps.append((stage, done, total))))
    assert steps[-1] == ("MiB of x.pth", 3, 3)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://host/x.pth", "not encrypted"),
        ("https://me:word@host/x.pth", "a name or a password"),
        ("https://host/x.pth#sha256=12", "of 2 digits"),
        ("https://host/x.pth#md5=12", "no digest"),
        ("https://host", "without a host or a file"),
        ("https://host:port/x.pth", "not an address"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        fetch(address)
    assert "word" not in str(caught.value).replace("password", "")

"""`bench report --serve`: a live server on a free port of this machine."""

import contextlib
import http.client
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.report import serving
from bench.report.serving import HOST, Server
from bench.report.serving import serving as served
from bench.report.sources import Folders
from bench.verbs.study_report import Cells
from pretrain.core.errors import ConfigError, RecordError

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, lay, write = (_shared[name] for name in ("made", "lay", "write"))
SECRET = "not of this report"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Client:
    """Asks a server as a browser of this machine would, unless told."""

    server: Server

    def ask(self, address="/", method="GET", **headers):
        port = self.server.server_address[1]
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(method, address, skip_host=True)
            for name, text in {"Host": f"{HOST}:{port}", **headers}.items():
                connection.putheader(name.replace("_", "-"), text)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read().decode("utf-8", "replace"))


@pytest.fixture
def runs(tmp_path):
    """Two runs, one with a log, a picture and a command; a secret beside the folder of runs."""
    first, _ = lay([made(), made(aug="cutmix")], tmp_path / "runs")
    first.with_name("log.txt").write_text("<script>alert(1)</script>\n", encoding="utf-8")
    first.with_name("predictions.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
    return tmp_path / "runs"


@pytest.fixture
def client(runs):
    with served(Folders([runs]), 0) as server:
        yield Client(server)


def _links(text):
    return re.findall(r'"link":"(runs/[0-9a-f]+/)"', text)


def test_the_page_is_served_with_its_version_and_a_browser_that_has_it_gets_none(client):
    answer = client.ask()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'"live":"{client.server.site.version}"' in answer.text
    again = client.ask(If_None_Match=answer.headers["ETag"])
    assert (again.status, again.text) == (304, "")
    head = client.ask(method="HEAD")
    assert (head.headers["ETag"], head.text) == (answer.headers["ETag"], "")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


def test_a_new_record_appears_while_the_server_looks(client, runs, monkeypatch):
    monkeypatch.setattr(serving, "EVERY", 0.05)
    before, ended, told = client.ask(), threading.Event(), []

    def tell(text):
        told.append(text)
        ended.set()

    looking = threading.Thread(target=serving.watch, args=(client.server, tell, ended), daemon=True)
    looking.start()
    (runs / "r02").mkdir()
    write(made(aug="mixup"), runs / "r02" / "result.json")
    looking.join(60)
    (said,) = told
    assert "the page is made anew" in said
    after = client.ask(If_None_Match=before.headers["ETag"])
    assert after.status == 200
    assert "mocov2 · mixup" in after.text
    assert "mocov2 · mixup" not in before.text
    assert not client.server.refresh()


def test_the_files_that_the_page_names_are_served_as_text_or_pictures_and_never_as_pages(client):
    first, second = _links(client.ask().text)
    log, picture = client.ask(f"/{first}log.txt"), client.ask(f"/{first}predictions.png")
    assert log.text == "<script>alert(1)</script>\n"
    assert log.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert log.headers["X-Content-Type-Options"] == "nosniff"
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")
    assert client.ask(f"/{second}result.json").status == 200
    assert client.ask(f"/{second}log.txt").status == 404
    assert client.ask(f"/{first}backbone.pth").status == 404


@pytest.mark.parametrize(
    "address",
    [
        "/../secret.txt",
        "/{run}../../secret.txt",
        "/{run}%2e%2e/%2e%2e/secret.txt",
        "/{run}..%2f..%2fsecret.txt",
        "//secret.txt",
        "/{outside}",
        "/{run}",
        "/runs/",
        "/{run}log.txt%00.png",
        "http://elsewhere/{run}log.txt",
        "{outside}",
        "*",
    ],
)
def test_an_address_that_the_page_does_not_name_leads_nowhere(client, runs, address):
    run, _ = _links(client.ask().text)
    answer = client.ask(address.format(run=run, outside=runs.parent / "secret.txt"))
    assert answer.status in (400, 404)
    assert answer.text != SECRET


def test_a_link_that_leads_out_of_a_runs_folder_is_not_followed(client, runs):
    (runs / "r01" / "command.txt").symlink_to(runs.parent / "secret.txt")
    client.server.site = serving.site(client.server.source)
    _, second = _links(client.ask().text)
    assert client.ask(f"/{second}command.txt").status == 404


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1", "127.0.0.1:1", "elsewhere.example:{port}", ""])
def test_a_page_of_elsewhere_whose_name_leads_here_is_refused(client, host):
    answer = client.ask(Host=host.format(port=client.server.server_address[1]))
    assert answer.status == 421
    assert "top1" not in answer.text


def test_a_name_of_this_machine_is_answered(client):
    assert client.ask(Host=f"LocalHost:{client.server.server_address[1]}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_but_reading_is_allowed(client, method):
    answer = client.ask(method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_it_listens_on_the_loopback_address_alone(client):
    assert client.server.socket.getsockname()[0] == "127.0.0.1"


def test_before_the_first_run_ends_the_page_says_so_and_fills_by_itself(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    with served(Folders.here([runs], {}), 0) as server:
        client = Client(server)
        answer = client.ask()
        assert answer.status == 200
        assert "no records in" in answer.text
        assert 'http-equiv="refresh"' in answer.text
        lay([made()], runs / "more")
        assert server.refresh()
        assert "top1" in client.ask().text


def test_a_broken_record_is_named_on_the_page_and_ends_nothing(client, runs):
    (runs / "r01" / "result.json").write_text("{", encoding="utf-8")
    assert client.server.refresh()
    assert "Left out: 1" in client.ask().text


def test_a_study_file_that_is_broken_while_it_is_edited_is_said_on_the_page_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("study.yaml")
    good = "study: s\nprecision: fp32\ndata: {imagefolder: none}\nevaluate: [{of: ['random:resnet18'], task: [knn]}]\n"
    file.write_text(good + "nonsense: 1\n")
    with pytest.raises(ConfigError, match="nonsense"):
        Cells.here(file, (), {})
    file.write_text(good)
    with served(Cells.here(file, (), {}), 0) as server:
        client = Client(server)
        assert "knn" in client.ask().text
        file.write_text(good + "nonsense: 1\n")
        assert server.refresh()
        assert "nonsense" in client.ask().text
        assert not server.refresh()
        file.write_text(good)
        assert server.refresh()
        assert "knn" in client.ask().text


def test_a_log_that_is_cut_while_it_is_sent_ends_the_answer(client, runs, monkeypatch):
    log = runs / "r00" / "log.txt"
    log.write_text("x" * 100)
    copy = serving._Handler._copy

    def cut(*words):
        log.write_text("x" * 10)
        copy(*words)

    monkeypatch.setattr(serving._Handler, "_copy", cut)
    with pytest.raises(http.client.IncompleteRead):
        client.ask(f"/{_links(client.ask().text)[0]}log.txt")


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(runs):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} is taken(.|\n)*--port 0"):
            Server(Folders([runs]), port)


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path):
    with pytest.raises(RecordError, match="no folder"):
        Folders.here([tmp_path / "rnus"], {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--serve", "--out", "there"], "--serve and --out"),
        (["--serve", "--json"], "--serve and --json"),
        (["--port", "80"], "--port belongs to --serve"),
    ],
)
def test_options_that_a_server_has_no_use_for_are_refused(typed, capsys, words, message):
    assert typed("report", *words) == 2
    assert message in capsys.readouterr().err


def test_the_command_prints_its_address_writes_nothing_and_ends_clean_at_ctrl_c(runs):
    line = [sys.executable, "-m", "bench", "report", "--runs", str(runs), "--serve", "--port", "0"]
    with subprocess.Popen(line, cwd=runs.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", first)
        with contextlib.closing(http.client.HTTPConnection(HOST, int(port), timeout=30)) as connection:
            connection.request("GET", "/")
            assert b"mocov2" in connection.getresponse().read()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (0, "ended\n", "")
    assert sorted(os.listdir(runs.parent)) == ["runs", "secret.txt"]


def test_a_served_page_loads_itself_anew_as_one_left_it(browser, client, runs):
    browser.open("about:blank")
    browser.console.clear()
    browser.open(client.server.url)
    browser.run("document.querySelector('#board thead button').click()")
    browser.run("((e) => { e.value = 'mocov2'; e.dispatchEvent(new Event('input')); })(document.querySelector('[name=words]'))")
    browser.run("window.old = true")
    (runs / "r02").mkdir()
    write(made(aug="mixup", metrics={"top1": 90.0}), runs / "r02" / "result.json")
    assert client.server.refresh()
    browser.wait("window.old === undefined && document.getElementById('count')?.textContent === '3 rows.'")
    names = browser.run("[...document.querySelectorAll('#board tbody th')].map((th) => th.firstChild.textContent)")
    assert names[0] == "mocov2 · mixup"
    assert browser.run("document.querySelector('[name=words]').value") == "mocov2"
    assert browser.console == []

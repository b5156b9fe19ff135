"""What the documentation says exists: its links lead somewhere, its commands are commands, its pages are in the contents."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bench.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("results/*.md"), *ROOT.glob("results/*/*.md")])
MADE = DOCS / "reference"
"""Pages that are made of the code when the site is built."""


def _ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if MADE in target.parents:
            continue
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_in_the_contents() -> None:
    blocks = re.findall(r"```\{toctree\}(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = {word for block in blocks for word in block.split() if not word.startswith(":")}
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= listed


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `bench` command in a page's blocks of code, comments aside."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("bench "):
                yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", [page for page in PAGES if "CHANGELOG" not in page.name], ids=_ids)
def test_every_command_has_the_options_that_it_is_given(page: Path) -> None:
    for words in _commands(page):
        command, rest = typer.main.get_command(app), words[1:]
        while rest and (below := getattr(command, "commands", {}).get(rest[0])):
            command, rest = below, rest[1:]
        assert getattr(command, "commands", None) is None or rest[:1] == ["--help"], " ".join(words)
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= known | {"--help"}, " ".join(words)


def test_the_readme_is_read_in_a_minute() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 110


@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="Sphinx is not installed: pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", tmp_path / "trees", "-b", "html", DOCS, tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "cutmix" in (tmp_path / "site" / "reference" / "tables.html").read_text()

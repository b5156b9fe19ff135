"""What lists look like on terminals of several widths, and where there is no terminal."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from bench import cli, output
from bench.cli import listing

Typed = Callable[..., int]
PLACES = [[name] for name in listing.LISTS] + [["tasks", "coco-c4"], ["methods", "mocov2"]]


def _words(text: str) -> str:
    """The letters of a text: where lines break is no part of what it says."""
    return re.sub(r"\s", "", text)


def _rows(words: list[str]) -> list[tuple[str, str]]:
    what, *names = words
    return [(each.name, each.about) for each in (listing.DETAILS[what](names[0]) if names else listing.LISTS[what]())]


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("words", PLACES, ids=" ".join)
def test_a_list_fits_the_terminal_and_leaves_nothing_out(
    words: list[str], width: int, typed: Typed, here: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal is
    monkeypatch.setenv("COLUMNS", str(width))
    assert typed("ls", *words) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert _words(shown) == _words("".join(name + text for name, text in _rows(words)) or "no runs yet")


@pytest.mark.parametrize("columns", ["20", "80", None])
def test_a_list_that_is_piped_is_a_whole_line_for_each_row_however_wide_the_terminal_is(columns: str | None) -> None:
    script = f"import os; os.environ['COLUMNS'] = {columns!r} or ''; from bench.cli import listing; listing.show('sources')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows = _rows(["sources"])
    widest = max(len(name) for name, _ in rows)
    assert done.stdout.splitlines() == [f"{name:<{widest}}  {text}" for name, text in rows]


def test_without_a_word_the_lists_are_listed(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [name for name in listing.LISTS if name != "lists"]
    assert all(len(line.split()) > 2 for line in lines), "each says what it is"


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*words, name))


@pytest.mark.parametrize("words", list(_commands(typer.main.get_command(cli.app))), ids=" ".join)
def test_help_fits_80_columns_and_leaves_nothing_out(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


def test_a_long_name_has_a_line_of_its_own_and_the_texts_stand_below_each_other() -> None:
    rows = [("a", "one two three four"), ("a-name-that-is-long", "five"), ("bc", "")]
    shown = [*output.definitions(rows, Console(width=16))]
    assert shown == ["a   one two", "    three four", "a-name-that-is-l", "ong", "    five", "bc"]


def test_names_in_wide_letters_are_as_wide_as_they_are_shown() -> None:
    assert [*output.definitions([("猫", "cat"), ("dog", "")], Console(width=40))] == ["猫   cat", "dog"]

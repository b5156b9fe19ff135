"""Groups of options: what typer sees of them, and what a command gets."""

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.fields import FieldOptions
from bench.cli.groups import Only, expanded

ADJUSTMENTS = FieldOptions("Adjust", {"bench/verbs/adjustments.py:Adjustments": ("iters", "lr_search")})


@dataclass(frozen=True)
class Kitchen:
    """Kitchen to cook in."""

    stove: Annotated[str, typer.Option(help="Kind of stove.")]
    pans: Annotated[int, typer.Option(help="Number of pans.")] = 3


@pytest.fixture
def got() -> list[tuple[Any, ...]]:
    """What the command below was given."""
    return []


@pytest.fixture
def app(got: list[tuple[Any, ...]]) -> typer.Typer:
    """An application of one command with a whole group, a part of one, fields of settings, and an option of its own."""

    def cook(
        kitchen: Kitchen,
        adjustments: Annotated[dict[str, Any], ADJUSTMENTS],
        salt: Annotated[float, typer.Option(help="Grams.")] = 1.0,
    ) -> None:
        """Cook."""
        got.append((kitchen, adjustments, salt))

    made = typer.Typer()
    made.command()(expanded(cook))
    return made


def test_a_command_gets_its_groups_filled_and_of_the_fields_those_that_were_given(
    app: typer.Typer, got: list[tuple[Any, ...]]
) -> None:
    for words in (["--stove", "gas"], ["--stove", "gas", "--pans", "5", "--iters", "7", "--lr-search", "--salt", "2"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert got == [(Kitchen("gas"), {}, 1.0), (Kitchen("gas", 5), {"iters": 7, "lr_search": True}, 2.0)]


def test_the_help_lists_every_option_under_its_group(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    assert all(words in shown for words in ("Kitchen to cook in", "Adjust", "Training iterations"))
    assert max(map(len, shown.splitlines())) <= 80


def test_an_option_that_a_group_needs_is_asked_for(app: typer.Typer, got: list[tuple[Any, ...]]) -> None:
    assert CliRunner().invoke(app, []).exit_code == 2
    assert got == []


def test_a_part_of_a_group_leaves_the_other_options_unknown_and_at_their_default(got: list[tuple[Any, ...]]) -> None:
    def boil(kitchen: Annotated[Kitchen, Only("stove")]) -> None:
        got.append((kitchen,))

    assert list(inspect.signature(expanded(boil)).parameters) == ["stove"]
    made = typer.Typer()
    made.command()(expanded(boil))
    assert CliRunner().invoke(made, ["--stove", "wood"]).exit_code == 0
    assert CliRunner().invoke(made, ["--stove", "wood", "--pans", "4"]).exit_code == 2
    assert got == [(Kitchen("wood", 3),)]

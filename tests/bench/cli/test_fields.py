"""Options that are fields of settings: what their help says and which type they have."""

import importlib
from pathlib import Path

import pytest

from bench.cli import fields, tables
from bench.cli.fields import FieldOptions, documented

TABLES = [table for table in vars(tables).values() if isinstance(table, FieldOptions)]
DECLARED = sorted({(source, name) for table in TABLES for source, names in table.fields.items() for name in names})


@pytest.mark.parametrize(("source", "name"), DECLARED)
def test_every_option_is_a_field_and_says_what_its_docstring_says(source: str, name: str) -> None:
    path, _, cls = source.partition(":")
    settings = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), cls)
    whole = " ".join(settings.model_fields[name].description.split())
    found = documented(source)[name].help.split(" One of: ")[0].replace("\\[", "[")
    assert whole.startswith(found)
    assert found.endswith(".")


def test_a_fields_type_values_and_first_sentence_are_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cake.py").write_text(
        '''
import what_is_not_installed

class Other:
    eggs: str
    """Not these."""

class Cake(Settings):
    """A cake."""

    eggs: int = Field(3, ge=0)
    """Eggs in [0, 12]. More
    of them make it yellow."""
    sugar: float | None = None
    """Grams of sugar."""
    icing: Literal["none", "lemon"] = "none"
    """What is on top."""
    vegan: bool = False
    """Whether it has no eggs."""
    silent: int = 0
'''
    )
    monkeypatch.setattr(fields, "ROOT", tmp_path)
    cake = FieldOptions("Cake", {"cake.py:Cake": ("eggs", "sugar", "icing", "vegan")}, lists={"icing": "icings"})
    options = {each.name: each for each in cake.parameters()}
    helps = {name: each.annotation.__metadata__[0].help for name, each in options.items()}
    assert helps == {
        "eggs": "Eggs in \\[0, 12].",
        "sugar": "Grams of sugar.",
        "icing": "What is on top. One of: none, lemon. `bench ls icings` lists them.",
        "vegan": "Whether it has no eggs.",
    }
    assert [each.annotation.__origin__ for each in options.values()] == [int | None, float | None, str | None, bool]
    assert "silent" not in documented("cake.py:Cake")
    assert cake.build({"eggs": 0, "sugar": None, "icing": "lemon", "vegan": False}) == {"eggs": 0, "icing": "lemon"}

"""The version and the shell's completions, which have to answer at once."""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import bench
from bench.cli import completion

HOME = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("listed", completion.TABLES)
def test_the_names_that_are_completed_are_those_of_the_table(listed: str) -> None:
    path, _, table = completion.TABLES[listed].partition(":")
    module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    assert completion.names(listed) == list(getattr(module, table))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bench tr", ["transfer"]),
        ("bench study pl", ["plan"]),
        ("bench transfer --task voc", ["voc07", "voc0712"]),
        ("bench pretrain --aug cut", ["cutout", "cutmix"]),
        ("bench convert --to mm", ["mmseg"]),
    ],
)
def test_the_shell_completes_commands_options_and_names_without_torch(words: str, said: list[str]) -> None:
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    script = (
        "import atexit, sys; sys.argv = ['bench']; atexit.register(lambda: print('torch' in sys.modules)); "
        "from bench import cli; cli.main()"
    )
    environment = {**os.environ, **asked}
    shown = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert shown.stdout.split() == [*said, "False"]


def test_help_loads_no_dependency_but_that_of_the_command_line() -> None:
    """That is what makes it quick: `import torch` alone takes longer than all of it."""
    script = "import bench.cli, sys; bench.cli.app(['--help'], standalone_mode=False); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--install-completion" in shown.stdout
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[^\w-]", each)[0].lower() for each in project["dependencies"]}
    assert {"torch", "typer"} <= named
    tops = {name.split(".")[0] for name in shown.stdout.splitlines()[-1].split()}
    of = importlib.metadata.packages_distributions()
    loaded = {distribution.lower() for top in tops for distribution in of.get(top, ())}
    assert loaded & named <= {"typer", "rich"}


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "bench/__init__.py"
    cited = yaml.safe_load((HOME / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["version"]) == bench.__version__

"""Class taxonomies out of a small hierarchy made by hand, and the study that needs them."""

import runpy
import sys
from pathlib import Path

import pytest

from bench.study import plan
from pretrain.core.errors import ConfigError
from pretrain.images.classes import read_map

STUDIES = Path(__file__).resolve().parents[3] / "studies"
MAKE = runpy.run_path(str(STUDIES / "taxonomies" / "make.py"))
IS_A = """
entity thing
entity idea
thing animal
thing artifact
animal dog
animal cat
dog pug
dog poodle
dog husky
cat tabby
cat siamese
artifact car
artifact toy
toy teddy
thing pet
pet cat
thing figure
figure lucky
lucky tabby
idea number
number seven
"""
CLASSES = ["pug", "poodle", "husky", "tabby", "siamese", "car", "teddy", "seven"]


@pytest.fixture
def parents(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "is_a.txt").write_text(IS_A, encoding="utf-8")
    found: dict[str, str] = MAKE["read_hierarchy"](tmp_path / "is_a.txt")
    return found


def groups(labels: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, label in labels.items():
        found.setdefault(label, set()).add(name)
    return found


def test_the_parent_nearest_to_the_root_counts_and_of_those_the_first(parents: dict[str, str]) -> None:
    assert MAKE["path_to"]("cat", parents) == ["cat", "animal", "thing", "entity"]  # not pet, which comes later
    assert MAKE["path_to"]("tabby", parents)[1] == "cat"  # as near as lucky, and listed before


def test_classes_merge_from_the_deepest_node_up_to_the_number_that_is_wanted(parents: dict[str, str]) -> None:
    cut = MAKE["cut"]
    dogs, cats = {"pug", "poodle", "husky"}, {"tabby", "siamese"}
    assert groups(cut(CLASSES, parents, 5)) == {"dog": dogs, "cat": cats, "car": {"car"}, "toy": {"teddy"}, "seven": {"seven"}}
    assert [len(groups(cut(CLASSES, parents, count))) for count in range(2, 9)] == list(range(2, 9))
    assert groups(cut(CLASSES, parents, 2))["thing"] == {*CLASSES} - {"seven"}
    assert cut(CLASSES, parents, 7)["pug"] == "pug"  # the three dogs at once would be one too many
    with pytest.raises(ConfigError, match="no taxonomy of 9"):
        cut(CLASSES, parents, 9)


def test_a_class_above_another_one_takes_it_in(parents: dict[str, str]) -> None:
    assert groups(MAKE["cut"](["dog", "pug", "seven"], parents, 2)) == {"dog": {"dog", "pug"}, "seven": {"seven"}}


def test_the_maps_are_written_and_a_study_plans_with_them_to_its_cells_and_says_without_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parents: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "data-and-arch.yaml"
    study.write_text((STUDIES / study.name).read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"5 problems(.|\n)*made by `python studies/taxonomies/make.py wordnet.is_a.txt"):
        plan.read(study)
    for name in CLASSES:
        (tmp_path / "images" / "train" / name).mkdir(parents=True)
    words = ["make.py", "is_a.txt", "images", "--counts", "2", "3", "4", "5", "--split", "artifact", "--out", "maps"]
    monkeypatch.setattr(sys, "argv", words)
    assert MAKE["main"]() == 0
    assert "maps/4.csv: 4 classes, of 1 to 3 of the 8" in capsys.readouterr().out
    assert groups(read_map(Path("maps/2-artifact.csv"))).keys() == {"artifact", "not-artifact"}
    named = {"2-imbalanced": "2-imbalanced", "10": "3", "79": "4", "127": "5", "2-artifact": "2-artifact"}
    Path("studies/taxonomies").mkdir(parents=True)
    for wanted, made in named.items():
        Path(f"maps/{made}.csv").rename(f"studies/taxonomies/{wanted}.csv")
    found = plan.read(study)
    assert (len(found.pretrainings), len(found.evaluations)) == (30, 162)


def test_what_is_not_in_the_hierarchy_and_what_is_no_hierarchy_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parents: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("classes.txt").write_text("pug\nunicorn\n", encoding="utf-8")
    Path("circle.txt").write_text("a b\nb a\n", encoding="utf-8")
    Path("three.txt").write_text("a b c\n", encoding="utf-8")
    for name, said in (("is_a.txt", "hierarchy: unicorn"), ("circle.txt", "no hierarchy in"), ("three.txt", "not a line")):
        monkeypatch.setattr(sys, "argv", ["make.py", name, "classes.txt", "--out", "maps"])
        assert MAKE["main"]() == 2
        assert said in capsys.readouterr().err

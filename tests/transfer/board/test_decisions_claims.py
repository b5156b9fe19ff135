"""Claims and predictions on a few simulated boards with fixed seeds: `tests/benchmarks/decisions_claims.py`, cut short."""

import runpy
import sys
from pathlib import Path

import pytest

_folder = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(_folder))
_simulations = runpy.run_path(str(_folder / "decisions_claims.py"))
sys.path.remove(str(_folder))
decided, predicting, Scene = (_simulations[name] for name in ("decided", "predicting", "Scene"))
PAPER, PROBES = _simulations["PAPER"], _simulations["PROBES"]
BOARDS = 60
MOST = 8
"""Wrong decisions of 60, of which each is wrong with at most 6 %: more have a probability below 2 %."""


@pytest.mark.parametrize(("pre", "trials", "ratio"), [(1, 5, 2.0), (2, 5, 1.0), (3, 1, 1.0)])
def test_where_nothing_differs_few_claims_are_decided(pre, trials, ratio):
    counts = decided(Scene.of(_simulations["supervised"](PAPER), pre, trials), BOARDS, ratio=ratio)
    for name, found in counts.items():
        wrong = found["contradicted"] + (found["supported"] if name != "labels" else 0)
        assert wrong <= (0 if pre == 1 else MOST), name


def test_labels_at_the_margin_are_rarely_said_to_change_nothing():
    counts = decided(Scene.of(_simulations["supervised"](PAPER), 3, 1), BOARDS, effects=_simulations["at_the_margin"])
    assert sum(counts["labels"].values()) - counts["labels"]["undecided"] <= MOST


def test_what_holds_by_three_spreads_is_found_and_what_conflicts_with_it_is_contradicted():
    counts = decided(Scene.of(_simulations["augmented"](PAPER), 5, 1), BOARDS, effects=_simulations["holding"](3, True))
    assert counts["masking"]["supported"] >= 0.9 * BOARDS
    assert counts["MixUp best"]["supported"] >= 0.9 * BOARDS
    assert counts["MixUp marginal"]["supported"] == 0


def test_augmentation_and_method_that_matter_alike_are_rarely_told_apart():
    pipeline = {"recipe.pipeline": "shared"}
    rows = [{"aug": f"a{a}", "method": f"m{m}", "settings": pipeline} for a in range(5) for m in range(3)]
    alike, apart = ({"effects": _simulations["of_levels"](*sizes), "ratio": 1.0} for sizes in ((2, 2), (16, 1)))
    name, scene = _simulations["NAMES"][4], Scene.of(rows, 3, 1)
    counts = decided(scene, BOARDS, **alike)[name]
    assert counts["supported"] + counts["contradicted"] <= MOST
    assert decided(scene, BOARDS, **apart)[name]["supported"] >= 0.7 * BOARDS


@pytest.mark.parametrize("place", range(12))
def test_where_nothing_predicts_few_boards_say_that_something_does(place):
    _, rows, field = list(_simulations["clustered_scenes"]())[place]
    some, _ = predicting(Scene.of(rows, 1, 1, PROBES), BOARDS, effects=_simulations["moved_by"](field))
    assert some <= MOST


def test_what_predicts_is_found_among_thirty_backbones():
    rows = _simulations["augmented"]([f"a{a:02d}" for a in range(30)])
    some, _ = predicting(Scene.of(rows, 1, 1, PROBES), 20, effects=_simulations["related"])
    assert some >= 16

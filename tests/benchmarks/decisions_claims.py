"""Simulate leaderboards, and count the claims that are decided and the measures that predict.

    python tests/benchmarks/decisions_claims.py [BOARDS]      # 2,000 boards of each kind: about half an hour

Only the numbers are drawn: records, board, claims and predictions are the project's own functions. Nothing differs between the
rows of a null board; what is decided there is wrong. Prints Markdown tables, in percent of boards.
"""

import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from simulated_boards import COSINE, MEASURES, SPREAD, Effect, Effects, Scene

from transfer.board.claims import claims
from transfer.board.factors import explained
from transfer.board.leaderboard import RowKey
from transfer.board.prediction import predictions

PAPER = ("none", "random-erasing", "cutout", "cutmix", "mixup")
SIZES = {2: ("none", "cutout"), 5: PAPER, 8: (*PAPER, "gridmask", "hide", "paste")}
SUPERVISIONS: tuple[dict[str, Any], ...] = (
    {"supervision": "self", "label_fraction": 0.0},
    {"supervision": "semi", "label_fraction": 0.5},
    {"supervision": "full", "label_fraction": 1.0},
)
PROBES = ("linear", "knn", "linear-cached")
NAMES = ("masking", "labels", "MixUp best", "MixUp marginal", "augmentation > method")
MARGIN = 0.02
"""Cosine that counts as no change."""
FAR = 4
"""Spreads by which clusters of rows differ."""


def decided(scene: Scene, boards: int, seed: int = 0, **how: Any) -> dict[str, Counter[str]]:
    """Count the verdicts of every claim."""
    rng, counts = np.random.default_rng(seed), {name: Counter[str]() for name in NAMES}
    for _ in range(boards):
        board = scene.draw(rng, **how)
        for name, claim in zip(NAMES, claims(board, explained(board)), strict=False):
            counts[name][claim.verdict] += 1
    return counts


def predicting(scene: Scene, boards: int, seed: int = 0, **how: Any) -> tuple[int, int]:
    """Count the boards on which any measure predicts, and the pairs that do."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(boards):
        found.append(sum(one.verdict == "predicts" for one in predictions(scene.draw(rng, **how))))
    return sum(map(bool, found)), sum(found)


def augmented(augs: Sequence[str]) -> list[dict[str, Any]]:
    """List the rows of some augmentations."""
    return [{"aug": aug} for aug in augs]


def supervised(augs: Sequence[str]) -> list[dict[str, Any]]:
    """List the rows of some augmentations under three supervisions."""
    return [row | supervision for supervision in SUPERVISIONS for row in augmented(augs)]


def null_scenes() -> Iterator[tuple[str, Scene, dict[str, Any]]]:
    """Lay out boards in which nothing differs: what they are, their scene, and how numbers are drawn."""
    for pre, trials in ((1, 1), (1, 5), (2, 5), (3, 1), (3, 3), (5, 5)):
        scene = Scene.of(supervised(PAPER), pre, trials)
        for ratio in (0.0, 1.0, 2.0) if trials > 1 else (1.0,):
            yield f"{pre} × {trials}, sp/st {ratio:g}, 3 supervisions", scene, {"ratio": ratio}
    for paired in (True, False):
        for size, augs in SIZES.items():
            yield f"3 × 1, {size} rows, {_seeds(paired)}", Scene.of(augmented(augs), 3, 1, paired=paired), {}
        scene = Scene.of(augmented(PAPER), 3, 1, paired=paired)
        for wide in ("none", "mixup", "cutout"):
            yield f"3 × 1, 5 rows, {_seeds(paired)}, {wide} of 3 times the variance", scene, {"wide": wide}
    yield "3 × 1, 5 rows, 3 protocols of top-1", Scene.of(augmented(PAPER), 3, 1, PROBES), {}
    yield "3 × 1, 3 supervisions, labels at the margin", Scene.of(supervised(PAPER), 3, 1), {"effects": at_the_margin}


def _seeds(paired: bool) -> str:
    return "the same seeds" if paired else "other seeds"


def at_the_margin(rng: np.random.Generator) -> Effect:
    """Move what uses labels to the margin of what counts as no change."""
    return lambda key, name: MARGIN / COSINE if key.supervision != "self" and name in MEASURES else 0.0


def true_scenes() -> Iterator[tuple[str, Scene, dict[str, Any]]]:
    """Lay out boards on which claims hold, by some spreads of one pre-training with one fine-tuning."""
    for pre, size in itertools.product((3, 5), (1, 2, 3)):
        scene = Scene.of(augmented(PAPER), pre, 1)
        for name, best in (("summary", True), ("abstract", False)):
            yield (
                f"{pre} × 1, as the {name} says, by {size} spread{'s' if size > 1 else ''}",
                scene,
                {"effects": holding(size, best)},
            )
    yield "5 × 1, 3 supervisions, labels change nothing", Scene.of(supervised(PAPER), 5, 1), {}


def holding(size: float, best: bool) -> Effects:
    """Let masking and MixUp do what the summary (`best`) or the abstract says, by that many spreads."""
    by = size * SPREAD * 2**0.5
    mixup = {"Linv": by if best else -MARGIN / COSINE / 2, "Ldiv": -by, "top1": by}

    def effect(key: RowKey, name: str) -> float:
        if key.aug in ("cutout", "random-erasing"):
            return -by if name in MEASURES else 0.0
        return mixup[name] if key.aug == "mixup" else 0.0

    return lambda rng: effect


def crossed_scenes() -> Iterator[tuple[str, Scene, dict[str, Any]]]:
    """Lay out augmentations crossed with methods; effects are normal over levels, by some spreads of a pre-training."""
    pipeline = {"recipe.pipeline": "shared"}
    for (augs, methods), (pre, trials) in itertools.product(((3, 3), (5, 3), (5, 5), (3, 8)), ((3, 1), (2, 5))):
        rows = [{"aug": f"a{a}", "method": f"m{m}", "settings": pipeline} for a in range(augs) for m in range(methods)]
        scene = Scene.of(rows, pre, trials)
        for aug, method in ((0, 0), (0.5, 0.5), (2, 2), (4, 1), (8, 1), (1, 8)) if trials == 1 else ((0, 0),):
            what = f"{augs} × {methods}, {pre} × {trials}: {aug:g} and {method:g} spreads"
            yield what, scene, {"effects": of_levels(aug, method), "ratio": 1.0}


def of_levels(aug: float, method: float) -> Effects:
    """Draw an effect for every augmentation and every method, of so many spreads."""

    def drawn(rng: np.random.Generator) -> Effect:
        a, m = rng.normal(0, aug * SPREAD, 10), rng.normal(0, method * SPREAD, 10)
        return lambda key, name: float(a[int(key.aug[1:])] + m[int(key.method[1:])])

    return drawn


def clustered_scenes() -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """List boards on which nothing predicts: what they are, their rows, and the field that moves all metrics."""
    augs = [f"a{a:02d}" for a in range(15)]
    for n in (8, 15):
        yield f"{n} augmentations", augmented(augs[:n]), ""
    for field, groups, each in (("arch", 2, 5), ("arch", 3, 5), ("arch", 2, 15), ("method", 2, 5), ("method", 3, 5)):
        rows = [{"aug": aug, field: f"{field}{group}"} for group in range(groups) for aug in augs[:each]]
        yield f"{groups} of {field} with {each} rows each, which differ by {FAR} spreads", rows, field
    for each, groups in ((5, 6), (8, 3)):
        rows = [{"aug": aug, "arch": f"arch{group}"} for group in range(groups) for aug in augs[:each]]
        yield f"{groups} of arch with the same {each} augmentations, which differ by {FAR} spreads", rows, "aug"
    for runs, kept in ((8, 10), (1, 20)):
        rows = [{"aug": aug, "epochs": 10 * epoch} for aug in augs[:runs] for epoch in range(1, kept + 1)]
        yield f"{kept} kept backbones of {runs} run{'s' if runs > 1 else ''}, which move with training", rows, "epochs"
    rows = [{"aug": aug, "seed": None, "sha256": f"{aug}{file:012d}"} for aug in augs[:3] for file in range(5)]
    yield f"5 files of unknown seed of 3 pre-trainings, which differ by {FAR} spreads", rows, "aug"


def moved_by(field: str) -> Effects:
    """Shift each level of a field by so many spreads, each metric by a shift of its own."""

    def drawn(rng: np.random.Generator) -> Effect:
        shifts: dict[tuple[str, str], float] = {}

        def effect(key: RowKey, name: str) -> float:
            size = float(key.epochs or 0) / 50 if field == "epochs" else 1.0
            level = "" if field == "epochs" else str(getattr(key, field, ""))
            return SPREAD * FAR * size * shifts.setdefault((level, name), float(rng.normal())) if field else 0.0

        return effect

    return drawn


def related(rng: np.random.Generator) -> Effect:
    """Give each row a quality of two spreads that Linv and top-1 share, so that they correlate by about 0.7."""
    quality: dict[RowKey, float] = {}
    return lambda key, name: 0.0 if name == "Ldiv" else 2 * SPREAD * quality.setdefault(key, float(rng.normal()))


def main() -> None:
    """Print the tables."""
    boards = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for title, scenes in (("nothing differs", null_scenes()), ("the claims hold", true_scenes())):
        print(f"\n| {title} | {' | '.join(NAMES[:4])} |\n| :-- |{' --: |' * 4}", flush=True)
        for what, scene, how in scenes:
            counts = decided(scene, boards, **how)
            print(f"| {what} | {' | '.join(_percent(counts[name], boards) for name in NAMES[:4])} |", flush=True)
    print(f"\n| augmentations × methods, pre-trainings × trials: effects | {NAMES[4]} |\n| :-- | --: |", flush=True)
    for what, scene, how in crossed_scenes():
        print(f"| {what} | {_percent(decided(scene, boards, **how)[NAMES[4]], boards)} |", flush=True)
    print("\n| nothing predicts | boards with any | pairs a board |\n| :-- | --: | --: |", flush=True)
    for what, rows, field in clustered_scenes():
        print(_predicts(what, rows, boards, moved_by(field)), flush=True)
    print("\n| Linv and top-1 share a quality | boards with any | pairs a board |\n| :-- | --: | --: |", flush=True)
    for n in (8, 10, 15, 30):
        print(_predicts(f"{n} augmentations", augmented([f"a{a:02d}" for a in range(n)]), boards, related), flush=True)


def _percent(counts: Counter[str], boards: int) -> str:
    return " / ".join(f"{100 * counts[verdict] / boards:.1f}" for verdict in ("supported", "contradicted"))


def _predicts(what: str, rows: Sequence[dict[str, Any]], boards: int, effects: Effects) -> str:
    some, pairs = predicting(Scene.of(rows, 1, 1, PROBES), boards, effects=effects)
    return f"| {what} | {100 * some / boards:.1f} | {pairs / boards:.2f} |"


if __name__ == "__main__":
    main()

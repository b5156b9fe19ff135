"""Test what the source papers claim on the runs at hand: supported, contradicted or undecided.

Claims on Linv, Ldiv and accuracy are from arXiv:2310.18850; the one on augmentation and algorithm is from
arXiv:2403.05726 and in `transfer.board.factors`. A unit of evidence is one contrast within runs that have everything in
common but the factor in question, seeds included; so units are paired, and each control run counts once.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pretrain.augment import AUGMENTATIONS
from transfer.board.comparison import interval
from transfer.board.leaderboard import Leaderboard, RowKey

Verdict = Literal["supported", "contradicted", "undecided"]
Contrast = Callable[[Mapping[str, float]], float | None]

MASKS = tuple(name for name, listed in AUGMENTATIONS.items() if listed.kind == "mask")
"""Augmentations that mask regions."""
LABELLED = ("semi", "full")
"""Supervisions that use labels."""
MEASURES = ("Linv", "Ldiv")
"""The measures of the representation that the claims are about."""
MARGIN = 0.02
"""Cosine; a difference this small counts as no change. A hundredth of a cosine's range."""


@dataclass(frozen=True)
class Evidence:
    """One contrast under one column."""

    what: str
    """What minus what."""
    column: int
    """Index of the column."""
    expected: str
    """What the claim says of it."""
    mean: float
    half: float | None
    """Half the width of the 95 % interval over units; None for one unit."""
    units: int
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """A claim and the evidence on it."""

    text: str
    source: str
    needs: str
    """What runs would have to be there to test it."""
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """Call it supported by all the evidence there is for all its parts, contradicted by any, or undecided."""
        verdicts = {evidence.verdict for evidence in self.evidence}
        if "contradicted" in verdicts:
            return "contradicted"
        return "supported" if verdicts == {"supported"} else "undecided"


def claims(board: Leaderboard) -> tuple[Claim, ...]:
    """Test the three claims of arXiv:2310.18850."""
    return (_masking(board), _labels(board), _mixup(board))


def _masking(board: Leaderboard) -> Claim:
    def masked(values: Mapping[str, float]) -> float | None:
        return _minus(_mean([values[name] for name in MASKS if name in values]), values.get("none"))

    what = "masked − unmasked"
    evidence = [_signed(board, column, what, _aug, masked, -1) for name in MEASURES for column in _columns(board, name)]
    return Claim(
        "Masking regions lowers invariance and raises diversity.",
        "arXiv:2310.18850",
        f"the same pre-training with {' or '.join(MASKS)} and with none, measured",
        _found(evidence),
    )


def _labels(board: Leaderboard) -> Claim:
    def labelled(values: Mapping[str, float]) -> float | None:
        return _minus(_mean([values[name] for name in LABELLED if name in values]), values.get("self"))

    evidence = []
    for column in (column for name in MEASURES for column in _columns(board, name)):
        mean, half, units = _over_units(board, column, _supervision, labelled)
        verdict = _equivalent(mean, half)
        evidence.append(Evidence("with labels − without", column, f"within ±{MARGIN:g}", mean, half, units, verdict))
    return Claim(
        "Labels change neither invariance nor diversity.",
        "arXiv:2310.18850",
        "the same pre-training under self and under semi or full supervision, measured",
        _found(evidence),
    )


def _mixup(board: Leaderboard) -> Claim:
    def rivals(control: bool) -> Contrast:
        def ahead(values: Mapping[str, float]) -> float | None:
            others = [value for name, value in values.items() if name != "mixup" and (control or name != "none")]
            return _minus(values.get("mixup"), max(others, default=None))

        return ahead

    def added(values: Mapping[str, float]) -> float | None:
        return _minus(values.get("mixup"), values.get("none"))

    parts: list[tuple[str, str, Contrast, int]] = [
        ("Linv", "MixUp − the best other augmentation", rivals(False), 1),
        ("Ldiv", "MixUp − none", added, -1),
        ("top1", "MixUp − the best other", rivals(True), 1),
    ]
    evidence = [
        _signed(board, column, what, _aug, of, sign) for name, what, of, sign in parts for column in _columns(board, name)
    ]
    return Claim(
        "MixUp keeps the most invariance of the augmentations, adds diversity, and reaches the highest top-1.",
        "arXiv:2310.18850",
        "the same pre-training with mixup, with other augmentations and with none, measured and probed",
        _found(evidence),
    )


def _columns(board: Leaderboard, name: str) -> list[int]:
    """List the columns of a metric by index; Linv and Ldiv are those of the representation under no probe."""
    columns = [column for column in board.columns if column.name == name]
    return [column.index for column in columns if name not in MEASURES or column.of_base_representation]


def _signed(
    board: Leaderboard, column: int, what: str, name: Callable[[RowKey], str], contrast: Contrast, sign: int
) -> Evidence:
    """Judge a claim that a difference is above zero (`sign` 1) or below it (−1)."""
    mean, half, units = _over_units(board, column, name, contrast)
    clear = half is not None and abs(mean) > half
    verdict: Verdict = "undecided" if not clear else "supported" if mean * sign > 0 else "contradicted"
    return Evidence(what, column, "above 0" if sign > 0 else "below 0", mean, half, units, verdict)


def _equivalent(mean: float, half: float | None) -> Verdict:
    """Judge a claim of no change: supported where the whole interval lies within the margin, contradicted where none does."""
    if half is None:
        return "undecided"
    if abs(mean) + half <= MARGIN:
        return "supported"
    return "contradicted" if abs(mean) - half > MARGIN else "undecided"


def _over_units(
    board: Leaderboard, column: int, name: Callable[[RowKey], str], contrast: Contrast
) -> tuple[float, float | None, int]:
    """Return mean, half interval and number of a contrast over groups of runs that differ in the named factor alone."""
    groups: dict[tuple[object, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row_index, row in enumerate(board.rows):
        if not row.baseline:
            for seeds, value in board.samples.get((row_index, column), {}).items():
                groups[(*_apart_from(row.key, name), *seeds)][name(row.key)].append(value)
    means = [{key: sum(values) / len(values) for key, values in group.items()} for group in groups.values()]
    units = [found for found in map(contrast, means) if found is not None]
    return (*interval(units), len(units)) if units else (0.0, None, 0)


def _aug(key: RowKey) -> str:
    return key.aug


def _supervision(key: RowKey) -> str:
    return key.supervision


def _apart_from(key: RowKey, name: Callable[[RowKey], str]) -> tuple[object, ...]:
    """Return what the rows of one group have in common; hidden settings may hold the factor's own."""
    labels = (key.supervision, key.label_fraction) if name is _aug else (key.aug,)
    return (key.method, *labels, key.arch, key.data, key.epochs, key.data_fingerprint)


def _found(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    return tuple(found for found in evidence if found.units)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b

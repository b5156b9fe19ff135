"""Test the claims of arXiv:2310.18850, Exploring Data Augmentations on Self-/Semi-/Fully-Supervised Pre-trained Models.

Of the paper only the abstract is public in a form that could be read; a summary of it says other things in places. Where the
two differ, both are claims.
"""

import json

from pretrain.augment import AUGMENTATIONS, JOIN
from transfer.board.cells import Place
from transfer.board.claims.blocks import LABEL_MODE, Line, Numbers, but_augmentation, but_labels
from transfer.board.claims.judge import ABOVE, BELOW, Claim, Evidence, Expected, judged
from transfer.board.controls import CONTROL
from transfer.board.leaderboard import RowKey

ABSTRACT = "arXiv:2310.18850, abstract"
SUMMARY = "arXiv:2310.18850, as summarised"
MASKS = tuple(name for name, listed in AUGMENTATIONS.items() if listed.kind == "mask")
"""Augmentations that mask regions."""
LABELLED = ("semi", "full")
"""Supervisions that use labels."""
MIXUP = "mixup"
RIVALS = (CONTROL, "random-erasing", "cutout", "cutmix")
"""What the paper compares MixUp with; other augmentations that were run are rivals too."""
ONE_QUANTITY = (
    "Linv and Ldiv are partly one quantity: of M unit vectors, Ldiv is at least (M·Linv² − 1) / (M − 1), so that invariance "
    "caps diversity, and both parts together are less than two pieces of evidence."
)
CONFLICT = (
    "The summary's “best invariance” and the abstract's “marginal decrease in the invariance” conflict where no augmentation "
    "is among the rivals: at most one of them can be supported."
)


def claims(numbers: Numbers) -> tuple[Claim, ...]:
    """Test what the abstract and the summary say of masking, labels and MixUp."""
    return (masking(numbers), labels(numbers), best(numbers), marginal(numbers))


def masking(numbers: Numbers) -> Claim:
    """Test each masking augmentation against none."""
    lines = []
    for block in numbers.blocks(but_augmentation):
        keys = {row: numbers.board.rows[row].key for row in block}
        plain = [row for row in block if keys[row].aug == CONTROL]
        masked = [row for row in block if keys[row].aug in MASKS]
        lines += [
            Line(row, control, block, f"{_named(keys[row])} − none", BELOW, control) for row in masked for control in plain
        ]
    parts = [(name, "masked − none", lines) for name in ("Linv", "Ldiv")]
    needs = f"the same pre-training with {' or '.join(MASKS)} and with none, measured"
    return _claim(numbers, "Masking regions lowers invariance and raises diversity.", ABSTRACT, parts, needs, ONE_QUANTITY)


def labels(numbers: Numbers) -> Claim:
    """Test each use of labels against none: a change smaller than is of interest counts as none."""
    pairs = []
    for block in numbers.blocks(but_labels):
        keys = {row: numbers.board.rows[row].key for row in block}
        without = [row for row in block if keys[row].supervision == "self"]
        labelled = [row for row in block if keys[row].supervision in LABELLED]
        pairs += [(row, control, block, f"{_use(keys[row])} − self") for row in labelled for control in without]
    parts = []
    for name in ("Linv", "Ldiv"):
        margin = numbers.interest(name)
        no_change = Expected(f"within ±{margin:g}", low=-margin, high=margin)
        parts.append((name, "with labels − without", [Line(*pair, no_change, pair[1]) for pair in pairs]))
    needs = "the same pre-training under self and under semi or full supervision, measured"
    return _claim(numbers, "Labels change neither invariance nor diversity.", ABSTRACT, parts, needs, ONE_QUANTITY)


def best(numbers: Numbers) -> Claim:
    """Test MixUp against each rival by itself: the best is above every other, and no maximum is ever taken."""
    against: dict[str, list[Line]] = {name: [] for name in RIVALS}
    for block in numbers.blocks(but_augmentation):
        keys = {row: numbers.board.rows[row].key for row in block}
        for rival in (row for row in block if MIXUP not in keys[row].aug.split(JOIN)):
            lines = against.setdefault(keys[rival].aug, [])
            lines += [Line(row, rival, block, f"MixUp − {_named(keys[rival])}", ABOVE, row) for row in _mixup(keys)]
    parts = [(name, f"MixUp − {rival}", lines) for name in ("Linv", "top1") for rival, lines in against.items()]
    needs = "the same pre-training with both, measured and probed"
    text = "MixUp has the best invariance and the highest top-1."
    return _claim(numbers, text, SUMMARY, parts, needs, CONFLICT)


def marginal(numbers: Numbers) -> Claim:
    """Test MixUp against none: more diversity, and a decrease of invariance that is smaller than is of interest."""
    pairs = []
    for block in numbers.blocks(but_augmentation):
        keys = {row: numbers.board.rows[row].key for row in block}
        pairs += [(row, control, block) for row in _mixup(keys) for control in block if keys[control].aug == CONTROL]
    margin = numbers.interest("Linv")
    expected = {"Ldiv": BELOW, "Linv": Expected(f"below 0, by less than {margin:g}", low=-margin, high=0.0)}
    parts = [
        (name, "MixUp − none", [Line(row, control, block, "MixUp − none", of, control) for row, control, block in pairs])
        for name, of in expected.items()
    ]
    text = "MixUp improves diversity, with only a marginal decrease in invariance."
    needs = "the same pre-training with mixup and with none, measured"
    return _claim(numbers, text, ABSTRACT, parts, needs, f"{CONFLICT} {ONE_QUANTITY}")


def _claim(numbers: Numbers, text: str, source: str, parts: list[tuple[str, str, list[Line]]], needs: str, note: str) -> Claim:
    """Gather the lines of every part, name the parts without one, and judge all lines together.

    Args:
        numbers: The units.
        text: The claim.
        source: Whose.
        parts: Metric, what is compared, and the lines.
        needs: What would be evidence.
        note: What a reader of the verdict must know.
    """
    lines: list[Evidence] = []
    absent: dict[str, list[str]] = {}
    places: set[Place] = set()
    for name, what, of_part in parts:
        found = numbers.evidence(name, of_part)
        lines += found
        places |= numbers.places(name, of_part)
        if not found:
            absent.setdefault(name, []).append(what)
    missing = "; ".join(f"{name}, {', '.join(parts_of)}" for name, parts_of in absent.items())
    absence = (f"no evidence: {missing}; needs {needs}",) if absent else ()
    return Claim(text, source, judged(lines), absence, note, places=frozenset(places))


def _mixup(keys: dict[int, RowKey]) -> list[int]:
    """List the rows with MixUp: those with its own settings as published, where there are any."""
    rows = [row for row, key in keys.items() if key.aug == MIXUP]
    return [row for row in rows if keys[row].augmentation == "{}"] or rows


def _named(key: RowKey) -> str:
    """Name an augmentation with its own settings."""
    own = json.loads(key.augmentation)
    return f"{key.aug} ({', '.join(f'{name} {value}' for name, value in own.items())})" if own else key.aug


def _use(key: RowKey) -> str:
    """Name a use of labels: the supervision, the fraction and the mode."""
    fraction = f" {100 * key.label_fraction:g} %" if key.supervision == "semi" and key.label_fraction is not None else ""
    mode = json.loads(key.changed).get(LABEL_MODE)
    return f"{key.supervision}{fraction}{f' ({mode})' if mode else ''}"

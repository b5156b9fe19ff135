"""The findings in words: differences, claims, what predicts transfer, what it cost."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.report import words
from bench.report.content import Content
from transfer.board import factors
from transfer.board.claims import Claim, Evidence
from transfer.board.columns import ProtocolKey, protocol_key
from transfer.board.comparison import Difference
from transfer.board.cost import Cost, mean, total
from transfer.board.factors import Explained
from transfer.board.prediction import FEW, Estimate, Prediction
from transfer.board.published import PublishedCell
from transfer.record import RunRecord

QUESTION = "Does the representation predict transfer?"
CLAIMS = "What the papers claim, and what these runs say"
CLAIMS_READ = (
    "Differences are means ± half the 95 % interval over units: runs that share everything but what is compared, seeds "
    "included. Shares of variance are what a factor alone explains in an additive model of all runs."
)
CLAIM_HEADINGS = ("claim", "evidence in these runs", "verdict")
PREDICTION_HEADINGS = ("measure", "metric", "backbones", "Spearman", "Kendall", "verdict")
COST = "What it cost"
COST_HEADINGS = (
    "pre-training",
    *("wall h", "device h", "images / s", "peak MiB"),
    *("transfers, runs", "transfers, wall h", "transfers, device h", "transfers, peak MiB"),
)  # fmt: skip
PROTOCOL_COST_HEADINGS = ("protocol", "runs", "wall h of a run", "device h of a run", "images / s", "peak MiB")
MARKS = {"within noise": "≈", "unknown": "?"}
NAMED = {"Linv": "more invariant", "Ldiv": "less diverse"}
"""The measures the sources ask about, and what more of them is."""
COPIES = ("diversity", "alignment")
"""Ldiv over again: 1 − Ldiv and 2 − 2 Ldiv."""


def mark(difference: Difference | None) -> str:
    """`▲` or `▼` for a significant difference to the baseline row, `≈` within noise, `?` unknown; empty without baseline."""
    if difference is None:
        return ""
    return MARKS.get(difference.verdict) or ("▲" if difference.mean > 0 else "▼")


def difference(found: Difference | None, digits: int, labels: Sequence[str]) -> str:
    """A difference in a sentence, with the name of the baseline's row; empty without a baseline."""
    if found is None:
        return ""
    change, against = words.signed(found.mean, digits), labels[found.baseline]
    if found.half is None:
        return f"{change} against {against}: unknown, one pair of runs and no published noise"
    low, high = found.mean - found.half, found.mean + found.half
    how = f"paired over {found.pairs} seeds" if found.prior is None else f"published noise {found.prior:g}"
    between = f"95 % interval {words.signed(low, digits)} to {words.signed(high, digits)}"
    return f"{change} against {against}: {found.verdict} ({between}, {how})"


def sentence(content: Content) -> list[str]:
    """The plain answer to `QUESTION`, a few sentences."""
    found = content.predictions
    if not found:
        return ["These runs can't say: no trained backbone was both measured and transferred."]
    most = max(len(one.rows) for one in found)
    if most < FEW:
        backbones = f"{most} trained backbone{'s were' if most != 1 else ' was'}"
        return [f"These runs can't say: {backbones} both measured and transferred, and {FEW} are needed."]
    lines = [_measure(content, name) for name in NAMED]
    names = content.board.columns
    whole = [one for one in found if len(one.rows) >= FEW]
    enough = [one for one in whole if names[one.measure].name not in COPIES]
    certain = sum(one.verdict == "predicts" for one in enough)
    expected = 0.05 * len(enough)
    chance = f"about {expected:.1f} would by chance alone" + ", so this is no evidence" * (0 < certain <= expected)
    return [
        *filter(None, lines),
        f"Of all {len(enough)} pairs with {FEW} backbones or more, {certain} leave out zero; {chance}"
        + (" (without diversity and alignment, which are Ldiv over again)." if len(enough) < len(whole) else "."),
    ]


def _measure(content: Content, name: str) -> str:
    board = content.board
    mine = [one for one in content.predictions if board.columns[one.measure].name == name and len(one.rows) >= FEW]
    if not mine:
        return ""
    clear: dict[str, list[str]] = {}
    for one in mine:
        if one.verdict == "predicts":
            clear.setdefault(_direction(one), []).append(metric(content, one.metric))
    if not clear:
        return f"{name} predicts 0 of {len(mine)} metrics: every interval holds zero."
    told = " and ".join(f"a {direction} {', '.join(names)}" for direction, names in clear.items())
    count = sum(map(len, clear.values()))
    rest = "" if count == len(mine) else "; the others are undecided"
    return f"A higher {name} ({NAMED[name]}) goes with {told}: {count} of {len(mine)} metrics{rest}."


def _direction(one: Prediction) -> str:
    assert one.spearman is not None
    return "higher" if one.spearman.value > 0 else "lower"


def metric(content: Content, place: int) -> str:
    """A column in one line: protocol and metric, once where they are the same."""
    column = content.board.columns[place]
    heading, name = words.heading(column.protocol), words.clean(column.name)
    return heading if column.protocol.key.task == name else f"{heading} {name}"


def prediction_lines(content: Content) -> list[tuple[str, ...]]:
    """One line per pair with a correlation, under `PREDICTION_HEADINGS`."""
    return [
        (
            metric(content, one.measure),
            metric(content, one.metric),
            str(len(one.rows)),
            estimate(one.spearman),
            estimate(one.kendall),
            one.verdict,
        )
        for one in content.predictions
        if one.spearman is not None
    ]


def estimate(found: Estimate | None) -> str:
    """`0.62 [0.10, 0.88]`."""
    if found is None:
        return words.ABSENT
    if found.low is None:
        return words.signed(found.value, 2)
    return f"{words.signed(found.value, 2)} [{words.signed(found.low, 2)}, {words.signed(found.high, 2)}]"


class ClaimLine(NamedTuple):
    """One claim under `CLAIM_HEADINGS`."""

    claim: str
    evidence: tuple[str, ...]
    verdict: str


def claim_lines(content: Content) -> list[ClaimLine]:
    """The claims, those of arXiv:2310.18850 and then that of arXiv:2403.05726."""
    lines = [_claim(content, claim) for claim in content.claims]
    evidence = tuple(_explained(content, one) for one in content.explained) or (f"none; needs {factors.NEEDS}",)
    title = f"{factors.TEXT} ({factors.SOURCE})"
    return [*lines, ClaimLine(title, evidence, factors.overall(content.explained))]


def _claim(content: Content, claim: Claim) -> ClaimLine:
    evidence = tuple(_evidence(content, one) for one in claim.evidence) or (f"none; needs {claim.needs}",)
    return ClaimLine(f"{claim.text} ({claim.source})", evidence, claim.verdict)


def _evidence(content: Content, one: Evidence) -> str:
    digits = content.board.columns[one.column].metric.digits
    spread = "" if one.half is None else f" ± {one.half:.{digits}f}"
    units = f"{one.units} unit{'s' * (one.units != 1)}"
    where = metric(content, one.column)
    return f"{where}, {one.what}: {words.signed(one.mean, digits)}{spread} ({units}; claimed {one.expected}): {one.verdict}"


def _explained(content: Content, one: Explained) -> str:
    shares = []
    for factor, share in one.shares.items():
        p = "inseparable" if share.p is None else f"p = {share.p:.2g}"
        shares.append(f"{factor} {100 * share.share:.0f} % ({p})")
    left = f"not explained {100 * one.residual:.0f} %"
    return f"{metric(content, one.column)}: {', '.join([*shares, left])}; {one.runs} runs: {one.verdict}"


def cost_lines(content: Content) -> list[tuple[str, ...]]:
    """One line per row under `COST_HEADINGS`."""
    board = content.board
    runs: dict[int, list[int]] = {}
    for row, entry in dict.fromkeys(zip(board.values["row"].tolist(), board.values["entry"].tolist(), strict=True)):
        runs.setdefault(row, []).append(entry)
    lines = []
    for place, label in enumerate(words.labels(board.rows)):
        made = total([board.entries[entry].record for entry in runs.get(place, [])])
        transfers = (str(made.runs), *(_cost(made)[i] for i in (0, 1, 3))) if made.runs else (words.ABSENT,) * 4
        lines.append((label, *_cost(board.rows[place].cost), *transfers))
    return lines


def protocol_costs(content: Content) -> list[tuple[str, ...]]:
    """One line per protocol under `PROTOCOL_COST_HEADINGS`: what one run takes."""
    board = content.board
    runs: dict[ProtocolKey, list[RunRecord]] = {}
    for entry in board.entries:
        if entry.record.kind != "pretrain":
            runs.setdefault(protocol_key(entry.record), []).append(entry.record)
    lines: list[tuple[str, ...]] = []
    for protocol in board.protocols:
        made = runs[protocol.key]
        name = f"{words.heading(protocol)} on {words.clean(protocol.key.data)}, {words.clean(protocol.key.engine)}"
        lines.append((name, str(len(made)), *_cost(mean(made))))
    return lines


def _cost(found: Cost | None) -> tuple[str, str, str, str]:
    if found is None:
        return (words.ABSENT,) * 4
    return (
        _hours(found.wall_hours),
        _hours(found.device_hours),
        words.number(found.images_per_second, 0),
        words.number(found.peak_memory_mib, 0),
    )


def _hours(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def against_published(cell: PublishedCell, digits: int, labels: Sequence[str]) -> str:
    """The difference of a measured number to a published one, with the name of the measured row."""
    found = cell.measured
    if found is None:
        return f"{words.ABSENT} (no such architecture measured)"
    of = "the same pre-training" if found.same else "the best measured of that architecture"
    return f"{words.signed(found.difference, digits)} ({of}: {labels[found.row]})"


def published_label(pretraining: Sequence[str]) -> str:
    """A published pre-training in a few words."""
    method, aug, supervision, fraction, arch, data, epochs = map(words.clean, pretraining)
    share = f"{100 * float(fraction):g} % labels" if supervision == "semi" and fraction else ""
    return " · ".join(filter(None, [method, aug, supervision, share, arch, data, f"{epochs} epochs" if epochs else ""]))

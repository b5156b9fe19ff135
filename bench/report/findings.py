"""Put the findings into words: claims, what predicts transfer, published numbers."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.report import words
from bench.report.content import Content
from transfer.board import factors
from transfer.board.claims import Claim, Evidence
from transfer.board.columns import Column
from transfer.board.factors import Explained
from transfer.board.prediction import FEW, Estimate, Prediction
from transfer.board.published_numbers import PublishedCell
from transfer.metrics import METRICS

QUESTION = "Does the representation predict transfer?"
CLAIMS = "What the papers claim, and what these runs say"
CLAIMS_READ = (
    "Differences are means ± half the 95 % interval over units: runs that share everything but what is compared, seeds "
    "included. Shares of variance are what a factor alone explains in an additive model of all runs."
)
CLAIM_HEADINGS = ("claim", "evidence in these runs", "verdict")
PREDICTION_HEADINGS = ("measure", "metric", "backbones", "Spearman", "Kendall", "verdict")
MORE = {name: declared.more for name, declared in METRICS.items() if declared.more}
"""The measures the sources ask about, and what more of them means."""


def sentence(content: Content) -> list[str]:
    """Answer `QUESTION` plainly, in a few sentences."""
    found = content.predictions
    if not found:
        return ["These runs can't say: no trained backbone was both measured and transferred."]
    most = max(len(one.rows) for one in found)
    if most < FEW:
        backbones = f"{most} trained backbone{'s were' if most != 1 else ' was'}"
        return [f"These runs can't say: {backbones} both measured and transferred, and {FEW} are needed."]
    lines = [_measure(content, name) for name in MORE]
    columns = content.board.columns
    whole = [one for one in found if len(one.rows) >= FEW]
    enough = [one for one in whole if not columns[one.measure].metric.restates]
    certain = sum(one.verdict == "predicts" for one in enough)
    expected = 0.05 * len(enough)
    chance = f"about {expected:.1f} would by chance alone"
    if 0 < certain <= expected:
        chance += ", so this is no evidence"
    return [
        *filter(None, lines),
        f"Of all {len(enough)} pairs with {FEW} backbones or more, {certain} leave out zero; {chance}"
        + (f" ({_restating()})." if len(enough) < len(whole) else "."),
    ]


def _restating() -> str:
    """Say which measures are left out of the count, because they are rescalings of others."""
    groups: dict[str, list[str]] = {}
    for name, declared in METRICS.items():
        if declared.restates:
            groups.setdefault(declared.restates, []).append(name)
    return "; ".join(f"without {' and '.join(names)}, which are {of} over again" for of, names in groups.items())


def _measure(content: Content, name: str) -> str:
    """Say what a measure of the representation predicts; empty where there are too few backbones."""
    columns = content.board.columns
    mine = [one for one in content.predictions if columns[one.measure].name == name and len(one.rows) >= FEW]
    if not mine:
        return ""
    clear: dict[str, list[str]] = {}
    for one in mine:
        if one.verdict == "predicts":
            clear.setdefault(_direction(one), []).append(metric(columns[one.metric]))
    if not clear:
        return f"{name} predicts 0 of {len(mine)} metrics: every interval holds zero."
    goes_with = " and ".join(f"a {direction} {', '.join(names)}" for direction, names in clear.items())
    count = sum(map(len, clear.values()))
    rest = "" if count == len(mine) else "; the others are undecided"
    return f"A higher {name} ({MORE[name]}) goes with {goes_with}: {count} of {len(mine)} metrics{rest}."


def _direction(one: Prediction) -> str:
    """Say on which side of zero the correlation lies."""
    assert one.spearman is not None
    return "higher" if one.spearman.value > 0 else "lower"


def metric(column: Column) -> str:
    """Name a column in one line: protocol and metric, once where they are the same."""
    heading, name = words.heading(column.protocol), words.clean(column.name)
    return heading if column.protocol.key.task == name else f"{heading} {name}"


def prediction_lines(content: Content) -> list[tuple[str, ...]]:
    """Write one line per pair with a correlation, under `PREDICTION_HEADINGS`."""
    columns = content.board.columns
    return [
        (
            metric(columns[one.measure]),
            metric(columns[one.metric]),
            str(len(one.rows)),
            estimate(one.spearman),
            estimate(one.kendall),
            one.verdict,
        )
        for one in content.predictions
        if one.spearman is not None
    ]


def estimate(found: Estimate | None) -> str:
    """Write a correlation with its interval, `+0.62 [+0.10, +0.88]`."""
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
    """Write the claims, those of arXiv:2310.18850 and then that of arXiv:2403.05726."""
    lines = [_claim(content, claim) for claim in content.claims]
    evidence = tuple(_explained(content, one) for one in content.explained) or (f"none; needs {factors.NEEDS}",)
    title = f"{factors.TEXT} ({factors.SOURCE})"
    return [*lines, ClaimLine(title, evidence, factors.overall(content.explained))]


def _claim(content: Content, claim: Claim) -> ClaimLine:
    evidence = tuple(_evidence(content, one) for one in claim.evidence) or (f"none; needs {claim.needs}",)
    return ClaimLine(f"{claim.text} ({claim.source})", evidence, claim.verdict)


def _evidence(content: Content, one: Evidence) -> str:
    column = content.board.columns[one.column]
    digits = column.metric.digits
    spread = "" if one.half is None else f" ± {one.half:.{digits}f}"
    units = "1 unit" if one.units == 1 else f"{one.units} units"
    change = f"{metric(column)}, {one.what}: {words.signed(one.mean, digits)}{spread}"
    return f"{change} ({units}; claimed {one.expected}): {one.verdict}"


def _explained(content: Content, one: Explained) -> str:
    parts = []
    for factor, contribution in one.contributions.items():
        p = "inseparable" if contribution.p is None else f"p = {contribution.p:.2g}"
        parts.append(f"{factor} {100 * contribution.fraction:.0f} % ({p})")
    parts.append(f"not explained {100 * one.residual:.0f} %")
    return f"{metric(content.board.columns[one.column])}: {', '.join(parts)}; {one.runs} runs: {one.verdict}"


def against_published(cell: PublishedCell, digits: int, labels: Sequence[str]) -> str:
    """Write the difference of a measured number to a published one, with the name of the measured row."""
    found = cell.measured
    if found is None:
        return f"{words.ABSENT} (no such architecture measured)"
    of = "the same pre-training" if found.same else "the highest of all measured with that architecture, which flatters"
    return f"{words.signed(found.difference, digits)} ({of}: {labels[found.row]})"


def published_label(pretraining: Sequence[str]) -> str:
    """Name a published pre-training in a few words."""
    method, aug, supervision, fraction, arch, data, epochs = map(words.clean, pretraining)
    labelled = f"{100 * float(fraction):g} % labels" if supervision == "semi" and fraction else ""
    return " · ".join(filter(None, [method, aug, supervision, labelled, arch, data, f"{epochs} epochs" if epochs else ""]))

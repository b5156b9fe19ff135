"""Put the claims of the sources into words, with what these runs say of them."""

from typing import NamedTuple

from bench.report import findings, words
from bench.report.content import Content
from transfer.board.claims.judge import Claim, Evidence

TITLE = "What the papers claim, and what these runs say"
READ = (
    "A line is one row minus another that shares everything but what is compared, over pre-trainings, with its own 95 % "
    "interval. A claim is supported only where every part has evidence and every line is as claimed, and contradicted where "
    "any line is otherwise; either at the 2.5 % level."
)
HEADINGS = ("claim", "evidence in these runs", "verdict")


class ClaimLine(NamedTuple):
    """One claim under `HEADINGS`."""

    claim: str
    evidence: tuple[str, ...]
    verdict: str


def lines(content: Content) -> list[ClaimLine]:
    """Write the claims, each with its evidence, the parts that have none, and what a reader must know."""
    return [_line(content, claim) for claim in content.claims]


def _line(content: Content, claim: Claim) -> ClaimLine:
    evidence = (_evidence(content, one) for one in claim.evidence)
    note = (f"Note: {claim.note}",) if claim.note and claim.evidence else ()
    said = tuple(words.clean(line) for line in (*evidence, *claim.missing, *note))
    return ClaimLine(f"{claim.text} ({claim.source})", said, claim.verdict)


def _evidence(content: Content, one: Evidence) -> str:
    column = content.board.columns[one.column]
    digits = column.metric.digits + (2 if one.squared else 0)
    change = f"{findings.metric(column)}, {one.what}: {words.signed(one.value, digits)}"
    within = (one.within,) if one.within else ()
    details = "; ".join((*_interval(one, digits), one.units, *within, *one.detail, f"claimed {one.expected}"))
    return f"{change} ({details}): {one.verdict}"


def _interval(one: Evidence, digits: int) -> tuple[str, ...]:
    if one.interval is None:
        return ()
    low, high = (words.signed(end, digits) for end in one.interval)
    return (f"95 % interval {low} to {high}",)

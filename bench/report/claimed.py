"""Put the claims of the sources into words, with what these runs say of them."""

from typing import NamedTuple

from bench.report import coverage, findings, words
from bench.report.content import Content
from transfer.board.claims.judge import Claim, Evidence

TITLE = "What the papers claim, and what these runs say"
READ = (
    "A line below a claim is one row of the table minus another that shares every setting but what is compared, over "
    "pre-trainings, with its own 95 % interval. Supported: every part of the claim has evidence, and every line is as claimed. "
    "Contradicted: some line is otherwise. Undecided: neither can be said. Both are said at the 2.5 % level."
)
HEADINGS = ("claim", "evidence in these runs", "verdict")


class ClaimLine(NamedTuple):
    """One claim under `HEADINGS`."""

    claim: str
    evidence: tuple[str, ...]
    verdict: str
    standing: str = ""
    """Of how many of the units that a study plans for it."""

    @property
    def decided(self) -> str:
        """Return the verdict, and what it stands on."""
        return f"{self.verdict} ({self.standing})" if self.standing else self.verdict


def lines(content: Content) -> list[ClaimLine]:
    """Write the claims, each with its evidence, the parts that have none, and what a reader must know.

    Those that a study plans nothing for come last.
    """
    made = [_line(content, claim, coverage.standing(content, index)) for index, claim in enumerate(content.claims)]
    return sorted(made, key=lambda line: line.standing == coverage.NOTHING)


def read(content: Content) -> list[str]:
    """Say how to read the claims, in paragraphs."""
    return [READ] if content.study is None else [READ, coverage.UNITS]


def _line(content: Content, claim: Claim, standing: str) -> ClaimLine:
    evidence = (_evidence(content, one) for one in claim.evidence)
    note = (f"Note: {claim.note}",) if claim.note and claim.evidence else ()
    said = tuple(words.clean(line) for line in (*evidence, *claim.missing, *note))
    return ClaimLine(f"{claim.text} ({claim.source})", said, claim.verdict, standing)


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

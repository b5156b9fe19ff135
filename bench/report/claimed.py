"""Put the claims of the sources into words, with what these runs say of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.report import coverage, findings, words
from bench.report.content import Content
from pretrain.core.counts import counted
from transfer.board.claims import deciding
from transfer.board.claims.judge import Claim, Evidence, Verdict

TITLE = "What the papers claim, and what these runs say"
READ = (
    "A line below a claim is one row of the table minus another that shares every setting but what is compared, over "
    "pre-trainings, with its own 95 % interval. Supported: every part of the claim has evidence, and every line is as claimed. "
    "Contradicted: some line is otherwise. Undecided: neither can be said. Both are said at the 2.5 % level."
)
WORD: Mapping[Verdict, str] = {"supported": "as claimed", "contradicted": "otherwise", "undecided": "undecided"}
"""Verdict on a line of a claim → what the tally calls it."""
HEADINGS = ("claim", "evidence in these runs", "verdict")


class ClaimLine(NamedTuple):
    """One claim under `HEADINGS`."""

    claim: str
    evidence: tuple[str, ...]
    verdict: str
    standing: str = ""
    """Of how many of the units that a study plans for it."""
    tally: str = ""
    """How its lines were judged, and how many can't be judged yet; empty without a line."""

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


def summed(made: Sequence[ClaimLine]) -> str:
    """Say in one sentence how many claims are supported, contradicted and undecided."""
    counts = Counter(line.verdict for line in made)
    parts = [f"{counts[verdict]} {verdict}" for verdict in WORD]
    bare = sum(not line.tally for line in made)
    return f"Of {len(made)} claims: {', '.join(parts)}" + (f"; {bare} without evidence in these runs." if bare else ".")


def read(content: Content) -> list[str]:
    """Say how to read the claims, in paragraphs."""
    return [READ] if content.study is None else [READ, coverage.UNITS]


def _line(content: Content, claim: Claim, standing: str) -> ClaimLine:
    evidence = (_evidence(content, one) for one in claim.evidence)
    note = (f"Note: {claim.note}",) if claim.note and claim.evidence else ()
    said = tuple(words.clean(line) for line in (*evidence, *claim.missing, *note))
    return ClaimLine(f"{claim.text} ({claim.source})", said, claim.verdict, standing, _tally(claim))


def _tally(claim: Claim) -> str:
    """Count the lines by verdict, and say what would decide it: what a reader wants before the lines themselves."""
    judged = [one for one in claim.evidence if one.value is not None]
    if not judged:
        return ""
    counts = Counter(one.verdict for one in judged)
    parts = [f"{counts[verdict]} {word}" for verdict, word in WORD.items() if counts[verdict]]
    early = sum(one.interval is None for one in judged)
    why = f" ({early} with too few pre-trainings)" if early else ""
    return f"{counted(len(judged), 'comparison')}: {', '.join(parts)}{why}{_deciding(claim)}"


def _deciding(claim: Claim) -> str:
    number = deciding.pretrainings(claim)
    if number is None:
        return ""
    return f"; to decide it: {f'about {number}' if number else f'more than {deciding.MOST}'} pre-trainings in each row"


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

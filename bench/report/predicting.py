"""Put into words whether the representation predicts transfer."""

from bench.report import findings, words
from bench.report.content import Content
from pretrain.core.counts import counted
from transfer.board.prediction import FEW, LEVEL, Prediction, Stratum
from transfer.metrics import METRICS

QUESTION = "Does the representation predict transfer?"
HEADINGS = ("measure", "metric", "backbones", "strata", "Spearman", "Kendall", "p over the table", "verdict")
MORE = {name: declared.more for name, declared in METRICS.items() if declared.more}
"""The measures the sources ask about, and what more of them means."""
ALIKE = "alike in architecture, data, epochs and supervision"


def sentence(content: Content) -> list[str]:
    """Answer `QUESTION` plainly, in a few sentences."""
    found = content.predictions
    if not found:
        return ["These runs can't say: no trained backbone was both measured and transferred."]
    enough = [one for one in found if one.points >= FEW]
    if not enough:
        most = max(len(one.rows) for one in found)
        backbones = f"{most} trained backbone{'s were' if most != 1 else ' was'}"
        return [f"These runs can't say: {backbones} both measured and transferred, and {FEW} are needed that are {ALIKE}."]
    count = sum(one.verdict == "predicts" for one in enough)
    pairs = counted(len(enough), "pair")
    chance = f"where nothing is related, any would on {100 * LEVEL:.0f} % of boards"
    return [
        *filter(None, (_measure(content, name) for name in MORE)),
        f"Of {pairs} of a measure and a protocol, {count} predict{'s' if count == 1 else ''}; {chance}. "
        f"Ranks are compared among backbones {ALIKE}, and of one method where it has several.",
    ]


def _measure(content: Content, name: str) -> str:
    """Say what a measure of the representation predicts; empty where there are too few backbones."""
    columns = content.board.columns
    mine = [one for one in content.predictions if columns[one.measure].name == name and one.points >= FEW]
    if not mine:
        return ""
    clear: dict[str, list[str]] = {}
    for one in mine:
        if one.verdict == "predicts":
            clear.setdefault(_direction(one), []).append(findings.metric(columns[one.metric]))
    of = counted(len(mine), "protocol")
    if not clear:
        return f"{name} predicts none of {of}."
    goes_with = " and ".join(f"a {direction} {', '.join(names)}" for direction, names in clear.items())
    count = sum(map(len, clear.values()))
    rest = "" if count == len(mine) else "; the others are undecided"
    return f"A higher {name} ({MORE[name]}) goes with {goes_with}: {count} of {of}{rest}."


def _direction(one: Prediction) -> str:
    """Say on which side of zero the correlation lies."""
    return "higher" if (one.spearman or 0.0) > 0 else "lower"


def lines(content: Content) -> list[tuple[str, ...]]:
    """Write one line per pair with a correlation, under `HEADINGS`."""
    columns = content.board.columns
    return [
        (
            findings.metric(columns[one.measure]),
            findings.metric(columns[one.metric]),
            str(len(one.rows)),
            str(len(set(one.strata))),
            words.signed(one.spearman, 2),
            words.signed(one.kendall, 2),
            words.ABSENT if one.p is None else f"{one.p:.2g}",
            one.verdict,
        )
        for one in content.predictions
        if one.spearman is not None
    ]


def stratum(one: Stratum) -> str:
    """Name a stratum in one line."""
    labels = f"{100 * one.label_fraction:g} % labels" if one.supervision == "semi" and one.label_fraction else ""
    epochs = "" if one.epochs is None else counted(one.epochs, "epoch")
    return " · ".join(filter(None, map(words.clean, (one.method, one.supervision, labels, one.arch, one.data, epochs))))

"""Render the model card of a pre-training as Markdown: what it is, how it was made, and how it transfers."""

from collections.abc import Sequence
from pathlib import Path

from bench.report import costs, findings, markdown, words
from bench.report.content import Content
from pretrain.core.counts import counted
from pretrain.core.errors import RecordError
from pretrain.provenance import Provenance
from transfer import record
from transfer.board.entries import Entry
from transfer.board.leaderboard import leaderboard
from transfer.record import Checkpoint, RunRecord

CARD = "card.md"
LABELS = {"self": ", without labels", "semi": ", with a part of the labels", "full": ", with labels"}
"""Supervision → how labels were used, in words."""


def own(folder: Path) -> RunRecord:
    """Read the record of a pre-training's folder.

    Raises:
        RecordError: If there is none, it is broken, or it is of another kind of run.
    """
    path = folder / "result.json"
    if not path.is_file():
        raise RecordError(f"{folder} is no finished run", seen="no result.json", fix="name the folder of a pre-training")
    found = record.read(path)
    if found.kind != "pretrain":
        fix = "name the folder of the pre-training that made its checkpoint"
        raise RecordError(f"{folder} is no pre-training", seen=found.kind, allowed="pretrain", fix=fix)
    return found


def render(made: RunRecord, entries: Sequence[Entry]) -> str:
    """Write the card of a pre-training, with the transfers among `entries` whose checkpoint is the one that it made."""
    return "\n\n".join([title(made.checkpoint), *sections(made.checkpoint, made, entries)]) + "\n"


def title(of: Checkpoint) -> str:
    """Write the heading: what kind of backbone it is."""
    came = of.provenance
    return f"# {markdown.escape(words.clean(f'{came.arch} · {came.method} · {came.aug}'))}"


def sections(of: Checkpoint, made: RunRecord | None, entries: Sequence[Entry]) -> list[str]:
    """Write what a card says of a backbone: what it is for, how it was made, how it transfers, what limits that.

    Args:
        of: The backbone.
        made: The record of its pre-training; None where there is none.
        entries: Records, of which those count that were measured on it.
    """
    transfers = [entry for entry in measured(of, entries) if entry.record.kind != "pretrain"]
    command = [] if made is None else [f"    {words.clean(made.command)}"]
    parts = [_purpose(of), "## How it was made", "\n".join(_facts(of, made)), *command]
    parts += ["## How it transfers", *(_transfers(transfers) or ["Nothing was measured yet."])]
    return [*parts, "## Limits", "\n".join(f"- {markdown.escape(line)}" for line in _limits(made, transfers))]


def measured(of: Checkpoint, entries: Sequence[Entry]) -> list[Entry]:
    """Choose the records that are of a backbone."""
    return [entry for entry in entries if entry.record.checkpoint.identity == of.identity]


def _purpose(of: Checkpoint) -> str:
    came = of.provenance
    trained = f"pre-trained on {came.data} by {came.method} under the augmentation {came.aug}{LABELS.get(came.supervision, '')}"
    told = "never trained" if came.untrained else trained
    return markdown.escape(words.clean(f"A backbone to fine-tune or to take features from: {came.arch}, {told}."))


def _facts(of: Checkpoint, made: RunRecord | None) -> list[str]:
    """Write a table of what is known; a field that nobody says is absent."""
    came = of.provenance
    labels = words.ABSENT if came.label_fraction is None else f"{100 * came.label_fraction:g} %"
    images = f", {counted(made.data.train, 'image')}" if made else ""
    fingerprint = made.data.fingerprint if made else came.data_fingerprint or "unknown"
    facts = {
        "method": came.method,
        "augmentation": came.aug,
        "labels used": f"{labels} ({came.supervision})",
        "data": f"{came.data}{images}, fingerprint {fingerprint}",
        "schedule": made.schedule if made else words.ABSENT if came.epochs is None else counted(came.epochs, "epoch"),
        "changed from the published recipe": _changed(came, made),
        "seed": words.ABSENT if came.seed is None else str(came.seed),
        "checkpoint, SHA-256": of.sha256,
        **({} if made is None else _costs(made)),
    }
    return markdown.table(("", ""), [(name, words.clean(text)) for name, text in facts.items()])


def _changed(came: Provenance, made: RunRecord | None) -> str:
    changed = {**came.augmentation, **came.changed} if made is None else made.changed
    known = came.method_version is not None or made is not None
    return ", ".join(f"{name} = {value}" for name, value in sorted(changed.items())) or ("nothing" if known else "unknown")


def _costs(made: RunRecord) -> dict[str, str]:
    cost, memory = made.environment, costs.in_words(made.peak_memory_mib, made.peak_gpu_mib)
    return {
        "hardware": cost.hardware,
        "time and memory": f"{words.number(made.wall_seconds, 0)} s, {memory} MiB",
        "code": f"commit {cost.commit or 'unknown'}, torch {cost.versions.get('torch', 'unknown')}",
        "finished": made.finished,
    }


def _transfers(entries: Sequence[Entry]) -> list[str]:
    """Write the table of one row per metric, and what the columns' protocols are."""
    content = Content(leaderboard(entries))
    board = content.board
    lines = []
    for (_, column_index), cell in sorted(board.cells.items()):
        column = board.columns[column_index]
        if column.metric.shown:
            unit = column.metric.meaning or column.metric.scale.unit
            data = words.clean(column.protocol.key.data)
            lines.append((findings.metric(column), words.cell(cell, column.metric), unit, data))
    if not lines:
        return []
    return [
        "\n".join(markdown.table(("task and metric", "value", "unit", "data"), lines)),
        "\n".join(markdown.protocols(board)),
    ]


def _limits(made: RunRecord | None, transfers: Sequence[Entry]) -> list[str]:
    every = [*([] if made is None else [made]), *(entry.record for entry in transfers)]
    notes = dict.fromkeys(note for one in every for note in one.notes)
    lines = ["One seed: how far repetitions of this pre-training differ is not in this card; `bench report` pools them."]
    if any(entry.record.changed for entry in transfers):
        lines.append("A starred protocol is not the published one; its numbers compare with no paper.")
    return [*lines, *map(words.clean, notes)]

"""Render the model card of a pre-training as Markdown: what it is, how it was made, and how it transfers."""

from collections.abc import Sequence
from pathlib import Path

from bench.report import costs, findings, markdown, words
from bench.report.content import Content
from pretrain.core.errors import RecordError
from transfer import record
from transfer.board.entries import Entry
from transfer.board.leaderboard import leaderboard
from transfer.record import RunRecord

CARD = "card.md"


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
    """Write the card, with the transfers among `entries` whose checkpoint is the one this run made."""
    mine = [entry for entry in entries if entry.record.checkpoint.sha256 == made.checkpoint.sha256]
    transfers = [entry for entry in mine if entry.record.kind != "pretrain"]
    came = made.checkpoint.provenance
    parts = [f"# {markdown.escape(words.clean(f'{came.arch} · {came.method} · {came.aug}'))}", _purpose(made)]
    parts += ["## How it was made", "\n".join(_facts(made)), f"    {words.clean(made.command)}"]
    parts += ["## How it transfers", *(_transfers(transfers) or ["Nothing was measured yet."])]
    parts += ["## Limits", "\n".join(f"- {markdown.escape(line)}" for line in _limits(made, transfers))]
    return "\n\n".join(parts) + "\n"


def _purpose(made: RunRecord) -> str:
    came = made.checkpoint.provenance
    text = f"A backbone to fine-tune or to take features from: {came.arch}, pre-trained on {came.data} by {came.method}."
    return markdown.escape(words.clean(text))


def _facts(made: RunRecord) -> list[str]:
    came, cost = made.checkpoint.provenance, made.environment
    memory = costs.in_words(made.peak_memory_mib, made.peak_gpu_mib)
    labels = words.ABSENT if came.label_fraction is None else f"{100 * came.label_fraction:g} %"
    changed = ", ".join(f"{name} = {value}" for name, value in sorted(made.changed.items()))
    facts = {
        "method": came.method,
        "augmentation": came.aug,
        "labels used": f"{labels} ({came.supervision})",
        "data": f"{came.data}, {made.data.train:,} images, fingerprint {made.data.fingerprint}",
        "schedule": made.schedule,
        "changed from the published recipe": changed or "nothing",
        "seed": str(came.seed),
        "checkpoint, SHA-256": made.checkpoint.sha256,
        "hardware": cost.hardware,
        "time and memory": f"{words.number(made.wall_seconds, 0)} s, {memory} MiB",
        "code": f"commit {cost.commit or 'unknown'}, torch {cost.versions.get('torch', 'unknown')}",
        "finished": made.finished,
    }
    return markdown.table(("", ""), [(name, words.clean(text)) for name, text in facts.items()])


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


def _limits(made: RunRecord, transfers: Sequence[Entry]) -> list[str]:
    notes = dict.fromkeys(note for one in [made, *(entry.record for entry in transfers)] for note in one.notes)
    lines = ["One seed: how far repetitions of this pre-training differ is not in this card; `bench report` pools them."]
    if any(entry.record.changed for entry in transfers):
        lines.append("A starred protocol is not the published one; its numbers compare with no paper.")
    return [*lines, *map(words.clean, notes)]

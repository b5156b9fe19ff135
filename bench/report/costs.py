"""Write what the pre-trainings, their transfers and the protocols cost, as lines of tables."""

from bench.report import words
from bench.report.content import Content
from transfer.board.columns import ProtocolKey, protocol_key
from transfer.board.cost import Cost, mean, total
from transfer.record import RunRecord

TITLE = "What it cost"
HEADINGS = (
    "pre-training",
    *("wall h", "device h", "images / s", "peak MiB"),
    *("transfers, runs", "transfers, wall h", "transfers, device h", "transfers, peak MiB"),
    "hardware of the pre-training",
)  # fmt: skip
PROTOCOL_HEADINGS = ("protocol", "runs", "wall h of a run", "device h of a run", "images / s", "peak MiB")


def lines(content: Content) -> list[tuple[str, ...]]:
    """Write one line per row under `HEADINGS`: its pre-training, and all that was run on it together."""
    board = content.board
    runs: dict[int, list[int]] = {}
    for row, entry in dict.fromkeys(zip(board.values["row"].tolist(), board.values["entry"].tolist(), strict=True)):
        runs.setdefault(row, []).append(entry)
    made: list[tuple[str, ...]] = []
    for row, label in enumerate(words.labels(board.rows)[: len(content.measured.rows)]):
        transfers = _transfers([board.entries[entry].record for entry in runs.get(row, [])])
        cost = board.rows[row].cost
        made.append((label, *_cost(cost), *transfers, words.clean(cost.hardware) if cost else words.ABSENT))
    return made


def protocol_lines(content: Content) -> list[tuple[str, ...]]:
    """Write one line per protocol under `PROTOCOL_HEADINGS`: what one run takes."""
    board = content.board
    runs: dict[ProtocolKey, list[RunRecord]] = {}
    for entry in board.entries:
        if entry.record.kind != "pretrain":
            runs.setdefault(protocol_key(entry.record), []).append(entry.record)
    made: list[tuple[str, ...]] = []
    for protocol in board.protocols:
        records = runs.get(protocol.key, [])
        if not records:
            continue
        name = f"{words.heading(protocol)} on {words.clean(protocol.key.data)}, {words.clean(protocol.key.engine)}"
        made.append((name, str(len(records)), *_cost(mean(records))))
    return made


def _transfers(records: list[RunRecord]) -> tuple[str, str, str, str]:
    """Write runs, wall hours, device hours and peak memory; their speeds don't compare with each other."""
    if not records:
        return (words.ABSENT,) * 4
    wall_hours, device_hours, _, memory = _cost(total(records))
    return str(len(records)), wall_hours, device_hours, memory


def _cost(found: Cost | None) -> tuple[str, str, str, str]:
    """Write wall hours, device hours, images per second and peak memory."""
    if found is None:
        return (words.ABSENT,) * 4
    speed, memory = words.number(found.images_per_second, 0), in_words(found.peak_memory_mib, found.peak_gpu_mib)
    return _hours(found.wall_hours), _hours(found.device_hours), speed, memory


def in_words(memory: float, gpu: float | None) -> str:
    """Write peaks of memory, in MiB: that of the process and, where it had one, that of its GPU."""
    own = words.number(memory, 0)
    return own if gpu is None else f"{own}, GPU {words.number(gpu, 0)}"


def _hours(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"

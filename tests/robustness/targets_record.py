"""What the fuzzer throws at the reader of records: bytes in a file, given to `transfer.record.read`, and what follows it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from pretrain.core.errors import BenchError
from pretrain.provenance import Provenance
from transfer import record
from transfer.record import Checkpoint, Data, Environment, RunRecord

_FILE = Path(tempfile.mkdtemp(prefix="bench-fuzz-")) / "result.json"


def read(data: bytes) -> None:
    """A file of these bytes is a record, which can be written again, or refused."""
    _FILE.write_bytes(data)
    try:
        found = record.read(_FILE)
    except BenchError:
        return
    identity = found.identity
    record.write(found, _FILE)
    assert record.read(_FILE).identity == identity


def sample() -> RunRecord:
    """A whole record."""
    return RunRecord(
        kind="transfer",
        task="linear",
        protocol="linear",
        version=2,
        changed={"epochs": 3, "milestones": [0.6, 0.8]},
        engine="probe",
        schedule="3 epochs",
        checkpoint=Checkpoint(sha256="ab" * 32, source="bench", provenance=Provenance(method="mocov2", arch="resnet18")),
        data=Data(name="shapes", layout="imagefolder", fingerprint="f", train=4, val=2, classes=2),
        seed=0,
        metrics={"top1": 50.0, "top5": None},
        intervals={"top1": (40.0, 60.0)},
        environment=Environment(versions={"torch": "2"}, commit=None, hardware="cpu", threads=1),
        wall_seconds=1.5,
        peak_memory_mib=100.0,
        finished="2026-01-01T00:00:00+00:00",
        command="bench transfer",
    )


TARGETS: dict[str, Callable[[bytes], None]] = {"record": read}
SEEDS: dict[str, list[bytes]] = {
    "record": [sample().model_dump_json(indent=1).encode(), b'{"schema_version": 2, "metrics": {"a": 1e999}}', b"[[[["]
}

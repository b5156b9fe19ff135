"""A study whose cells are faked."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.study import plan
from bench.study.local import Coordinator, Machine
from bench.study.plan import StudyPlan
from bench.study.states import Look, Observer

HEAD = "study: s\ndata: {pretrain: shapes, imagefolder: shapes, voc: shapes}\nprecision: fp32\n"
FAKE = (sys.executable, str(Path(__file__).with_name("fake.py")))


@dataclass
class Faked:
    """A study in the working folder, and what its runs do."""

    path: Path
    said: list[str]
    """What coordinators said."""

    def write(self, text: str, *, seconds: float = 0.0, ends: Mapping[str, Any] | None = None) -> StudyPlan:
        """Write the study file, and what its runs will do; what earlier files' runs do stays known."""
        whole = plan.read(self._draft(text))
        fake = Path("fake.json")
        says = json.loads(fake.read_text())["says"] if fake.exists() else {}
        says |= {str(cell.folder): cell.says for cell in whole.cells.values()}
        fake.write_text(json.dumps({"says": says, "seconds": seconds, "ends": ends or {}}))
        self.path.write_text(HEAD + text)
        return plan.read(self.path)

    def coordinator(self, workers: int = 2, found: Sequence[Path] = ()) -> Coordinator:
        machine = Machine(tuple(map(str, range(workers))), gpus=False)
        return Coordinator(self.path, found, machine, self.said.append, program=FAKE, poll=0.02, every=0.2)

    def look(self) -> Look:
        found = plan.read(self.path)
        return Observer.of(found).look(found)

    def ran(self) -> list[str]:
        """Names of the folders whose record was written, one for each time."""
        path = Path("ran.txt")
        return path.read_text().splitlines() if path.exists() else []

    def _draft(self, text: str) -> Path:
        path = self.path.with_suffix(".draft")
        path.write_text(HEAD + text)
        return path


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faked:
    monkeypatch.chdir(tmp_path)
    return Faked(Path("study.yaml"), [])

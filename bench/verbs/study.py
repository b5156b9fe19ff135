"""`bench study`: plan, run and watch what a study file asks for."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.study import plan as planning
from bench.study import view
from bench.study.cost import Costs
from bench.study.forecast import Forecast, forecast
from bench.study.plan import StudyPlan
from bench.study.states import Observer


def plan(file: Path, found: Sequence[Path], devices: int, *, as_json: bool) -> None:
    """Print what would run and what it costs; writes nothing.

    Raises:
        ConfigError: With everything that is wrong in the file.
    """
    made = _forecast(planning.read(file), found, devices)
    print(json.dumps(view.plain(made), indent=1) if as_json else "\n".join(view.plan(made)))


def _forecast(plan: StudyPlan, found: Sequence[Path], devices: int) -> Forecast:
    observer = Observer.of(plan, found)
    look = observer.look(plan)
    return forecast(look, Costs(observer.records.all()), devices)

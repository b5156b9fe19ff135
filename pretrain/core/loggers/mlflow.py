"""MLflow. Its own environment variables say where: MLFLOW_TRACKING_URI (a server, `sqlite:///FILE`), MLFLOW_EXPERIMENT_NAME.

Settings are parameters, numbers metrics over the steps of their stage, the rest of the record tags; no files are sent.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Self

from pretrain.core.errors import ConfigError
from pretrain.core.loggers import Logger, Told, flat

EXPERIMENT = "bench"
"""Experiment of runs where MLFLOW_EXPERIMENT_NAME names none."""
LONGEST = 500
"""Characters of a parameter or tag at most: every store takes that."""
AT_ONCE = 100
"""Parameters that a store takes at once."""
TOLD = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What the library is told unless the user has: by itself it tries for minutes to reach a server that is not there."""
UNNAMEABLE = re.compile(r"[^\w\-. /]")
"""What no name may hold there."""


class MLflow(Logger):
    """A run of an experiment."""

    name: ClassVar[str] = "mlflow"

    def __init__(self, client: Any, run: Any) -> None:
        """Take a client of the library's, and a run that it began or found."""
        self._client, self.id = client, run.info.run_id
        self.where = f"MLflow run {self.id} in {client.tracking_uri}"

    @classmethod
    def open(cls, told: Told) -> Self:
        """See `Logger`. A run that goes on keeps the parameters that it began with."""
        for name, value in TOLD.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        client = MlflowClient()
        if told.id is not None:
            return cls(client, _again(client, told))
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = client.get_experiment_by_name(experiment)
        made = client.create_experiment(experiment) if found is None else found.experiment_id
        run = client.create_run(made, run_name=told.folder.resolve().name, tags={"command": told.command[:LONGEST]})
        logger = cls(client, run)
        logger._params(told.settings)
        return logger

    def _params(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = (Param(_name(name), str(value)[:LONGEST]) for name, value in flat(settings))
        for some in _parts(params):
            self._client.log_batch(self.id, params=some)

    def step(self, stage: str, step: int, values: Mapping[str, float], at: float) -> None:
        """See `Logger`. A step that is done again stands there twice, with the same place."""
        from mlflow.entities import Metric

        when = int(1000 * at)
        self._client.log_batch(
            self.id, metrics=[Metric(_name(f"{stage}/{name}"), float(value), when, step) for name, value in values.items()]
        )

    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        """See `Logger`."""
        from mlflow.entities import RunTag

        self.step("result", 0, metrics, time.time())
        tags = (RunTag(_name(f"record.{name}"), str(value)[:LONGEST]) for name, value in flat(record))
        for some in _parts(tags):
            self._client.log_batch(self.id, tags=some)

    def close(self, failed: bool) -> None:
        """See `Logger`."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


def _again(client: Any, told: Told) -> Any:
    """Find the run that goes on, and say that it runs.

    Raises:
        ConfigError: If the store has no such run.
    """
    try:
        run = client.get_run(told.id)
        client.update_run(told.id, status="RUNNING")
    except Exception as error:  # the library's own, or of the network
        raise ConfigError(
            "MLflow has not the run that this one was called before",
            seen=f"run {told.id} in {client.tracking_uri}: {' '.join(str(error).split())[:200]}",
            allowed="the tracking store that it began in",
            fix=f"set MLFLOW_TRACKING_URI as before; to begin a new run there, remove loggers.json from {told.folder}",
        ) from error
    return run


def _name(name: str) -> str:
    return UNNAMEABLE.sub("_", name)


def _parts(items: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(items, AT_ONCE)):
        yield some

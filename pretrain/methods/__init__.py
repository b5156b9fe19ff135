"""The methods, each a declaration on the one template. Adding a method is one file and one line of `METHODS`."""

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings

METHODS: dict[str, str] = {
    "mocov2": "mocov2:MOCOV2",
    "supervised": "supervised:SUPERVISED",
}
"""Method name → `module:DECLARATION` in this package."""


class Method(Settings):
    """How a method fills the template: views → encoder → projector → target → loss."""

    name: str
    """Its name in tables and commands."""
    source: str
    """Where it is published."""
    views: int
    """Views of each image."""
    projector: Literal["linear", "mlp", "classifier"]
    """Head on the backbone; `classifier` has one output per class and no hidden layer."""
    target: Literal["none", "momentum"]
    """Encoder of the keys: none, or a moving average of the query encoder."""
    negatives: Literal["none", "queue"]
    """Where negatives come from."""
    loss: Literal["info-nce", "cross-entropy"]
    """What is minimised."""
    needs_labels: bool = False
    """Whether it can't train without labels."""
    defaults: Mapping[str, Any] = {}
    """Fields of the configuration whose published value differs from the configuration's own."""


def get(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in METHODS:
        raise ConfigError.unknown("method", name, METHODS)
    module, declaration = METHODS[name].split(":")
    method: Method = getattr(importlib.import_module(f"pretrain.methods.{module}"), declaration)
    return method

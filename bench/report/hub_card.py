"""Render the model card of the Hugging Face hub: the card of a backbone below what the hub reads of it, as YAML.

Numbers stand there as the hub's `model-index`: a task and a data set, and metrics under the protocol that measured them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from bench.report import card, findings, markdown, words
from pretrain.core.errors import ConfigError
from transfer.board.cells import Cell
from transfer.board.columns import Column
from transfer.board.entries import Entry
from transfer.board.leaderboard import leaderboard
from transfer.record import Checkpoint, RunRecord

FEATURES = "image-feature-extraction"
"""What the hub calls the use of a backbone; the task of every number that is of its features."""
TASKS = {
    "imagefolder": "image-classification",
    "voc": "object-detection",
    "coco": "object-detection",
    "cityscapes": "image-segmentation",
}
"""Layout of the data → what the hub calls the task."""
METRICS = {"top1": "accuracy", "knn": "accuracy", "mIoU": "mean_iou"}
"""Metric → what the hub calls it, where it has a name for it; others keep their own."""
SUPERVISIONS = {"self": "self-supervised", "semi": "semi-supervised", "full": "supervised"}
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""What the hub takes for the name of a license."""
DIGITS = 4
"""Decimals of a number in the `model-index`."""
NO_LICENSE = "No license is said yet: add `license:` to the lines above before you publish it."


def render(
    of: Checkpoint, made: RunRecord | None, entries: Sequence[Entry], config: Mapping[str, Any], license_id: str | None = None
) -> str:
    """Write the whole README.md.

    Args:
        of: The backbone.
        made: The record of its pre-training; None where there is none.
        entries: Records, of which those count that were measured on it.
        config: `config.json`, as timm reads it.
        license_id: As the hub names it, such as `apache-2.0`; None: the user fills it in.

    Raises:
        ConfigError: For a license that the hub can't have.
    """
    if license_id is not None and not LICENSE.fullmatch(license_id):
        raise ConfigError(
            "not a name of a license",
            seen=license_id,
            allowed="the hub's, in small letters, such as apache-2.0 or cc-by-nc-4.0",
        )
    data = _metadata(of, entries, license_id)
    notice = [] if license_id else [f"> {NO_LICENSE}"]
    parts = [card.title(of), *notice, *card.sections(of, made, entries), "## How to load it", _usage(config)]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _metadata(of: Checkpoint, entries: Sequence[Entry], license_id: str | None) -> ModelCardData:
    came = of.provenance
    results = _results(card.measured(of, entries))
    told = (came.method, came.aug, came.arch, SUPERVISIONS.get(came.supervision, ""))
    return ModelCardData(
        license=license_id,
        library_name="timm",
        pipeline_tag=FEATURES,
        tags=["timm", FEATURES, *(words.clean(word) for word in told if word and word != "unknown")],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=words.clean(f"{came.arch} {came.method} {came.aug}"),
        eval_results=results or None,
    )


def _results(entries: Sequence[Entry]) -> list[EvalResult]:
    """Make one result of each number that the report shows, averaged over its runs."""
    board = leaderboard(entries)
    found = []
    for (_, index), cell in sorted(board.cells.items()):
        column = board.columns[index]
        if column.metric.shown and cell.mean is not None:
            found.append(_result(column, cell, cell.mean))
    return found


def _result(column: Column, cell: Cell, mean: float) -> EvalResult:
    protocol, key = column.protocol, column.protocol.key
    layout = protocol.data.layout if protocol.data else ""
    unit = column.metric.meaning or column.metric.scale.unit
    name = words.clean(key.data)
    return EvalResult(
        task_type=FEATURES if column.of_representation else TASKS.get(layout, FEATURES),
        dataset_type=layout or "unknown",  # no id of the hub's: these images are the user's own, whatever their name is
        dataset_config=name,
        dataset_name=name,
        dataset_split="val",
        metric_type=METRICS.get(column.name, column.name),
        metric_name=findings.metric(column) + (f" ({unit})" if unit else ""),
        metric_value=round(mean, DIGITS),
        metric_args=_measured_by(column, cell),
    )


def _measured_by(column: Column, cell: Cell) -> dict[str, Any]:
    """Say what the number was measured by: two protocols of one task are two numbers."""
    key = column.protocol.key
    spread = None if cell.std is None else round(cell.std, DIGITS)
    about: dict[str, Any] = {"protocol": f"{key.protocol} version {key.version}", "changed": words.changes(column.protocol)}
    about |= {"engine": key.engine, "data_fingerprint": key.fingerprint, "runs": len(cell.entries), "std": spread}
    return {name: value for name, value in about.items() if value not in ("", None)}


def _usage(config: Mapping[str, Any]) -> str:
    """Show how to load it, and what it sees."""
    pretrained = config["pretrained_cfg"]
    _, height, width = pretrained["input_size"]
    seen = f"{height} × {width} pixels in the order RGB, of 0 to 1, less {pretrained['mean']}, divided by {pretrained['std']}"
    code = (
        "import timm",
        "",
        'model = timm.create_model("hf-hub:OWNER/NAME", pretrained=True, num_classes=0).eval()  # or "local-dir:FOLDER"',
        "data = timm.data.resolve_model_data_config(model)",
        "transform = timm.data.create_transform(**data, is_training=False)",
        f"features = model(transform(image)[None])  # image: Pillow's, in RGB; (1, {config['num_features']})",
    )
    lines = "\n".join(code)
    return (
        f"```python\n{lines}\n```\n\nIt sees {markdown.escape(seen)}. `num_classes=N` puts a new, untrained classifier on top."
    )

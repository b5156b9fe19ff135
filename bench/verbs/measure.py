"""`bench measure`: invariance and diversity of a backbone's features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import places
from bench.verbs import (
    SMALL,
    Finished,
    Request,
    account,
    checkpoint_ref,
    data_ref,
    execute,
    introduce,
    loaded,
    notes,
    remarks,
    slug,
)
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from pretrain.core.settings import assignments
from transfer.board.columns import REPRESENTATION
from transfer.datasets import imagefolder
from transfer.metrics import METRICS
from transfer.representation import measure

SWEEP_FORM = "field=value,value,... such as side=0.1,0.3,0.5"
BY_PART = tuple(name for name, metric in METRICS.items() if metric.by_part)
"""What is logged of disjoint parts of the images."""


def matrix(
    request: Request,
    checkpoints: Sequence[str],
    probes: Sequence[str],
    sweep: str | None,
    options: Mapping[str, Any],
    *,
    splits: int = 1,
) -> list[Finished]:
    """Measure every checkpoint under every probe and every value of the sweep: one run and one record each.

    Under one probe the rows say what training changed; of one checkpoint the columns say what the augmentation does.

    Raises:
        BenchError: For whatever is wrong with the input.
    """
    if splits < 1:
        raise ConfigError("images can't be split into fewer than one part", seen=f"--splits {splits}")
    strengths = swept(sweep, options)
    cases = [
        (checkpoint, {**options, **({"probe": probe} if probe else {}), **strength})
        for checkpoint in checkpoints
        for probe in probes or [""]
        for strength in strengths
    ]
    if request.out is not None and len(cases) > 1:
        raise ConfigError(f"--out is one run's folder, and these are {len(cases)} runs", fix="leave --out away")
    return [run(request, checkpoint, chosen, splits=splits) for checkpoint, chosen in cases]


def swept(sweep: str | None, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The probe's options at each strength; one without changes where nothing is swept.

    Raises:
        ConfigError: If the text is no sweep.
    """
    if sweep is None:
        return [{}]
    name, equals, text = sweep.partition("=")
    if not (name.strip() and equals and text.strip()):
        raise ConfigError("a sweep without a field or without values", seen=sweep, allowed=SWEEP_FORM)
    ((field, values),) = assignments([f"{name}=[{text}]"]).items()
    return [{"probe_options": {**options.get("probe_options", {}), field: value}} for value in values]


def run(request: Request, checkpoint: str, options: Mapping[str, Any], *, splits: int = 1) -> Finished:
    """Measure on the validation images; `options` are fields of `MeasureSettings`.

    With `splits` of 2 or more the log says what disjoint parts of the images give, each by itself.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    generated = places.is_generated(request.data)
    published = measure.MeasureSettings()
    settings = published.replace(measure.SMALL if generated or request.budget == SMALL else {})
    settings = settings.replace(options, where="the settings of the measure")
    backbone = loaded(request, checkpoint)
    root, _ = places.data_root(request.data, "imagefolder", Journal(progress=request.progress))
    images = imagefolder.read(root, **request.selection.arguments())
    data = data_ref(images.ref, generated)

    def work(journal: Journal, folder: Path) -> dict[str, Any]:
        request.selection.save(folder, images)
        introduce(backbone, journal)
        device = request.device_name()
        found, *parts = measure.measure(
            backbone, images.val, settings, journal, seed=request.seed, device=device, splits=splits
        )
        for number, part in enumerate(parts, start=1):
            journal.say(
                f"part {number} of {splits}: "
                + ", ".join(f"{name} {value:.4g}" for name in BY_PART if (value := part.metrics[name]) is not None)
            )
        return {
            "kind": "measure",
            "task": REPRESENTATION,
            "protocol": settings.protocol,
            "version": measure.VERSION,
            "changed": settings.differences(
                published.replace({"probe": settings.probe, "probe_options": settings.probe_options})
            ),
            "engine": "probe",
            "probe": settings.probed(),
            "schedule": f"{settings.views} views of each image, pipeline {settings.pipeline}, probe {settings.probe}",
            "checkpoint": checkpoint_ref(backbone),
            "data": data,
            "seed": request.seed,
            "metrics": found.metrics,
            "intervals": found.intervals,
            "proof": {**account(backbone), **found.proof},
            "notes": notes(generated, *request.selection.remarks(), *remarks(backbone)),
        }

    what = {"version": measure.VERSION, "checkpoint": backbone.sha256, "seed": request.seed}
    plain = {
        "kind": "measure",
        **what,
        "data": str(root.resolve()),
        "data_fingerprint": data.fingerprint,
        **request.selection.plain(),
        **settings.model_dump(mode="json"),
    }
    name = f"representation-{slug(backbone)}-{data.name}-s{request.seed}"
    return execute(request, name, plain, [what, settings.numbers(), data.fingerprint], work)

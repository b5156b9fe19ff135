"""`bench measure`: invariance and diversity of a backbone's features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.verbs import SMALL, Finished, Request, account, execute, introduce, label, loaded, named, notes, reference, remarks
from pretrain.journal import Journal
from transfer import representation
from transfer.datasets import imagefolder


def run(request: Request, checkpoint: str, options: Mapping[str, Any]) -> Finished:
    """Measure on the validation images; `options` are fields of `MeasureSettings`.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    backbone = loaded(request, checkpoint)
    root, generated = places.data_root(request.data, "imagefolder", Journal(progress=request.progress))
    published = representation.MeasureSettings()
    settings = published.replace(representation.SMALL if generated or request.budget == SMALL else {})
    settings = settings.replace(options, where="the settings of the measure")
    images = imagefolder.read(root)
    data = named(images.ref, generated)

    def work(journal: Journal, folder: Path) -> dict[str, Any]:
        introduce(backbone, journal)
        device = request.device_name()
        metrics, proof = representation.measure(backbone, images.val, settings, journal, seed=request.seed, device=device)
        return {
            "kind": "measure",
            "task": "representation",
            "protocol": "representation",
            "version": representation.VERSION,
            "changed": settings.differences(published),
            "engine": "probe",
            "schedule": f"{settings.views} views of each image, pipeline {settings.pipeline}",
            "checkpoint": reference(backbone),
            "data": data,
            "seed": request.seed,
            "metrics": metrics,
            "proof": {**account(backbone), **proof},
            "notes": notes(generated, *remarks(backbone)),
        }

    what = {"version": representation.VERSION, "checkpoint": backbone.sha256, "seed": request.seed}
    plain = {
        "kind": "measure",
        **what,
        "data": str(root.resolve()),
        "data_fingerprint": data.fingerprint,
        **settings.model_dump(mode="json"),
    }
    name = f"representation-{label(backbone)}-{data.name}-s{request.seed}"
    return execute(request, name, plain, [what, settings.numbers(), data.fingerprint], work)

"""Where a step of pre-training waits for the GPU, by file and line, and what the GPU does meanwhile."""

import collections
import warnings
from functools import partial
from pathlib import Path

import torch

from parts import ROOT, Check, crops, finish, trainer

CASES = {
    "mocov2": {},
    "cutmix": {"aug": "cutmix"},
    "byol": {"method": "byol"},
    "supervised": {"method": "supervised", "supervision": "full"},
}
STEPS = 3


def check(check: Check) -> None:
    """Count warm steps' blocking points, and profile three steps."""
    for name, fields in CASES.items():
        run = trainer(check.device, batch=32 if check.gpu else 8, **fields)
        labels = torch.arange(run.recipe.batch) % 4 if run.config.labels_used else torch.full((run.recipe.batch,), -1)
        for step in range(2):
            run.step(step, crops(run, step), labels)
        ready = crops(run, 2)
        check.values[name] = found = _blocking(partial(run.step, 2, ready, labels), check)
        if check.gpu:
            check.require(not found, f"{name}: {sum(found.values())} blocking points")
    run = trainer(check.device, batch=32 if check.gpu else 8)
    labels, ready = torch.full((run.recipe.batch,), -1), crops(run, 0)
    run.step(0, ready, labels)
    check.values["profile"] = profile(lambda step: run.step(step + 1, ready, labels), check)


def _blocking(work, check: Check) -> dict[str, int]:  # type: ignore[no-untyped-def]
    """Do work; returns file and line of each blocking point, and how often it blocks. A CPU has none."""
    finish(check.device)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if check.gpu:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            if check.gpu:
                torch.cuda.set_sync_debug_mode("default")
    places = [f"{_short(each.filename)}:{each.lineno}" for each in told if "synchronizing" in str(each.message)]
    return dict(collections.Counter(places))


def _short(path: str) -> str:
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else "/".join(Path(path).parts[-3:])


def profile(step, check: Check) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Profile a few steps: kernels of a step, the share of time that the GPU is busy, and milliseconds of copies to it."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if check.gpu else [])]
    began = finish(check.device)
    with profiling(activities=activities) as seen:
        for each in range(STEPS):
            step(each)
        seconds = finish(check.device) - began
    if not check.gpu:
        return {"operators": round(sum(event.count for event in seen.key_averages()) / STEPS)}
    events = [event for event in seen.events() if str(event.device_type).endswith("CUDA")]
    kernels = [event for event in events if not event.name.startswith(("Mem", "ProfilerStep"))]
    copies = [event for event in events if event.name.startswith("Memcpy HtoD")]
    return {
        "kernels": round(len(kernels) / STEPS),
        "gpu_busy": round(sum(event.time_range.elapsed_us() for event in kernels) / 1e6 / seconds, 3),
        "h2d_ms": round(sum(event.time_range.elapsed_us() for event in copies) / 1e3 / STEPS, 3),
    }

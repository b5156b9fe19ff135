"""Twenty steps from the same weights on the CPU and on the device, and twice on the device."""

import torch

from parts import Check, losses, relative, trainer

CASES = {
    "mocov2": {},
    "un-mix": {"aug": "mixup", "mixed_target": "un-mix"},
    "supervised": {"method": "supervised", "supervision": "full"},
    "adamw": {"optimizer": "adamw", "base_lr": 1e-3},
    "fill": {"fill_queue": True},
}
LIMITS = {1: 1e-4, 5: 5e-3, 20: 5e-2}
"""Step → relative difference of the loss. A change of the weights by 1e-6, which is what rounding does, grows to 2e-4 at
step 5 and 6e-3 at step 20 on a CPU.
"""
REHEARSED = 5
"""Steps of a rehearsal."""
BF16 = 5e-2


def check(check: Check) -> None:
    """Losses stay near those of the CPU, are the same again, and near in bf16 and compiled."""
    limits = LIMITS if check.gpu else {step: limit for step, limit in LIMITS.items() if step <= REHEARSED}
    steps, batch = max(limits), 32 if check.gpu else 8
    for name, fields in CASES.items():
        own, run = losses(trainer("cpu", batch=batch, **fields), steps), trainer(check.device, batch=batch, **fields)
        apart = relative(losses(run, steps), own)
        for step, limit in limits.items():
            check.close(f"{name}, step {step}", apart[step - 1], limit)
        if hasattr(run.learner, "queue"):
            norms = run.learner.queue.keys.norm(dim=0)
            check.require(bool(norms.isfinite().all()), f"{name}: the queue holds numbers that are not finite")
            check.close(f"{name}, columns of the queue", float((norms - 1).abs().max()), 1e-3)
    first, again = (losses(trainer(check.device, batch=batch), steps) for _ in range(2))
    check.require(first == again, "two runs on the device differ in their losses")
    check.close("bf16", relative(losses(trainer(check.device, batch=batch, precision="bf16"), 5), first[:5])[-1], BF16)
    if check.gpu:  # a CPU's compiler is not always there, and says nothing of a GPU's
        torch._dynamo.reset()
        check.close("compiled", relative(losses(trainer(check.device, batch=batch, compile=True), 5), first[:5])[-1], LIMITS[5])

"""Beside the published code: same weights, same batches, ten steps.

MOCO_REPO names a clone of facebookresearch/moco at commit 7397dfe; its code is imported from there and never copied.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torchvision
from torch import Tensor, nn

from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.parts.branch import Branch

STEPS, BATCH, SIZE = 10, 32, 64
REPO = os.environ.get("MOCO_REPO")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(REPO is None, reason="MOCO_REPO names no clone of the published code"),
]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The published model on a CPU: its calls of `.cuda()` change nothing there."""
    monkeypatch.syspath_prepend(REPO)
    monkeypatch.setattr(Tensor, "cuda", lambda self, *_, **__: self)
    # On one process the shuffle changes no statistics, only the order of sums, whose rounding ten steps would amplify.
    monkeypatch.setattr(torch, "randperm", torch.arange)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", world_size=1, rank=0)
    from moco.builder import MoCo

    yield MoCo
    dist.destroy_process_group()
    for name in [name for name in sys.modules if name.split(".")[0] == "moco"]:
        del sys.modules[name]


@pytest.mark.parametrize(("projector", "temperature"), [("mlp", 0.2), ("linear", 0.07)])
def test_ten_steps_equal_the_published_codes(published: Any, projector: str, temperature: float) -> None:
    config = PretrainConfig.read(
        {"arch": "resnet18", "size": SIZE, "batch": BATCH, "queue": 128, "projector": projector, "temperature": temperature}
        | {"precision": "fp32"}
    )
    torch.manual_seed(0)
    theirs = published(torchvision.models.resnet18, 128, 128, 0.999, temperature, projector == "mlp").train()
    ours = config.method.learner(config.shape(classes=2)).train()
    for branch, encoder in ((ours.query, theirs.encoder_q), (ours.key.branch, theirs.encoder_k)):
        branch.load_state_dict({_name(name): tensor for name, tensor in encoder.state_dict().items()})
    ours.queue.keys.copy_(theirs.queue)
    optimizers = [
        torch.optim.SGD(parameters, 0.03, momentum=0.9, weight_decay=1e-4)
        for parameters in (ours.query.parameters(), filter(lambda p: p.requires_grad, theirs.parameters()))
    ]
    differences = {"loss": 0.0}
    labels = torch.full((BATCH,), -1)
    for step in range(STEPS):
        rng = torch.Generator().manual_seed(step)
        query, key = torch.randn(2, BATCH, 3, SIZE, SIZE, generator=rng)
        progress = Progress(step, STEPS, 0, 1)
        batch = Batch((Mixed(query), Mixed(key)), (query, key), labels, torch.arange(BATCH), progress)
        ours.before_forward(progress)
        losses = ours(batch)
        mine = losses.total
        logits, targets = theirs(im_q=query, im_k=key)
        loss = nn.functional.cross_entropy(logits, targets)
        for optimizer, value in zip(optimizers, (mine, loss), strict=True):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        ours.after_step(batch, losses)
        differences["loss"] = max(differences["loss"], abs(float(mine.detach()) - float(loss.detach())))
    differences["queue"] = float((ours.queue.keys - theirs.queue).abs().max())
    differences["key encoder"] = _largest(ours.key.branch, theirs.encoder_k.state_dict())
    differences["query encoder"] = _largest(ours.query, theirs.encoder_q.state_dict())
    print(f"{projector}: largest differences after {STEPS} steps: {differences}")
    assert int(ours.queue.end) == int(theirs.queue_ptr)
    assert max(differences.values()) < 1e-5


def _name(published: str) -> str:
    """The name in a branch of a tensor of the published encoder."""
    return f"head.{published.removeprefix('fc.')}" if published.startswith("fc.") else f"trunk.{published}"


def _largest(ours: Branch, published: dict[str, Tensor]) -> float:
    mine, theirs = ours.state_dict(), {_name(name): tensor for name, tensor in published.items()}
    assert mine.keys() == theirs.keys()
    return max(float((mine[name].double() - theirs[name].double()).abs().max()) for name in mine)

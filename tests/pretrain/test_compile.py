"""Compiled networks: all of them are, and their steps are those of networks that aren't."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer

TINY = {"arch": "resnet18", "size": 32, "batch": 4, "epochs": 4, "precision": "fp32", "seed": 3, "warmup_epochs": 0}
STEPS = 2


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Convolutions, or products for them, of each graph that ran, as it was traced: the compiler of C++ takes minutes."""
    ran: list[int] = []
    compiled = nn.Module.compile

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        names = [str(node.target) for node in graph.graph.nodes]
        convolutions = sum("conv2d" in name or "method cat " in name for name in names)  # a product's patches are put together

        def run(*tensors: Tensor) -> Any:
            ran.append(convolutions)
            return graph.forward(*tensors)

        return run

    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled(module, backend=backend))
    yield ran
    torch._dynamo.reset()


def losses(method: str, fields: dict[str, Any], *, compile_: bool) -> list[Tensor]:
    trainer = Trainer(PretrainConfig.read({**TINY, "method": method, **fields, "compile": compile_}), 4 * 4, 2, "cpu")
    found = []
    for step in range(STEPS):
        rng = torch.Generator().manual_seed(step)
        sizes = [view.size for view in trainer.config.views()]
        crops = [torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=rng) for size in sizes]
        found.append(trainer.step(step, crops, torch.full((4,), -1))[0])
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("method", "fields", "passes"),
    [
        ("mocov2", {"queue": 16}, 2),  # query and key
        ("simclr", {"hidden": 16}, 1),  # both views are one batch
        ("byol-sgd", {"method.hidden": 16}, 4),
    ],
)
def test_every_pass_is_compiled_and_a_step_is_what_it_was(
    method: str, fields: dict[str, Any], passes: int, ran: list[int]
) -> None:
    plain = losses(method, fields, compile_=False)
    assert not ran
    compiled = losses(method, fields, compile_=True)
    assert sum(ran) == 20 * passes * STEPS  # a ResNet-18 has 20 convolutions
    torch.testing.assert_close(torch.stack(compiled), torch.stack(plain), rtol=1e-5, atol=1e-6)

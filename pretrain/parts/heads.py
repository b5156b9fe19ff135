"""Heads on a backbone: multilayer perceptrons, prototypes, weight-normalised outputs.

Shapes: N images, D inputs, K outputs.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["none", "bn", "bn-plain", "bn-scale"]
"""`bn`: batch normalisation with scale and shift; `bn-plain`: without either; `bn-scale`: its shift stays at 0."""
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def mlp(
    widths: Sequence[int],
    *,
    bias: bool = True,
    norm: Norm = "none",
    activation: str = "relu",
    out_bias: bool = True,
    out_norm: Norm = "none",
    last: nn.Linear | None = None,
) -> nn.Sequential:
    """Build a perceptron (N, widths[0]) → (N, widths[-1]).

    Args:
        widths: Inputs, hidden widths, outputs; two or more.
        bias: Whether the hidden layers have a bias.
        norm: After each hidden layer, before its activation.
        activation: A name of `ACTIVATIONS`, after each hidden layer.
        out_bias: Whether the last layer has a bias.
        out_norm: After the last layer.
        last: A last layer drawn already; `out_bias` is then its own.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs, bias=bias), *_norm(norm, outputs), ACTIVATIONS[activation]()]
    layers += [last or nn.Linear(widths[-2], widths[-1], bias=out_bias), *_norm(out_norm, widths[-1])]
    return nn.Sequential(*layers)


def _norm(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "none":
        return []
    layer = nn.BatchNorm1d(width, affine=norm != "bn-plain")
    if norm == "bn-scale":
        layer.bias.requires_grad = False
    return [layer]


class Prototypes(nn.Linear):
    """K prototypes of unit length: embeddings (N, D) → cosines (N, K) (SwAV, arXiv:2006.09882)."""

    def __init__(self, inputs: int, prototypes: int) -> None:
        super().__init__(inputs, prototypes, bias=False)

    @torch.no_grad()
    def to_unit_length(self) -> None:
        """Scale each prototype to length 1; called before a pass, outside the gradient."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compare with every prototype."""
        return F.linear(F.normalize(embeddings, dim=1), self.weight)


def weight_normalised(inputs: int, outputs: int, *, trained_gain: bool = False) -> nn.Module:
    """Build a layer (N, D) → (N, K) without bias whose rows are w / ‖w‖ times a gain of 1 (DINO, arXiv:2104.14294).

    `trained_gain`: whether the gain of each row is trained.
    """
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(inputs, outputs, bias=False))
    gain: nn.Parameter = layer.parametrizations.weight.original0
    with torch.no_grad():
        gain.fill_(1.0)
    gain.requires_grad_(trained_gain)
    return layer


def layers_of(head: nn.Module) -> list[str]:
    """Name the kinds of a head's layers in their order: what a file says of it beside its tensors.

    Raises:
        TypeError: For a head with other layers than `mlp` makes.
    """
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    return [_kind(layer) for layer in layers]


def _kind(layer: nn.Module) -> str:
    made = nn.BatchNorm1d if isinstance(layer, nn.SyncBatchNorm) else type(layer)  # it differs while it trains alone
    for kind, known in {"linear": nn.Linear, "bn": nn.BatchNorm1d, **ACTIVATIONS}.items():
        if made is known:
            return kind
    raise TypeError(f"a head has no layer of the type {type(layer).__name__}; allowed: those that `mlp` makes")


def head_of(layers: Sequence[str], tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """Build the head that `layers_of` names, in eval mode; its widths are those of the tensors.

    Args:
        layers: Kinds of layers, in their order.
        tensors: The head's tensors by the names of an `nn.Sequential`: `0.weight`, `0.bias`, ...

    Raises:
        ValueError: If there is no such kind, or the tensors are not those of the layers, or don't fit each other.
    """
    built = nn.Sequential(*(_layer(kind, str(index), tensors) for index, kind in enumerate(layers)))
    try:
        built.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None
    widths = [tuple(layer.weight.shape) for layer in built if isinstance(layer, nn.Linear)]
    if not widths or any(first[0] != second[1] for first, second in itertools.pairwise(widths)):
        raise ValueError(f"linear layers of {widths} don't follow each other")
    return built.eval()


def _layer(kind: str, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind]()
    first = tensors.get(f"{name}.{'weight' if kind == 'linear' else 'running_mean'}")
    if kind not in ("linear", "bn") or first is None or first.dim() != (2 if kind == "linear" else 1):
        raise ValueError(f"no tensors of a layer {name} of the kind {kind!r}")
    if kind == "bn":
        return nn.BatchNorm1d(len(first), affine=f"{name}.weight" in tensors)
    return nn.Linear(first.shape[1], first.shape[0], bias=f"{name}.bias" in tensors)

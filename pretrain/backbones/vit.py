"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929), as timm builds and names them.

timm is imported when a network is built: the import takes a second or two.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import PUBLISHED_SIZE, Architecture, Shapes

PATCH = 16
"""Side of a patch in pixels."""
SPREAD = 0.02
"""Standard deviation of timm's truncated normal initialisation, cut at ±2 (a hundred deviations: it cuts nothing)."""
MAPPED_BLOCKS = (2, 5, 8, 11)
"""Blocks, counted from 0, whose patch tokens are the feature maps."""
LAST_BLOCKS = 4
"""Blocks whose class tokens `last4` joins."""
SLOWEST = 10_000.0
"""What the shortest wavelength of fixed positions, 2π patches, is multiplied with for the longest one, nearly."""


@dataclass(frozen=True)
class VisionTransformer(Architecture):
    """A plain ViT of timm's with learned position embeddings.

    Probes read the class token (MoCo v3, arXiv:2104.02057). Its maps are the patch tokens after four blocks, without the class
    token and before the final norm, all of stride 16. Images of other sizes than it was built for get position embeddings by
    bicubic interpolation (timm's `dynamic_img_size`).
    """

    family: ClassVar[str] = "vit"
    head: ClassVar[str] = "head"
    # What relatives have and these networks lack stands here too, so that it counts as extra and is never dropped in silence.
    parts: ClassVar[frozenset[str]] = frozenset(
        {"cls_token", "pos_embed", "patch_embed", "blocks", "norm", "norm_pre", "reg_token", "dist_token", "attn_pool"}
    )
    names: ClassVar[re.Pattern[str]] = re.compile(
        r"cls_token|pos_embed|(patch_embed\.proj|norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))\.\w+"
    )
    first: ClassVar[str] = "patch_embed.proj.weight"
    features: ClassVar[str] = "the class token after the final norm"
    readings: ClassVar[Mapping[str, str]] = {
        "mean": "the mean of the patch tokens after the final norm",
        "last4": f"the class tokens of the last {LAST_BLOCKS} blocks, each after the final norm, joined",
    }
    initialisation: ClassVar[str] = ""
    """timm's name of how weights are drawn; empty: its default."""
    users: ClassVar[str] = "timm's, DINO's and DeiT's"
    """Whose networks have these heads."""
    eps: ClassVar[float] = 1e-6
    multiple: ClassVar[int] = PATCH

    name: str
    width: int
    heads: int
    """Attention heads of each block. NOTE: no tensor shows them; MoCo v3's ViT-S has 12 where timm's and DINO's have 6."""
    timm_name: str
    """timm's name of it."""
    alike: str = ""
    """The entry before it of which no tensor's name or shape tells it."""
    map_names: tuple[str, ...] = tuple(f"blocks.{block}" for block in MAPPED_BLOCKS)

    @property
    def unseen(self) -> Mapping[str, Any]:
        """See `Architecture`."""
        return {"heads": self.heads, "features": self.features}

    @property
    def taken_for(self) -> str:
        """See `Architecture`."""
        return self.alike or self.name

    @property
    def assumed(self) -> str:
        """See `Architecture`."""
        return f"read with {self.heads} attention heads, as {self.users}, which no tensor shows"

    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        """See `Architecture`. The position embeddings have one entry for the class token and each patch of `size`."""
        import timm

        model: nn.Module = timm.create_model(
            self.timm_name,
            num_classes=outputs,
            img_size=size,
            dynamic_img_size=True,
            num_heads=self.heads,
            weight_init=self.initialisation,
        )
        model.register_forward_pre_hook(self._require_sides)
        return model

    def _require_sides(self, trunk: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for side in inputs[0].shape[2:]:
            self.require_size(side)

    def drop_paths(self, trunk: nn.Module, rate: float) -> None:
        """See `Architecture`: timm's, on a line over the blocks."""
        from timm.layers.drop import DropPath

        blocks: Any = trunk
        for index, block in enumerate(blocks.blocks):
            own = rate * index / max(len(blocks.blocks) - 1, 1)
            block.drop_path1, block.drop_path2 = (DropPath(own) if own else nn.Identity() for _ in range(2))

    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        """See `Architecture`."""
        blocks: Any = trunk
        outputs: list[Tensor] = blocks.forward_intermediates(images, indices=list(MAPPED_BLOCKS), intermediates_only=True)
        return outputs

    def read(self, trunk: nn.Module, images: Tensor, reading: str) -> Tensor:
        """See `Architecture`."""
        if reading not in self.readings:
            return super().read(trunk, images, reading)
        self._require_sides(trunk, (images,))
        model: Any = trunk
        blocks = 1 if reading == "mean" else LAST_BLOCKS
        tokens: list[tuple[Tensor, Tensor]] = model.get_intermediate_layers(
            images, blocks, return_prefix_tokens=True, norm=True
        )
        if reading == "mean":
            return tokens[0][0].mean(dim=1)
        return torch.cat([special[:, 0] for _, special in tokens], dim=1)

    def size_of(self, shapes: Shapes) -> int:
        """See `Architecture`. Position embeddings that are no square with a class token are taken for the published ones."""
        shape = shapes.get("pos_embed", ())
        side = math.isqrt(max(shape[1] - 1, 0)) if len(shape) == 3 else 0
        return PATCH * side if side and side**2 + 1 == shape[1] else PUBLISHED_SIZE

    def in_timm(self, shapes: Shapes) -> tuple[str, Mapping[str, Any]] | None:
        """See `Architecture`."""
        return self.timm_name, {"num_heads": self.heads, "img_size": self.size_of(shapes), "dynamic_img_size": True}

    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        """See `Architecture`. timm draws the weights of linear layers with deviation 0.02; the projection of patches, a
        convolution, with torch's default, uniform of variance 1 / (3 · inputs), of which each output has `inputs` weights.
        """
        if name == self.first:
            return math.sqrt(shape[0] / 3)
        return SPREAD * math.sqrt(math.prod(shape)) if len(shape) == 2 else None


@dataclass(frozen=True)
class FixedTransformer(VisionTransformer):
    """MoCo v3's (arXiv:2104.02057; facebookresearch/moco-v3 @c349e6e, vits.py): positions are fixed sines and cosines, and the
    projection of patches stays as drawn (`--stop-grad-conv1`, section 4.2 of the paper).

    Both are in its file, as the others' learned ones are. Seen at another size, positions are interpolated, as the others'.
    """

    initialisation: ClassVar[str] = "moco"
    users: ClassVar[str] = "MoCo v3's"

    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        """See `Architecture`. Linear layers are drawn from Xavier's uniform distribution, queries, keys and values each for
        itself, which is timm's; the class token from N(0, 1e-6²); then the projection, as if it were a linear layer.
        """
        model: Any = super().classifier(outputs, stem, size)
        projection, side = model.patch_embed.proj, size // PATCH
        bound = math.sqrt(6 / (projection.weight[0].numel() + self.width))
        nn.init.uniform_(projection.weight, -bound, bound)
        nn.init.zeros_(projection.bias)
        projection.requires_grad_(False)
        model.pos_embed.data[:] = fixed_positions(side, side, self.width)
        model.pos_embed.requires_grad_(False)
        return model

    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        """See `Architecture`. Xavier's variance is 2 / (inputs + outputs)."""
        if name == self.first:
            shape = (shape[0], math.prod(shape[1:]))
        if len(shape) != 2:
            return None
        outputs = shape[0] // 3 if ".qkv." in name else shape[0]
        return math.sqrt(math.prod(shape) * 2 / (outputs + shape[1]))


def fixed_positions(rows: int, columns: int, width: int) -> Tensor:
    """Compute MoCo v3's position embeddings (1, 1 + rows · columns, width): zeros for the class token, then row by row.

    A quarter of the width each is sine and cosine of the row and sine and cosine of the column, times frequencies that fall
    from 1 geometrically. NOTE: the code calls the first index the width's; its patches come row by row, so it is the row's.
    """
    frequencies = SLOWEST ** -(torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (row, column)]
    table = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    return torch.cat([torch.zeros(1, width), table])[None]


VIT_SMALL = VisionTransformer("vit_small", width=384, heads=6, timm_name="vit_small_patch16_224")
VIT_BASE = VisionTransformer("vit_base", width=768, heads=12, timm_name="vit_base_patch16_224")
VIT_SMALL_MOCOV3 = FixedTransformer("vit_small_mocov3", 384, heads=12, timm_name=VIT_SMALL.timm_name, alike=VIT_SMALL.name)
VIT_BASE_MOCOV3 = FixedTransformer("vit_base_mocov3", 768, heads=12, timm_name=VIT_BASE.timm_name, alike=VIT_BASE.name)

"""timm's most downloaded ResNets, by the files that the Hugging Face Hub has: read with the right recipe, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from pretrain.core.errors import CheckpointError
from transfer import sources

HALF = ([0.5] * 3, [0.5] * 3)
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
DEEP, WIDE = r"three 3×3 convolutions", "wider than a ResNet"
VERDICTS: dict[str, tuple[tuple[list[float], list[float]], str]] = {
    "resnet18.a1_in1k": (IMAGENET, ""),
    "resnet18.tv_in1k": (IMAGENET, ""),
    "resnet18.fb_swsl_ig1b_ft_in1k": (IMAGENET, ""),
    "resnet18.fb_ssl_yfcc100m_ft_in1k": (IMAGENET, ""),
    "resnet34.a1_in1k": (IMAGENET, ""),
    "resnet34.tv_in1k": (IMAGENET, ""),
    "resnet34.bt_in1k": (IMAGENET, ""),
    "resnet34.ra4_e3600_r224_in1k": (HALF, ""),
    "resnet50.a1_in1k": (IMAGENET, ""),
    "resnet50.a1h_in1k": (IMAGENET, ""),
    "resnet50.a2_in1k": (IMAGENET, ""),
    "resnet50.a3_in1k": (IMAGENET, ""),
    "resnet50.am_in1k": (IMAGENET, ""),
    "resnet50.b1k_in1k": (IMAGENET, ""),
    "resnet50.ram_in1k": (IMAGENET, ""),
    "resnet50.tv_in1k": (IMAGENET, ""),
    "resnet50.tv2_in1k": (IMAGENET, ""),
    "resnet50.gluon_in1k": (IMAGENET, ""),
    "resnet50.fb_swsl_ig1b_ft_in1k": (IMAGENET, ""),
    "resnet50.fb_ssl_yfcc100m_ft_in1k": (IMAGENET, ""),
    "resnet101.a1h_in1k": (IMAGENET, ""),
    "resnet101.tv_in1k": (IMAGENET, ""),
    "resnet152.a1h_in1k": (IMAGENET, "deeper ResNet"),
    "resnet26.bt_in1k": (IMAGENET, "timm's ResNet-26"),
    "resnet10t.c3_in1k": (IMAGENET, DEEP),
    "resnet14t.c3_in1k": (IMAGENET, DEEP),
    "resnet18d.ra2_in1k": (IMAGENET, DEEP),
    "resnet26t.ra2_in1k": (IMAGENET, DEEP),
    "resnet50c.gluon_in1k": (IMAGENET, DEEP),
    "resnet50d.ra2_in1k": (IMAGENET, DEEP),
    "resnet50d.ra4_e3600_r224_in1k": (HALF, DEEP),
    "resnet50s.gluon_in1k": (IMAGENET, DEEP),
    "resnet101d.ra2_in1k": (IMAGENET, DEEP),
    "resnet152d.ra2_in1k": (IMAGENET, DEEP),
    "resnet50_gn.a1h_in1k": (IMAGENET, "no running statistics"),
    "resnetaa50.a1h_in1k": (IMAGENET, r"averages \(anti-aliasing\)"),
    "resnetaa50d.sw_in12k_ft_in1k": (IMAGENET, DEEP),
    "resnetblur50.bt_in1k": (IMAGENET, r"blurs \(anti-aliasing\)"),
    "resnetrs50.tf_in1k": (IMAGENET, DEEP),
    "seresnet50.a1_in1k": (IMAGENET, "squeeze-and-excitation"),
    "ecaresnet50d.miil_in1k": (IMAGENET, DEEP),
    "wide_resnet50_2.racm_in1k": (IMAGENET, WIDE),
    "resnext50_32x4d.a1h_in1k": (IMAGENET, "ResNeXt"),
    "resnet50_clip.openai": (CLIP, "pooling by attention"),
    "resnetv2_50.a1h_in1k": (HALF, "no ResNet|holds no|no backbone"),
}
"""Name and tag → its mean and deviation, and why it is refused; empty: it is read."""


def lay(name: str, folder: Path) -> Path:
    """Write the files of the Hub: `config.json`, as timm pushes it, and the weights, each tensor one number."""
    with torch.device("meta"):
        state = timm.create_model(name.partition(".")[0]).state_dict()
    numbers: dict[str, Any] = {
        key: torch.tensor(0.5 + i / 1000).to(each.dtype).expand(each.shape) for i, (key, each) in enumerate(state.items())
    }
    torch.save(numbers, folder / "pytorch_model.bin")
    cfg = timm.get_pretrained_cfg(name)
    assert cfg is not None
    about = {"architecture": name.partition(".")[0], "num_classes": cfg.num_classes, "pretrained_cfg": cfg.to_dict()}
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("name", VERDICTS)
def test_each_is_read_as_its_configuration_says_or_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    (mean, std), refused = VERDICTS[name]
    path = lay(name, tmp_path)
    cfg = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    assert (cfg["mean"], cfg["std"]) == (mean, std)  # timm's own data: the table here says what it does
    if refused:
        with pytest.raises(CheckpointError, match=refused):
            sources.load(str(path))
        return
    backbone = sources.load(str(path))
    assert backbone.arch == name.partition(".")[0]
    assert (list(backbone.recipe.seen.mean), list(backbone.recipe.seen.std)) == (mean, std)
    assert backbone.assumed == tuple(
        each for each in ("order", "stride", "eps") if each != "stride" or backbone.arch in ("resnet50", "resnet101")
    )

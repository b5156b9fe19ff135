"""Methods on vision transformers: what MoCo v3 keeps fixed, and what DINO leaves out at random."""

from typing import Any

import torch

from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer

TINY = {"size": 32, "batch": 8, "precision": "fp32", "hidden": 32, "epochs": 1}


def trainer(method: str, arch: str, **own: Any) -> Trainer:
    config = PretrainConfig.read({"method": method, **TINY, "arch": arch, **own})
    return Trainer(config, 24, 2, "cpu")


def stepped(made: Trainer, step: int) -> float:
    rng = torch.Generator().manual_seed(step)
    sizes = [view.size for view in made.config.views()]
    crops = [torch.randint(0, 256, (8, 3, size, size), dtype=torch.uint8, generator=rng) for size in sizes]
    return made.step(step, crops, torch.full((8,), -1))[0]


def test_moco_v3_s_projection_and_positions_stay_bit_for_bit_as_drawn() -> None:
    recipe = {"optimizer": "adamw", "groups": [], "base_lr": 0.03, "weight_decay": 0.1, "schedule": {"warmup_epochs": 0}}
    made = trainer("mocov3", "vit_small_mocov3", feature_dim=16, recipe=recipe)
    trunk: Any = made.learner.online.trunk  # type: ignore[union-attr]
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    for step in range(2):
        stepped(made, step)
    same = {name for name, tensor in trunk.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert all(torch.equal(made.learner.export().backbone[name], before[name]) for name in same)


def test_dino_s_student_alone_leaves_blocks_out() -> None:
    own = {"outputs": 24, "bottleneck": 16, "local_views": 1, "local_size": 16, "warmup_epochs": 0}
    losses = {rate: stepped(trainer("dino", "vit_small", drop_path=rate, **own), 0) for rate in (0.0, 0.5)}
    assert losses[0.0] != losses[0.5]
    made = trainer("dino", "vit_small", drop_path=0.5, **own)
    assert stepped(made, 0) == losses[0.5]  # drawn with the step's seed
    learner: Any = made.learner
    rates = [block.drop_path1.drop_prob for block in learner.online.trunk.blocks[1:]]
    assert rates == [0.5 * index / 11 for index in range(1, 12)]
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(*(learner.target.branch.trunk(images) for _ in range(2)))
        assert not torch.equal(*(learner.online.trunk(images) for _ in range(2)))

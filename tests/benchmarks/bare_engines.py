"""The engines without us: a plain loop around each, from the native configuration that a run of ours has left in its folder."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

Step = Callable[[int], None]
"""Called after each iteration with the number of iterations done."""


def torchvision(data: Path, run_folder: Path, arch: str, step: Step) -> None:
    """The model, loader and optimiser of our torchvision engine, and nothing that a training doesn't need."""
    import torch
    import yaml

    from pretrain.core.journal import Journal
    from transfer import sources, tasks
    from transfer.datasets import coco
    from transfer.engines.torchvision.data import ORDER, SAMPLING, torch_random
    from transfer.engines.torchvision.engine import FAMILIES, NATIVE_CONFIG
    from transfer.engines.torchvision.train import Fit, learning_rate, make_optimizer, samples

    written = yaml.safe_load((run_folder / NATIVE_CONFIG).read_text())
    settings = tasks.get("coco-c4").settings.read(written["settings"])
    content = coco.read(data, **settings.splits())
    torch.manual_seed(0)
    model = FAMILIES[settings.family](arch, len(written["classes"]), settings)
    model.load_backbone(sources.load(f"random:{arch}").state)
    model.train()
    optimizer = make_optimizer(model, settings)
    feed = samples(Fit(content.train, settings, 0, run_folder, "", Journal()), ORDER)
    for number in itertools.count():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, number)
        losses = model.losses(next(feed), torch_random(0, SAMPLING, number))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        step(number + 1)


def detectron2(data: Path, run_folder: Path, arch: str, step: Step) -> None:
    """Its own trainer, loaders and writers."""
    from detectron2.config import get_cfg
    from detectron2.data.datasets import register_coco_instances
    from detectron2.engine import DefaultTrainer, HookBase
    from detectron2.utils.env import seed_all_rng

    from transfer.engines.detectron2.engine import NATIVE_CONFIG
    from transfer.engines.detectron2.roi_heads import register_heads

    class Counted(HookBase):
        def after_step(self) -> None:
            step(self.trainer.iter + 1)

    cfg = get_cfg()
    cfg.merge_from_file(str(run_folder / NATIVE_CONFIG))
    cfg.OUTPUT_DIR = str(run_folder.parent / "bare")
    Path(cfg.OUTPUT_DIR).mkdir()
    for name, split in zip((cfg.DATASETS.TRAIN[0], cfg.DATASETS.TEST[0]), ("train2017", "val2017"), strict=True):
        register_coco_instances(name, {}, str(data / f"annotations/instances_{split}.json"), str(data / split))
    register_heads()
    seed_all_rng(cfg.SEED)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.register_hooks([Counted()])
    trainer.train()


def mmseg(data: Path, run_folder: Path, arch: str, step: Step) -> None:
    """mmengine's Runner."""
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.runner import Runner
    from mmseg.utils import register_all_modules

    from transfer.engines.mmseg.aspp import register_heads
    from transfer.engines.mmseg.engine import NATIVE_CONFIG

    class Counted(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            step(batch_idx + 1)

    register_all_modules()
    register_heads()
    config = Config.fromfile(str(run_folder / NATIVE_CONFIG))
    config.work_dir = str(run_folder.parent / "bare")
    runner = Runner.from_cfg(config)
    runner.register_hook(Counted(), priority="LOWEST")
    runner.train()


BARE: dict[str, Callable[[Path, Path, str, Step], None]] = {
    "torchvision": torchvision,
    "detectron2": detectron2,
    "mmseg": mmseg,
}

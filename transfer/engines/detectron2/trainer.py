"""Detectron2's trainer, with hooks, loaders and an evaluator of this project's."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn

from pretrain.core import distributed, launcher
from pretrain.core.workers import watched
from transfer.engines.detectron2.catalogue import Checked
from transfer.engines.detectron2.checkpoint import tag_whole
from transfer.engines.detectron2.roi_heads import register_heads
from transfer.engines.detectron2.watch import Watch


def make_trainer(cfg: Any, watch: Watch, seed: int) -> Any:
    """Make Detectron2's trainer with the converted backbone loaded.

    Args:
        cfg: The configuration.
        watch: Called after each step, and with what the evaluation finds.
        seed: Seed of all random numbers; nothing is drawn before it is set.
    """
    from detectron2.utils.env import seed_all_rng

    register_heads()
    seed_all_rng(seed + distributed.rank())
    with _process_group(cfg):
        trainer = _trainer_class(watch)(cfg)
    trainer.resume_or_load(resume=False)
    tag_whole(trainer.checkpointer)
    return trainer


def _trainer_class(watch: Watch) -> Any:
    """Derive a trainer from Detectron2's that reports to `watch` and names images that can't be read."""
    from detectron2 import data
    from detectron2.engine import DefaultTrainer, HookBase, hooks

    class Trained(HookBase):  # type: ignore[misc]
        def after_step(self) -> None:
            watch.trained = self.trainer.iter + 1

    class AfterStep(HookBase):  # type: ignore[misc]
        def after_step(self) -> None:
            watch.after_step(self.trainer)

    class Trainer(DefaultTrainer):  # type: ignore[misc]
        @classmethod
        def build_evaluator(cls, cfg: Any, dataset_name: str) -> Watch:
            return watch

        @classmethod
        def build_train_loader(cls, cfg: Any) -> Any:
            grouped = data.build_detection_train_loader(cfg, mapper=Checked(data.DatasetMapper(cfg, True)))
            grouped.dataset = watched(grouped.dataset)
            return grouped

        @classmethod
        def build_test_loader(cls, cfg: Any, dataset_name: str) -> Any:
            return watched(data.build_detection_test_loader(cfg, dataset_name, mapper=Checked(data.DatasetMapper(cfg, False))))

        @classmethod
        def test(cls, cfg: Any, model: nn.Module, evaluators: Any = None) -> Any:
            # The means of precise BN are weighted differently in each process; one detector is evaluated.
            distributed.as_the_first(model.buffers())
            return super().test(cfg, model, evaluators)

        def build_writers(self) -> list[Any]:
            return []

        def build_hooks(self) -> list[Any]:
            # In the place of their checkpoints, which come by iterations and stay, and in the first process alone.
            others = [each for each in super().build_hooks() if not isinstance(each, hooks.PeriodicCheckpointer)]
            evaluation = next(index for index, each in enumerate(others) if isinstance(each, hooks.EvalHook))
            return [Trained(), *others[:evaluation], AfterStep(), *others[evaluation:]]

    return Trainer


@contextlib.contextmanager
def _process_group(cfg: Any) -> Iterator[None]:
    """Register the process group with Detectron2, whose own launcher makes it otherwise.

    NOTE: Detectron2 names a GPU for the averaging of gradients even where there is none, which torch refuses; so on CPUs its
    function for that is called, as long as the block lasts, with none.
    """
    from detectron2.engine import defaults
    from detectron2.utils import comm

    if distributed.world() == 1:
        yield
        return
    comm.create_local_process_group(launcher.processes_here())
    original = defaults.create_ddp_model
    if cfg.MODEL.DEVICE == "cpu":
        defaults.create_ddp_model = partial(original, device_ids=None)
    try:
        yield
    finally:
        defaults.create_ddp_model = original

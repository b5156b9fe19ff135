"""Detection by Detectron2's own trainer.

In the run's folder it leaves `detectron2_config.yaml` (the run, to be repeated without bench), `predictions.png`, and
`detectron2/` with the converted backbone, Detectron2's log and, while it runs, the last checkpoint.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.checkpoint import save_atomically
from pretrain.core import distributed, interrupt
from pretrain.core.errors import TrainingError
from transfer.convert import detectron2_payload
from transfer.detection.found import Found
from transfer.engines import estimate
from transfer.engines.detection import DetectionEngine
from transfer.engines.detectron2 import checkpoint
from transfer.engines.detectron2.catalogue import has_bit_masks, registered
from transfer.engines.detectron2.config import EXTRA_NORM_HEADS, files, native_config
from transfer.engines.detectron2.log import quiet
from transfer.engines.detectron2.proof import proven, set_eps
from transfer.engines.detectron2.trainer import make_trainer
from transfer.engines.detectron2.watch import Watch
from transfer.engines.driver import Resumed
from transfer.engines.estimate import Step, Work
from transfer.engines.job import Job
from transfer.engines.parallel import bare

NATIVE_CONFIG = "detectron2_config.yaml"
HEADER = f"""\
# Detectron2's own configuration of this run. To repeat it without bench: register the two data sets named in DATASETS
# (register_coco_instances or register_pascal_voc) and, for C4, the heads {EXTRA_NORM_HEADS} (moco, detection/train_net.py;
# ResNet-18 and 34 need their res5 of two or three basic blocks there). Then seed_all_rng(SEED), DefaultTrainer(cfg),
# resume_or_load(resume=False), train(); for several processes all of it within detectron2.engine.launch, with SEED + rank.
"""
EPS = "# The backbone's norms have eps = {:g}, for which Detectron2 has no setting: set it in the trainer's model.\n"
BIT_MASKS_NOTE = "some masks are run-length encoded: Detectron2 trains on all of them as bit maps"
RESUMED_NOTE = "training was resumed: Detectron2 restores weights, momentum and schedule, not the order of the images"


class Detectron2(DetectionEngine):
    """A job on this engine."""

    NAME = "detectron2"

    def __init__(self, job: Job) -> None:
        """See `Engine`."""
        super().__init__(job)
        self.folder = job.folder.resolve() / "detectron2"
        self.watch = Watch(job, self.settings, self.data)
        self.bit_masks = self.settings.masks and any(map(has_bit_masks, self.data.train))
        self.resumed = False

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Keep Detectron2's log off the console, and the data in its catalogue."""
        with distributed.first_alone():
            self.folder.mkdir(parents=True, exist_ok=True)
        with quiet(self.folder), registered(self.data, self.settings) as self.names:
            yield self

    def build(self) -> None:
        """Make the trainer from the native configuration, which is written beside the converted backbone."""
        self.trainer = make_trainer(self._config(), self.watch, self.job.seed)
        set_eps(bare(self.trainer.model), self.job.backbone.recipe.variant.eps)

    def _config(self) -> Any:
        from detectron2.config import get_cfg

        job, weights, world = self.job, self.folder / "backbone.pth", distributed.world()
        device = job.device if world == 1 else torch.device(job.device).type  # each process has its own by then
        arch, classes, (train, val) = job.backbone.arch, len(self.data.classes), self.names
        ours = partial(native_config, self.settings, arch=arch, classes=classes, bit_masks=self.bit_masks, seed=job.seed)
        ours = partial(ours, backbone=job.backbone.recipe)
        flat = ours(train=train, val=val, device=device, processes=world) | files(weights, self.folder)
        cfg = get_cfg()
        cfg.merge_from_list([part for item in flat.items() for part in item])
        with distributed.first_alone():
            if distributed.rank() == 0:
                save_atomically(detectron2_payload(job.backbone.state), weights)
                eps = job.backbone.recipe.variant.eps
                header = HEADER if eps is None else HEADER + EPS.format(eps)
                (job.folder / NATIVE_CONFIG).write_text(header + cfg.dump(), encoding="utf-8")
        return cfg

    def prepared(self, path: Path) -> Tensor:
        """Read a picture in the configured order of channels; the model normalises it itself."""
        from detectron2.data import detection_utils

        pixels = detection_utils.read_image(str(path), format=self.trainer.cfg.INPUT.FORMAT)
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        seen: Tensor = bare(self.trainer.model).preprocess_image([{"image": image}]).tensor[0]
        return seen

    @property
    def network(self) -> nn.Module:
        """See `Engine`."""
        model: nn.Module = bare(self.trainer.model)
        return model

    def prove(self) -> dict[str, float]:
        """See `Engine`."""
        return proven(self.job.backbone, bare(self.trainer.model), self.settings)

    def step(self) -> Step:
        """Prepare a training step on one image, taken twice; on a GPU, on a batch."""
        from detectron2.utils.events import EventStorage

        batch = next(iter(self.trainer.build_train_loader(self.trainer.cfg)))
        batch = [batch[0], batch[0]] if estimate.together(self.job.device, len(batch), 2) == 2 else batch
        trial = copy.deepcopy(bare(self.trainer.model)).train()

        def step() -> Work:
            with EventStorage():
                sum(trial(batch).values()).backward()
            return Work(trained=len(batch))

        return Step(trial, step)

    def resume(self) -> Resumed:
        """Load the last checkpoint, if there is one."""
        done = checkpoint.resume(self.trainer, self.job.identity)
        self.resumed = done > 0
        return Resumed(done, self.trainer.max_iter, stages={"train": done})

    def train(self) -> None:
        """Train; Detectron2's hooks then set the statistics of BN, and evaluate."""
        if self.settings.iters == 0:
            return
        try:
            with interrupt.saving(lambda: self.watch.save_between(self.trainer)):
                self.trainer.train()
        except FloatingPointError as error:
            fix = "use a smaller learning rate (--set lr=...) or a longer warm-up (--set warmup=...)"
            seen = " ".join(str(error).split())
            wrong = f"the loss is not finite at iteration {self.trainer.iter + 1}"
            raise TrainingError(wrong, seen=seen, fix=fix) from None

    def evaluate(self) -> None:
        """Set the statistics of BN and evaluate, where nothing was to train."""
        from detectron2.engine import hooks

        if self.settings.iters:
            return
        for hook in self.trainer._hooks:
            if isinstance(hook, hooks.PreciseBN):
                hook.update_stats()
        self.trainer.test(self.trainer.cfg, self.trainer.model)

    def found(self) -> Sequence[Found]:
        """See `DetectionEngine`."""
        return self.watch.found

    def about(self) -> str:
        """See `DetectionEngine`."""
        import detectron2

        return f"Detectron2 {detectron2.__version__}"

    def particulars(self) -> tuple[str, ...]:
        """See `DetectionEngine`."""
        masks = (BIT_MASKS_NOTE,) if self.bit_masks else ()
        return (*masks, RESUMED_NOTE) if self.resumed else masks

    def spent(self) -> tuple[Path, ...]:
        """Return the checkpoints; the file with the last one's name first: never a name without its file."""
        return (self.folder / checkpoint.POINTER, *self.folder.glob(checkpoint.NAMES))

"""Semantic segmentation by MMSegmentation.

In the run's folder it leaves `mmseg_config.py` (the run, to be repeated without bench), `predictions.png`, and `mmseg/` with
the converted backbone, the image lists, the log and the last checkpoint.
"""

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from pretrain.checkpoint import save_atomically
from pretrain.core import distributed, interrupt
from pretrain.core.errors import BenchError
from pretrain.images.decode import opened, rgb
from transfer.convert import mmseg_payload
from transfer.datasets.segmentation import SegmentationData, spread
from transfer.engines import estimate
from transfer.engines.driver import PREDICTIONS, Engine, Resumed
from transfer.engines.estimate import Step, Work
from transfer.engines.job import Job
from transfer.engines.mmseg.checkpoint import LAST, Checkpoints, saved
from transfer.engines.mmseg.config import native_config
from transfer.engines.mmseg.hooks import Statistics, Watch
from transfer.engines.mmseg.loaders import write_label_maps, write_lists
from transfer.engines.mmseg.model import PYRAMID_HEAD
from transfer.engines.mmseg.notes import RESUMED, bn_note
from transfer.engines.mmseg.proof import proven
from transfer.engines.mmseg.runner import as_hook, close, fill_tables, make_runner, resume_from
from transfer.engines.parallel import bare
from transfer.segmentation.label_maps import draw
from transfer.tasks import TaskSettings
from transfer.tasks.segmentation import METRICS, SegmentationSettings

NATIVE_CONFIG = "mmseg_config.py"
HEADER = f"""\
# MMSegmentation's own configuration of this run. To repeat it without bench: Runner.from_cfg(Config.fromfile(...)).train(),
# in as many processes. The head {PYRAMID_HEAD} is DeepLabV3's as Detectron2 has it (detectron2/layers/aspp.py), with
# windows of a training crop; for it, and for precise BN before the evaluation, see bench's transfer/engines/mmseg.
"""
ASPECT = 2.0
"""Width of a test image in its heights, as the estimate takes it to be."""


class MMSegmentation(Engine[SegmentationSettings, SegmentationData]):
    """A job on this engine."""

    NAME = "mmseg"
    SETTINGS: ClassVar[type[TaskSettings]] = SegmentationSettings
    TASKS = "segmentation tasks"
    runner: Any = None

    def __init__(self, job: Job) -> None:
        """See `Engine`."""
        super().__init__(job)
        self.folder = job.folder.resolve() / "mmseg"
        self.evaluated = len(spread(self.data.val, self.settings.max_val_images))
        self.watch = Watch(job, self.settings.iters, self.evaluated)
        self.resumed = Resumed()

    @contextlib.contextmanager
    def session(self) -> Iterator[Self]:
        """Let go of the log file at the end."""
        with warnings.catch_warnings():
            # At other sizes than 769 the corners of features and image differ, which mmseg points out once.
            warnings.filterwarnings("ignore", message="When align_corners=True")
            try:
                yield self
            finally:
                if self.runner is not None:
                    close(self.runner)

    def build(self) -> None:
        """Write the files that the configuration names, then make the runner from it."""
        from mmengine.config import Config

        job, settings = self.job, self.settings
        backbone, first = self.folder / "backbone.pth", distributed.rank() == 0
        if first:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_atomically(mmseg_payload(job.backbone.state), backbone)
            write_lists(settings, self.data, self.folder)
            write_label_maps(self.data, self.folder)
        distributed.barrier()
        fill_tables()
        ours = partial(native_config, settings, self.data, arch=job.backbone.arch, backbone=backbone, work=self.folder)
        ours = partial(ours, recipe=job.backbone.recipe)
        device = job.device.partition(":")[0]
        config = Config(ours(seed=job.seed, device=device, processes=distributed.world()), format_python_code=False)
        if first:
            (job.folder / NATIVE_CONFIG).write_text(HEADER + config.pretty_text, encoding="utf-8")
        self.runner = make_runner(config, job.folder.name, job.device)
        self.runner.register_hook(as_hook(self.watch))
        self.checkpoints = Checkpoints(job, self.folder, settings.iters, settings.checkpoint_every)
        self.runner.register_hook(as_hook(self.checkpoints), priority="VERY_LOW")
        if settings.precise_bn:
            self.runner.register_hook(as_hook(Statistics(job, settings)))

    def prepared(self, path: Path) -> Tensor:
        """Read a picture as the validation images are read, and let the model's own preprocessor normalise it."""
        from mmseg.registry import TRANSFORMS

        read = TRANSFORMS.build(self.runner.cfg.val_dataloader.dataset.pipeline[0])
        bgr = torch.from_numpy(read({"img_path": str(path)})["img"].copy()).permute(2, 0, 1)  # it turns Pillow's RGB round
        seen: Tensor = bare(self.runner.model).data_preprocessor({"inputs": [bgr]}, False)["inputs"][0]
        return seen

    @property
    def network(self) -> nn.Module:
        """See `Engine`."""
        model: nn.Module = bare(self.runner.model)
        return model

    def prove(self) -> dict[str, float]:
        """See `Engine`."""
        return proven(self.job.backbone, bare(self.runner.model), self.settings)

    def work(self) -> Work:
        """Count in training crops; a test image counts as so many as it has their pixels."""
        settings, height = self.settings, self.settings.short_side or self.data.short_side
        crops = ASPECT * height**2 / math.prod(settings.crop_size)
        forwarded = settings.precise_bn * settings.batch + self.evaluated * crops
        return Work(trained=settings.iters * settings.batch, forwarded=forwarded)

    def step(self) -> Step:
        """Prepare a training step on one crop; on a GPU, on as many as a process has."""
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        trial = copy.deepcopy(bare(self.runner.model)).train()
        size = self.settings.crop_size
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, *size, dtype=torch.long)))
        count = estimate.together(self.job.device, self.settings.batch, 1)
        raw = {"inputs": [torch.zeros(3, *size)] * count, "data_samples": [sample] * count}

        def step() -> Work:
            trial(**trial.data_preprocessor(raw, True), mode="loss")["decode.loss_ce"].backward()
            return Work(trained=count)

        return Step(trial, step)

    def resume(self) -> Resumed:
        """Have the runner load the last checkpoint, if there is one.

        mmengine reads the batches before once more, to leave their order the same.
        """
        done = saved(self.folder, self.job.identity)
        if done:
            resume_from(self.runner, self.folder / LAST)
        self.resumed = Resumed(done, self.settings.iters, stages={"train": done})
        return self.resumed

    def train(self) -> None:
        """Train; mmengine's loop then evaluates."""
        if self.settings.iters:
            with interrupt.saving(lambda: self.checkpoints.save_between(self.runner)), self._unreadable_named():
                self.runner.train()

    def evaluate(self) -> None:
        """Evaluate, where nothing was to train, or everything trained before."""
        if not self.watch.metrics:
            with self._unreadable_named():
                self.runner.val()

    @contextlib.contextmanager
    def _unreadable_named(self) -> Iterator[None]:
        """Look for the first file that can't be read where an error comes up: MMSegmentation's errors don't name it."""
        try:
            yield
        except (BenchError, interrupt.Interrupted):
            raise
        except Exception:
            for path in (path for pair in self.data.train + self.data.val for path in pair):
                with opened(path, str(path)) as image:
                    rgb(image, str(path))
            raise

    def measure(self) -> Mapping[str, float | None]:
        """Return the metrics in percent; null where undefined."""
        found = self.watch.metrics
        return {name: found[name] if math.isfinite(found[name]) else None for name in METRICS}

    def draw(self) -> None:
        """Draw some images with truth and prediction."""
        draw(self.job.folder / PREDICTIONS, self.watch.samples, self.data.classes)

    def notes(self) -> tuple[str, ...]:
        """Say over what BN took its statistics, what is odd in the data, how much was evaluated, and where it was resumed."""
        val, done = len(self.data.val), self.resumed.done
        part = f"evaluated on {self.evaluated} of {val} validation images" if self.evaluated < val else None
        resumed = RESUMED.format(done) if done else None
        return tuple(filter(None, (bn_note(self.settings, self.job.device), *self.data.notes, part, resumed)))

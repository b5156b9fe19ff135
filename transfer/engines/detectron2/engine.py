"""The Detectron2 engine: the one file that imports `detectron2`, and only when it runs.

In the run's folder it leaves `detectron2_config.yaml` (the run, without us), `predictions.png`, and `detectron2/` with the
converted backbone, Detectron2's log and, while it runs, the last checkpoint, from which a broken run goes on.
"""

import contextlib
import copy
import math
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pretrain.checkpoint import save_atomically
from pretrain.core import distributed, launcher
from pretrain.core.errors import CheckpointError, EngineError, TrainingError
from pretrain.core.journal import duration
from transfer.convert import to_detectron2
from transfer.datasets.detection import DetectionData
from transfer.detection.average_precision import bn_note, measure
from transfer.detection.predictions import write_predictions
from transfer.engines import Job, Outcome
from transfer.engines.detectron2.config import EXTRA_NORM_HEADS, described, files, has_bit_masks, native_config
from transfer.engines.detectron2.proof import bare, proven
from transfer.engines.detectron2.watch import Checked, Watch, quiet, tag_whole
from transfer.prove import prove_input
from transfer.tasks.detection import DetectionSettings

NATIVE_CONFIG = "detectron2_config.yaml"
HEADER = f"""\
# Detectron2's own configuration of this run. To repeat it without bench: register the two data sets named in DATASETS
# (register_coco_instances or register_pascal_voc) and, for C4, the heads {EXTRA_NORM_HEADS} (moco, detection/train_net.py;
# ResNet-18 and 34 need their res5 of two or three basic blocks there). Then seed_all_rng(SEED), DefaultTrainer(cfg),
# resume_or_load(resume=False), train(); for several processes all of it within detectron2.engine.launch, with SEED + rank.
"""
BIT_MASKS_NOTE = "some masks are run-length encoded: Detectron2 trains on all of them as bit maps"
RESUMED_NOTE = "training was resumed: Detectron2 restores weights, momentum and schedule, not the order of the images"
BASIC_BLOCKS = {18: 2, 34: 3}
"""Of the last stage, by depth."""
BACKWARD_COST = 2.0
"""A training image costs this many forward passes more than a test image."""


def fit(job: Job) -> Outcome:
    """Load the backbone with proof, fine-tune, evaluate, and draw some predictions, by Detectron2's own trainer.

    NOTE: the metric is computed by our evaluators, tested equal to Detectron2's, so that both engines treat classes and
    images without objects alike.

    Raises:
        EngineError: If the settings are not a detector's.
        ProofError: If the model is not the backbone.
        TrainingError: If the loss is not finite.
        CheckpointError: If the last checkpoint is broken or of another run.
        DataError: If an image can't be read.
        Interrupted: If a signal asked for a stop, once the iteration is saved.
    """
    settings, data = job.settings, job.data
    if not isinstance(settings, DetectionSettings):
        raise EngineError(f"the engine 'detectron2' can't run {job.task.name!r}", allowed="detection tasks")
    work = job.folder.resolve() / "detectron2"
    with distributed.first_alone():
        work.mkdir(parents=True, exist_ok=True)
    bit_masks = settings.masks and any(map(has_bit_masks, data.train))
    watch = Watch(job, settings, data)
    with quiet(work), _registered(data, settings) as (train, val):
        cfg = _config(job, settings, work, train=train, val=val, bit_masks=bit_masks)
        trainer = _trainer(cfg, watch, job.seed)
        prove_input(partial(_prepared, trainer))
        proof = proven(job.backbone, bare(trainer.model), settings)
        if job.announce_time:
            job.journal.say(_estimate(trainer, settings, len(data.val)))
        resumed = (RESUMED_NOTE,) if _resume(trainer, job) else ()
        _work(trainer, settings)
    if distributed.rank():
        return Outcome({}, proof)
    metrics, notes = measure(watch.found, data, settings)
    write_predictions(job.folder / "predictions.png", data, watch.found)
    masks = (BIT_MASKS_NOTE,) if bit_masks else ()
    said = (_version(), bn_note(synchronised=True), *data.notes, *masks, *resumed, *notes)
    spent = (work / "last_checkpoint", *work.glob("model_*.pth"))  # the name first: never a name without its file
    return Outcome(metrics, proof, said, spent)


def _version() -> str:
    import detectron2

    return f"Detectron2 {detectron2.__version__}"


@contextlib.contextmanager
def _registered(data: DetectionData, settings: DetectionSettings) -> Iterator[tuple[str, str]]:
    """The images in Detectron2's catalogue, under names of our own; it forgets them afterwards."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    train, val = (f"bench_{data.ref.name}_{data.ref.fingerprint}_{split}" for split in ("train", "val"))
    with contextlib.ExitStack() as undo:
        for name, pictures, truth in ((train, data.train, True), (val, data.val, False)):
            DatasetCatalog.register(name, partial(described, pictures, truth=truth, masks=settings.masks))
            undo.callback(DatasetCatalog.remove, name)
            MetadataCatalog.get(name).set(thing_classes=list(data.classes))
            undo.callback(MetadataCatalog.remove, name)
        yield train, val


def _config(job: Job, settings: DetectionSettings, work: Path, *, train: str, val: str, bit_masks: bool) -> Any:
    """Detectron2's configuration, written beside the converted backbone it names."""
    from detectron2.config import get_cfg

    weights, world = work / "backbone.pth", distributed.world()
    device = job.device if world == 1 else torch.device(job.device).type  # each process has its own by then
    arch, classes = job.backbone.arch, len(job.data.classes)
    ours = partial(native_config, settings, arch=arch, classes=classes, seed=job.seed, device=device, processes=world)
    flat = ours(train=train, val=val, bit_masks=bit_masks)
    cfg = get_cfg()
    cfg.merge_from_list([part for item in (flat | files(weights, work)).items() for part in item])
    with distributed.first_alone():
        if distributed.rank() == 0:
            payload = {"model": to_detectron2(job.backbone.state), "__author__": "bench", "matching_heuristics": True}
            save_atomically(payload, weights)
            (job.folder / NATIVE_CONFIG).write_text(HEADER + cfg.dump(), encoding="utf-8")
    return cfg


def register_heads() -> None:
    """Enter MoCo's C4 heads into Detectron2's table: an extra norm after res5, and a res5 for ResNet-18 and 34, too."""
    from detectron2.layers import get_norm
    from detectron2.modeling import ROI_HEADS_REGISTRY
    from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
    from detectron2.modeling.roi_heads import Res5ROIHeads

    if EXTRA_NORM_HEADS in ROI_HEADS_REGISTRY:
        return

    class Res5ROIHeadsExtraNorm(Res5ROIHeads):  # type: ignore[misc]  # Detectron2 ships no types
        def __init__(self, cfg: Any, input_shape: Any) -> None:
            super().__init__(cfg, input_shape)
            self.res5.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, self.res5[-1].out_channels))

        @classmethod
        def _build_res5_block(cls, cfg: Any) -> tuple[nn.Module, int]:
            nets = cfg.MODEL.RESNETS
            if nets.DEPTH not in BASIC_BLOCKS:
                return super()._build_res5_block(cfg)
            count, channels = BASIC_BLOCKS[nets.DEPTH], 8 * nets.RES2_OUT_CHANNELS
            strides = [2] + [1] * (count - 1)
            sides = {"in_channels": channels // 2, "out_channels": channels}
            blocks = ResNet.make_stage(BasicBlock, count, stride_per_block=strides, norm=nets.NORM, **sides)
            return nn.Sequential(*blocks), channels

    ROI_HEADS_REGISTRY.register(Res5ROIHeadsExtraNorm)


def _trainer(cfg: Any, watch: Watch, seed: int) -> Any:
    """Detectron2's trainer with the converted backbone loaded; nothing drawn at random before it but its seed."""
    from detectron2 import data
    from detectron2.engine import DefaultTrainer, HookBase, hooks
    from detectron2.utils.env import seed_all_rng

    class Told(HookBase):  # type: ignore[misc]
        def after_step(self) -> None:
            watch.after_step(self.trainer)

    class Trainer(DefaultTrainer):  # type: ignore[misc]
        @classmethod
        def build_evaluator(cls, cfg: Any, dataset_name: str) -> Watch:
            return watch

        @classmethod
        def build_train_loader(cls, cfg: Any) -> Any:
            return data.build_detection_train_loader(cfg, mapper=Checked(data.DatasetMapper(cfg, True)))

        @classmethod
        def build_test_loader(cls, cfg: Any, dataset_name: str) -> Any:
            return data.build_detection_test_loader(cfg, dataset_name, mapper=Checked(data.DatasetMapper(cfg, False)))

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
            evaluation = next(place for place, each in enumerate(others) if isinstance(each, hooks.EvalHook))
            return [*others[:evaluation], Told(), *others[evaluation:]]

    register_heads()
    seed_all_rng(seed + distributed.rank())
    with _process_group(cfg):
        trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    tag_whole(trainer.checkpointer)
    return trainer


def _prepared(trainer: Any, path: Path) -> torch.Tensor:
    """A picture as the model sees it: read in the configured order of channels, normalised by the model itself."""
    from detectron2.data import detection_utils

    pixels = detection_utils.read_image(str(path), format=trainer.cfg.INPUT.FORMAT)
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    model: Any = bare(trainer.model)
    seen: torch.Tensor = model.preprocess_image([{"image": image}]).tensor[0]
    return seen


@contextlib.contextmanager
def _process_group(cfg: Any) -> Iterator[None]:
    """Tell Detectron2 of the process group, which its own launcher makes otherwise.

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


def _resume(trainer: Any, job: Job) -> bool:
    """Go on from the last checkpoint, if there is one. NOTE: Detectron2 starts the order of the images anew."""
    path = trainer.checkpointer.get_checkpoint_file()
    if not path:
        job.journal.rewind(train=0)
        return False
    try:
        rest = trainer.checkpointer.load(path)
    except Exception as error:  # torch.load raises anything from EOFError to UnpicklingError on a broken file
        fix = f"remove the folder {Path(path).parent} to start again"
        raise CheckpointError(f"can't go on from {path}", seen=str(error)[:200], fix=fix) from None
    if rest.get("identity") != job.identity:
        seen, allowed = rest.get("identity"), job.identity
        raise CheckpointError(f"{path} belongs to another run", seen=seen, allowed=allowed, fix="use another --out")
    trainer.start_iter = trainer.iter + 1
    job.journal.rewind(train=trainer.start_iter)
    job.journal.say(f"continuing at iteration {trainer.start_iter} of {trainer.max_iter}")
    return True


def _work(trainer: Any, settings: DetectionSettings) -> None:
    """Train, set the statistics, evaluate."""
    from detectron2.engine import hooks

    if settings.iters == 0:
        for hook in trainer._hooks:
            if isinstance(hook, hooks.PreciseBN):
                hook.update_stats()
        trainer.test(trainer.cfg, trainer.model)
        return
    try:
        trainer.train()
    except FloatingPointError as error:
        fix = "use a smaller learning rate (--set lr=...) or a longer warm-up (--set warmup=...)"
        seen = " ".join(str(error).split())
        raise TrainingError(f"the loss is not finite at iteration {trainer.iter + 1}", seen=seen, fix=fix) from None


def _estimate(trainer: Any, settings: DetectionSettings, images: int) -> str:
    """The time a run will take, from one training step on a copy with one image; draws no random number of the run's."""
    from detectron2.utils.events import EventStorage

    states = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(), EventStorage():
        sample = next(iter(trainer.build_train_loader(trainer.cfg)))[0]
        trial = copy.deepcopy(bare(trainer.model)).train()
        seconds = math.inf
        for _ in range(2):  # the first pass allocates
            start = time.monotonic()
            sum(trial([sample, sample]).values()).backward()
            if trainer.cfg.MODEL.DEVICE != "cpu":
                torch.cuda.synchronize()
            seconds = (time.monotonic() - start) / 2
    np.random.set_state(states[0])
    random.setstate(states[1])
    forward = seconds / (1 + BACKWARD_COST)
    alone = settings.batch * (seconds * settings.iters + forward * settings.precise_bn) + forward * images
    total = alone / distributed.world()
    return f"estimated time: {duration(total)} ({settings.schedule()}; then {images} validation images)"

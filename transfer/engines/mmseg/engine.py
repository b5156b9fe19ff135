"""The MMSegmentation engine: the one file that imports `mmseg`, `mmengine` and `mmcv`, and only when it runs.

In the run's folder it leaves `mmseg_config.py` (the run, without us), `predictions.png`, and `mmseg/` with the converted
backbone, the image lists, the log and the last checkpoint, from which a broken run goes on.

In several processes every one calls `fit`; each trains on its part of every batch, and the first alone writes.
"""

import contextlib
import copy
import io
import itertools
import math
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.checkpoint import save_atomically
from pretrain.core import distributed
from pretrain.core.errors import EngineError
from pretrain.core.interrupt import Interrupted
from pretrain.core.journal import duration
from transfer.convert import to_mmseg
from transfer.datasets.cityscapes import SegmentationData
from transfer.engines import Job, Outcome
from transfer.engines.mmseg.config import native_config, spread, write_lists
from transfer.engines.mmseg.model import DILATIONS, PYRAMID_HEAD, STRIDES
from transfer.engines.mmseg.watch import LAST, Checkpoints, Watch, notes, saved, unreadable_named
from transfer.engines.precise_bn import precise_bn
from transfer.prove import prove, prove_input, reference
from transfer.segmentation.label_maps import draw
from transfer.tasks.cityscapes import SegmentationSettings

METRICS = ("mIoU", "mAcc", "aAcc")
NATIVE_CONFIG = "mmseg_config.py"
HEADER = f"""\
# MMSegmentation's own configuration of this run. To repeat it without bench: Runner.from_cfg(Config.fromfile(...)).train(),
# in as many processes. The head {PYRAMID_HEAD} is DeepLabV3's as Detectron2 has it (detectron2/layers/aspp.py), with
# windows of a training crop; for it, and for precise BN before the evaluation, see bench's transfer/engines/mmseg.py.
"""


def fit(job: Job) -> Outcome:
    """Load the backbone with proof, train the segmenter, evaluate it.

    Goes on from the last checkpoint in `job.folder`, if there is one.

    Returns:
        mIoU, mean accuracy over classes, and accuracy over pixels, in percent; null where undefined.

    Raises:
        ProofError: If the model is not the backbone it was given.
        TrainingError: If the loss is not finite.
        CheckpointError: If the last checkpoint is broken or of another run.
        ConfigError: If the processes can't share a batch evenly.
        DataError: If an image or a label map can't be read.
        Interrupted: If a signal asked for a stop; what was trained is saved.
    """
    settings, data = _typed(job)
    work = job.folder.resolve() / "mmseg"
    _prepare(job, settings, data, work)
    evaluated = len(spread(data.val, settings.max_val_images))
    done = saved(work, job.identity)
    job.journal.rewind(train=done)
    _fill_tables()
    watch = Watch(job, settings.iters, evaluated)
    runner = _runner(job, settings, data, work, resume=done > 0)
    runner.register_hook(_as_hook(watch))
    runner.register_hook(_as_hook(Checkpoints(job, work, settings.iters, settings.checkpoint_every)), priority="VERY_LOW")
    if settings.precise_bn:
        runner.register_hook(_as_hook(_Statistics(job, settings)))
    prove_input(partial(_prepared, runner))
    proof = _prove(job, settings, _alone(runner.model))
    if job.announce_time:
        _announce(job, settings, data, _alone(runner.model), evaluated)
    with unreadable_named(data):
        _work(runner, watch, settings)
    if not distributed.rank():
        draw(job.folder / "predictions.png", watch.samples, data.classes)
    return Outcome(_finite(watch.metrics), proof, notes(job, settings, data, evaluated, done))


def _typed(job: Job) -> tuple[SegmentationSettings, SegmentationData]:
    settings, data = job.settings, job.data
    if not isinstance(settings, SegmentationSettings) or not isinstance(data, SegmentationData):
        raise EngineError(f"the engine 'mmseg' can't run {job.task.name!r}", allowed="segmentation tasks")
    return settings, data


def _prepare(job: Job, settings: SegmentationSettings, data: SegmentationData, work: Path) -> None:
    """Write what the configuration names: the first process for all."""
    if not distributed.rank():
        work.mkdir(parents=True, exist_ok=True)
        save_atomically({"state_dict": to_mmseg(job.backbone.state), "meta": {}}, work / "backbone.pth")
        write_lists(settings, data, work)
    distributed.barrier()


def _alone(model: nn.Module) -> Any:
    """The segmenter without the wrapper that several processes have around it."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: metrics[name] if math.isfinite(metrics[name]) else None for name in METRICS}


def _fill_tables() -> None:
    """Import MMSegmentation's parts, which enter themselves into its tables of names."""
    with _quiet():
        from mmseg.utils import register_all_modules

        register_all_modules(init_default_scope=False)
    register_heads()


def register_heads() -> None:
    """Enter DeepLabV3's head as Detectron2 has it (`detectron2/layers/aspp.py`) into MMSegmentation's table.

    It differs from MMSegmentation's in three points: the convolution after the pyramid is 1 × 1, the pooled branch has a bias
    and no norm, and it pools over windows as large as a training crop, also where an image is larger.
    NOTE: over the whole image where that is smaller; Detectron2 refuses such images.
    """
    from mmcv.cnn import ConvModule
    from mmseg.models.decode_heads import ASPPHead
    from mmseg.registry import MODELS

    if PYRAMID_HEAD in MODELS.module_dict:
        return

    class PublishedASPPHead(ASPPHead):  # type: ignore[misc]  # MMSegmentation ships no types
        def __init__(self, window: tuple[int, int], **named: Any) -> None:
            super().__init__(**named)
            self.window = window
            self.image_pool = ConvModule(self.in_channels, self.channels, 1, act_cfg=self.act_cfg)
            joined = (len(self.dilations) + 1) * self.channels
            self.bottleneck = ConvModule(joined, self.channels, 1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

        def init_weights(self) -> None:
            super().init_weights()
            for conv in (module for module in self.modules() if isinstance(module, nn.Conv2d) and module is not self.conv_seg):
                nn.init.kaiming_uniform_(conv.weight, a=1)  # Caffe2's Xavier

        def _forward_feature(self, inputs: list[Tensor]) -> Tensor:
            x: Tensor = self._transform_inputs(inputs)
            size = x.shape[2:]
            window = [min(sides) for sides in zip(self.window, size, strict=True)]
            pooled = self.image_pool(nn.functional.avg_pool2d(x, window, stride=1))
            pooled = nn.functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False)
            joined: Tensor = self.bottleneck(torch.cat([*self.aspp_modules(x), pooled], dim=1))
            return joined

    MODELS.register_module(module=PublishedASPPHead)


def _as_hook(told: object) -> Any:
    """mmengine's hook that calls the methods of that name."""
    from mmengine.hooks import Hook

    adapted = Hook()
    for name in vars(type(told)):
        if name.startswith(("before_", "after_")):
            setattr(adapted, name, getattr(told, name))
    return adapted


def _runner(job: Job, settings: SegmentationSettings, data: SegmentationData, work: Path, *, resume: bool) -> Any:
    """mmengine's runner with the model's weights in place, its log in the folder and nothing on the console."""
    import mmengine.device.utils
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    kind = job.device.partition(":")[0]
    mmengine.device.utils.DEVICE = kind  # mmengine's own choice is an accelerator wherever there is one
    processes = distributed.world()
    ours = partial(native_config, settings, data, arch=job.backbone.arch, backbone=work / "backbone.pth", work=work)
    config = Config(ours(seed=job.seed, device=kind, processes=processes), format_python_code=False)
    if not distributed.rank():
        (job.folder / NATIVE_CONFIG).write_text(HEADER + config.pretty_text, encoding="utf-8")
    config.default_hooks.checkpoint = None
    config.resume, config.load_from = resume, str(work / LAST) if resume else None
    config.experiment_name = f"{job.folder.name}-{uuid.uuid4().hex}"  # mmengine keeps its objects by name, process-wide
    with _quiet():
        init_default_scope("mmseg")
        runner = Runner.from_cfg(config)
        runner.logger.handlers = [handler for handler in runner.logger.handlers if hasattr(handler, "baseFilename")]
        if settings.iters:
            # `Runner.train` draws from the random generator in this order; so the native configuration repeats the run exactly.
            _ = runner.train_loop
        runner._init_model_weights()  # of the first process, in all of them
        if processes == 1:
            runner.model.to(job.device)
    return runner


class _Statistics:
    """Precise BN before the evaluation, on batches that depend on the seed alone, so that a resumed run has the same."""

    def __init__(self, job: Job, settings: SegmentationSettings) -> None:
        self._job, self._batches, self._iters = job, settings.precise_bn, settings.iters

    def before_val_epoch(self, runner: Any) -> None:
        """Set the statistics of every norm; raises Interrupted where a stop was asked for."""
        from mmengine.runner import Runner, set_random_seed

        several = distributed.world() > 1
        seed = set_random_seed(self._job.seed, diff_rank_seed=several)
        loader = Runner.build_dataloader(copy.deepcopy(runner.cfg.train_dataloader), seed=seed, diff_rank_seed=several)
        model = _alone(runner.model)
        model.train()
        precise_bn(model, lambda batch: model(**model.data_preprocessor(batch, True), mode="tensor"), self._drawn(loader))

    def _drawn(self, loader: Any) -> Iterator[Any]:
        for done, batch in enumerate(itertools.islice(loader, self._batches), start=1):
            by = distributed.agreed_stop()
            if by:
                raise Interrupted(by, f"all {self._iters:,} iterations")
            yield batch
            self._job.journal.step("precise-bn", done, self._batches)


def _work(runner: Any, watch: "Watch", settings: SegmentationSettings) -> None:
    """Train, evaluate, and let go of the log file."""
    with warnings.catch_warnings():
        # At other sizes than 769 the corners of features and image differ, which mmseg points out once.
        warnings.filterwarnings("ignore", message="When align_corners=True")
        try:
            if settings.iters:
                runner.train()
            if not watch.metrics:  # nothing to train, or everything trained before
                runner.val()
        finally:
            while runner.logger.handlers:  # mmengine keeps the logger, and would write to this file of the next run
                runner.logger.handlers.pop().close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the console what mmengine prints and warns of while it starts: compiled operations that nothing here uses,
    settings chosen on purpose. Its log file has the rest."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _prepared(runner: Any, path: Path) -> Tensor:
    """A picture as the model sees it: read as the validation images are, normalised by the model's own preprocessor."""
    from mmseg.registry import TRANSFORMS

    read = TRANSFORMS.build(runner.cfg.val_dataloader.dataset.pipeline[0])
    pixels = torch.from_numpy(read({"img_path": str(path)})["img"].copy()).permute(2, 0, 1)  # Pillow gives RGB turned round
    prepared: Tensor = _alone(runner.model).data_preprocessor({"inputs": [pixels]}, False)["inputs"][0]
    return prepared


def _prove(job: Job, settings: SegmentationSettings, model: nn.Module) -> dict[str, float]:
    """Compare the runner's own backbone, before training, with what it was given; on the CPU, where it is exact."""
    backbone: Any = copy.deepcopy(model.backbone).cpu()
    backbone.eval()

    def features(images: Tensor) -> list[Tensor]:
        return list(backbone(images))

    heads = [key for key in model.state_dict() if not key.startswith("backbone.")]
    with torch.random.fork_rng(devices=[]):  # the reference draws its initial weights; the run's numbers stay those of its seed
        expected = reference(job.backbone, strides=STRIDES, dilations=(*DILATIONS[:-1], settings.last_dilations))
    return prove(job.backbone, backbone.state_dict(), features, expected, new=heads)


def _announce(job: Job, settings: SegmentationSettings, data: SegmentationData, model: nn.Module, evaluated: int) -> None:
    """Time one image on a copy, forward and backward, and say what the whole run would take at that speed."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    clone: Any = copy.deepcopy(model)
    clone.train()
    high, wide = settings.crop_size
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, high, wide, dtype=torch.long)))
    raw = {"inputs": [torch.zeros(3, high, wide)], "data_samples": [sample]}
    for _ in range(2):  # the first one warms up
        start = time.monotonic()
        losses = clone(**clone.data_preprocessor(raw, True), mode="loss")
        losses["decode.loss_ce"].backward()
        if job.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.monotonic() - start
    height = settings.short_side or data.short_side
    # A forward pass alone is about a third of the work; an image is taken to be twice as wide as high.
    evaluation = evaluated * seconds / 3 * 2 * height**2 / (high * wide)
    images = (settings.iters + settings.precise_bn / 3) * settings.batch
    total = (images * seconds + evaluation) / distributed.world()
    job.journal.say(f"estimated time: {duration(total)} ({seconds:.3g} s for one image, forward and backward, timed now)")

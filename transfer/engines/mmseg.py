"""The MMSegmentation engine: the one file that imports `mmseg`, `mmengine` and `mmcv`, and only when it runs.

In the run's folder it leaves `mmseg_config.py` (the run, without us), `predictions.png`, and `mmseg/` with the converted
backbone, the image lists, the log and the last checkpoint, from which a broken run goes on.
"""

import contextlib
import copy
import io
import math
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.checkpoint import save_atomically
from pretrain.errors import TrainingError
from pretrain.journal import duration
from transfer.convert import to_mmseg
from transfer.datasets.cityscapes import SegmentationData
from transfer.engines import Job, Outcome
from transfer.engines.label_maps import Sample, draw
from transfer.engines.mmseg_config import DILATIONS, STRIDES, native_config, write_lists
from transfer.prove import prove, reference
from transfer.tasks.cityscapes import SegmentationSettings

METRICS = ("mIoU", "mAcc", "aAcc")
PICTURED = 4
"""Validation images in `predictions.png`."""
PLAIN_BN = "batch normalisation over the whole batch of one process, in place of synchronised BN over the same batch"


def fit(job: Job) -> Outcome:
    """Load the backbone with proof, train the segmenter, evaluate it.

    Goes on from the last checkpoint in `job.folder`, if there is one.

    Returns:
        mIoU, mean accuracy over classes, and accuracy over pixels, in percent; null where undefined.

    Raises:
        ProofError: If the model is not the backbone it was given.
        TrainingError: If the loss is not finite.
    """
    settings, data = _typed(job)
    work = job.folder.resolve() / "mmseg"
    work.mkdir(parents=True, exist_ok=True)
    save_atomically({"state_dict": to_mmseg(job.backbone.state), "meta": {}}, work / "backbone.pth")
    evaluated = write_lists(settings, data, work)
    _fill_tables()
    watch = Watch(job, settings.iters, evaluated)
    runner = _runner(job, settings, data, work)
    runner.register_hook(_as_hook(watch))
    proof = _prove(job, runner.model)
    runner.model.to(job.device)  # mmengine chooses the accelerator wherever there is one
    if job.announce_time:
        _announce(job, settings, data, runner.model, evaluated)
    _work(runner, watch, settings)
    draw(job.folder / "predictions.png", watch.samples, data.classes)
    part = (f"evaluated on {evaluated} of {len(data.val)} validation images",) if evaluated < len(data.val) else ()
    return Outcome(_finite(watch.metrics), proof, (PLAIN_BN, *part))


class Watch:
    """What is told and kept while the runner works; its methods are mmengine's hook points."""

    def __init__(self, job: Job, iters: int, evaluated: int) -> None:
        self.metrics: dict[str, float] = {}
        """Of the last evaluation, by mmengine's names."""
        self.samples: list[Sample] = []
        """Images of the last evaluation, evenly spread."""
        self._journal, self._iters, self._evaluated = job.journal, iters, evaluated
        self._pictured = {index * evaluated // PICTURED for index in range(PICTURED)}

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep what torch will not read back with `weights_only` (mmengine's buffers of past losses) out of the file."""
        checkpoint["message_hub"] = {"log_scalars": OrderedDict(), "runtime_info": OrderedDict(), "resumed_keys": OrderedDict()}

    def before_train_epoch(self, runner: Any) -> None:
        """Say where training goes on: mmengine then reads the batches before once more, to leave their order the same."""
        if runner.iter:
            self._journal.say(f"going on from iteration {runner.iter} of {self._iters}")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Note the loss; raises TrainingError where it is not finite."""
        loss = float((outputs or {})["loss"].detach())
        lr = runner.optim_wrapper.get_lr()["lr"][0]
        self._journal.step("train", batch_idx + 1, self._iters, loss=loss, lr=lr)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after {batch_idx + 1} iterations", seen=f"learning rate {lr:g}", fix="lower it: --set lr=…"
            )

    def before_val_epoch(self, runner: Any) -> None:
        """Forget the evaluation before."""
        self.metrics, self.samples = {}, []

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None) -> None:
        """Keep some images for the picture."""
        for output in outputs or () if batch_idx in self._pictured else ():
            truth, prediction = (_label_map(field) for field in (output.gt_sem_seg, output.pred_sem_seg))
            self.samples.append(Sample(Path(output.img_path), truth, prediction))
        self._journal.step("evaluate", batch_idx + 1, self._evaluated)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        """Keep the metrics."""
        self.metrics = {name: round(float(value), 4) for name, value in (metrics or {}).items()}
        self._journal.step("evaluate", self._evaluated, self._evaluated, **self.metrics)


def _typed(job: Job) -> tuple[SegmentationSettings, SegmentationData]:
    settings, data = job.settings, job.data
    assert isinstance(settings, SegmentationSettings)
    assert isinstance(data, SegmentationData)
    return settings, data


def _label_map(field: Any) -> Any:
    """(1, H, W) of any integer type → (H, W), 8 bits."""
    return field.data.squeeze(0).cpu().numpy().astype("uint8")


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: metrics[name] if math.isfinite(metrics[name]) else None for name in METRICS}


def _fill_tables() -> None:
    """Import MMSegmentation's parts, which enter themselves into its tables of names."""
    with _quiet():
        from mmseg.utils import register_all_modules

        register_all_modules(init_default_scope=False)


def _as_hook(watch: Watch) -> Any:
    from mmengine.hooks import Hook

    adapted = Hook()
    for name in vars(Watch):
        if name.startswith(("before_", "after_")):
            setattr(adapted, name, getattr(watch, name))
    return adapted


def _runner(job: Job, settings: SegmentationSettings, data: SegmentationData, work: Path) -> Any:
    """mmengine's runner with the model's weights in place, its log in the folder and nothing on the console."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    config = Config(
        native_config(settings, data, arch=job.backbone.arch, backbone=work / "backbone.pth", work=work, seed=job.seed)
    )
    config.dump(str(job.folder / "mmseg_config.py"))
    last = _last_checkpoint(work)
    config.resume, config.load_from = last is not None, None if last is None else str(last)
    config.experiment_name = f"{job.folder.name}-{uuid.uuid4().hex}"  # mmengine keeps its objects by name, process-wide
    with _quiet():
        init_default_scope("mmseg")
        runner = Runner.from_cfg(config)
        runner.logger.handlers = [handler for handler in runner.logger.handlers if hasattr(handler, "baseFilename")]
        if settings.iters:
            # `Runner.train` draws from the random generator in this order; so the native configuration repeats the run exactly.
            _ = runner.train_loop
        runner.model.init_weights()
    return runner


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
            for handler in runner.logger.handlers:
                handler.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the console what mmengine prints and warns of while it starts: compiled operations that nothing here uses,
    settings chosen on purpose. Its log file has the rest."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _last_checkpoint(work: Path) -> Path | None:
    """The checkpoint to go on from. Only the name that mmengine notes is used: the folder may have been moved."""
    note = work / "last_checkpoint"
    path = work / Path(note.read_text(encoding="utf-8").strip()).name if note.is_file() else None
    return path if path is not None and path.is_file() else None


def _prove(job: Job, model: nn.Module) -> dict[str, float]:
    """Compare the runner's own backbone, before training, with what it was given; on the CPU, where it is exact."""
    backbone: Any = copy.deepcopy(model.backbone).cpu()
    backbone.eval()

    def features(images: Tensor) -> list[Tensor]:
        return list(backbone(images))

    return prove(job.backbone, backbone.state_dict(), features, reference(job.backbone, strides=STRIDES, dilations=DILATIONS))


def _announce(job: Job, settings: SegmentationSettings, data: SegmentationData, model: nn.Module, evaluated: int) -> None:
    """Time one image on a copy, forward and backward, and say what the whole run would take at that speed."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    clone: Any = copy.deepcopy(model)
    clone.train()
    side = settings.crop
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, side, side, dtype=torch.long)))
    raw = {"inputs": [torch.zeros(3, side, side)], "data_samples": [sample]}
    for _ in range(2):  # the first one warms up
        start = time.monotonic()
        losses = clone(**clone.data_preprocessor(raw, True), mode="loss")
        losses["decode.loss_ce"].backward()
        if job.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.monotonic() - start
    height = settings.short_side or data.short_side
    # A forward pass alone is about a third of the work; an image is taken to be twice as wide as high.
    evaluation = evaluated * seconds / 3 * 2 * height**2 / side**2
    total = settings.iters * settings.batch * seconds + evaluation
    job.journal.say(f"estimated time: {duration(total)} ({seconds:.3g} s for one image, forward and backward, timed now)")

"""The moving parts of one pre-training: encoders, optimiser, augmentation, and how a step changes them.

Every random draw depends on the seed and on the position (epoch, image, step) alone, never on what was drawn before,
so that a run cut anywhere goes on as if it had not been.
"""

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pretrain.backbones.convolution import as_products
from pretrain.checkpoint import read_state, save_atomically
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.errors import ConfigError, TrainingError
from pretrain.core.journal import Journal
from pretrain.inputs import Inputs, generator
from pretrain.template import Step, Template

STATE = "last.pth"
SAVED = ("step", "losses", "processes", "config", "template", "optimizer")
"""What is in it."""


def lr_at(config: PretrainConfig, epoch: int) -> float:
    """Learning rate of an epoch (facebookresearch/moco @7397dfe, main_moco.py, adjust_learning_rate)."""
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
    return config.lr * 0.1 ** sum(epoch >= share * config.epochs for share in (0.6, 0.8))


def precision_of(device: str) -> Literal["bf16", "fp32"]:
    """bf16 where the device has instructions for it: elsewhere it is emulated, and slower than fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 and later
    return "bf16" if any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16")) else "fp32"


class Trainer:
    """One process's part of a run."""

    def __init__(self, config: PretrainConfig, classes: int, device: str) -> None:
        self.config, self.device = config, device
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.template = Template(config, classes)
        if config.sync_bn:
            self.template = _synchronised(self.template, device)
        self.template.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if config.precision == "bf16" and device == "cpu":
            as_products(self.template)
        if config.compile:
            for encoder in self.template.children():
                encoder.compile()
        self.network: nn.Module = self.template
        if distributed.world() > 1:
            self.network = _together(self.template)
        self.optimizer = _optimizer(self.template.query, config)
        self.inputs = Inputs.of(config)
        self.lr = config.lr

    def step(self, step: int, epoch: int, crops: Sequence[Tensor], labels: Tensor) -> tuple[float, float]:
        """One optimiser step on V crops (n, 3, S, S) uint8; returns this process's loss and accuracy.

        Raises:
            TrainingError: If the loss is not finite, before anything has moved.
        """
        self.lr = lr_at(self.config, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        labels = labels.to(self.device)
        moves = step >= self.config.filling_steps
        with torch.set_grad_enabled(moves):
            done = self.forward(self.network, [crop.to(self.device, non_blocking=True) for crop in crops], labels, step)
        if moves:
            self.optimizer.zero_grad(set_to_none=True)
            done.loss.backward()
        loss = float(done.loss.detach())  # after the backward pass was queued: on a GPU this waits for it
        if not math.isfinite(loss):
            raise self._not_finite(done, step, epoch)
        if moves:
            self.optimizer.step()
        if done.keys is not None:
            self.template.enqueue(done.keys, labels)
        return loss, float(done.accuracy)

    def forward(self, network: nn.Module, crops: Sequence[Tensor], labels: Tensor, step: int) -> Step:
        """Views, augmentation and loss of one step."""
        clean, query, key = self.inputs(crops, generator(self.config.seed, step, self.device, rank=distributed.rank()))
        alike = generator(self.config.seed, step, self.device)  # all processes must draw the same order
        order = torch.randperm(len(labels) * distributed.world(), generator=alike, device=labels.device)
        result: Step = network(clean, query, key, labels, order)
        return result

    def save(self, path: Path, step: int, losses: Sequence[float]) -> None:
        """Everything needed to go on after `step` steps; `losses` are those noted in the last step's epoch."""
        state: dict[str, Any] = {
            "step": step,
            "losses": list(losses),
            "processes": distributed.world(),
            "config": self.config.model_dump(mode="json"),
            "template": self.template.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_atomically(state, path)

    def resume(self, path: Path, journal: Journal) -> tuple[int, list[float]]:
        """Take up a checkpoint if there is one; returns the number of steps already done, and the losses saved with it.

        Raises:
            ConfigError: If what changes the numbers differs from that run's.
            CheckpointError: If the file is broken.
        """
        if not path.is_file():
            return 0, []
        state = read_state(path, SAVED, self.device)
        saved = PretrainConfig.read(state["config"], where=str(path))
        different = saved.differences(self.config)
        if different:
            raise ConfigError(
                f"{path} is of another run", seen=f"it has {different}", allowed="the same settings", fix="use another --out"
            )
        if state["processes"] != distributed.world():  # each draws its own augmentations and normalises its own part
            seen, allowed = f"{distributed.world()} processes now", f"{state['processes']}, as before"
            raise ConfigError(f"{path} is of another number of processes", seen=seen, allowed=allowed, fix="set --devices")
        self.template.load_state_dict(state["template"])
        self.optimizer.load_state_dict(state["optimizer"])
        journal.say(f"going on after step {state['step']} from {path}")
        return int(state["step"]), state["losses"]

    def _not_finite(self, done: Step, step: int, epoch: int) -> TrainingError:
        terms = ", ".join(f"{name} {float(term.detach()):g}" for name, term in done.terms.items())
        return TrainingError(
            f"the loss is {float(done.loss.detach())} at step {step} (epoch {epoch})",
            seen=f"{terms}; learning rate {self.lr:g}, temperature {self.config.temperature:g}, batch {self.config.batch}",
            fix=f"lower base_lr; the last good checkpoint is {STATE} in the run's folder",
        )


def _synchronised(template: Template, device: str) -> Template:
    if not device.startswith("cuda"):
        raise ConfigError(
            "batch statistics can't be synchronised on this device", seen=device, allowed="cuda", fix="--set sync_bn=false"
        )
    converted: Template = nn.SyncBatchNorm.convert_sync_batchnorm(template)
    return converted


def _together(template: Template) -> nn.Module:
    """Gradients averaged over the processes. Each keeps its own running statistics, which training never reads; the
    first one's are saved.
    """
    parallel = nn.parallel.DistributedDataParallel
    renamed = "forward_sync_buffers" in inspect.signature(parallel.__init__).parameters
    options: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return parallel(template, **options)


def _optimizer(query: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """In torch's fused form: each parameter is gone through once, not once for each term."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(query.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    momentum, decay = config.momentum, config.weight_decay
    return torch.optim.SGD(query.parameters(), lr=config.lr, momentum=momentum, weight_decay=decay, fused=True)

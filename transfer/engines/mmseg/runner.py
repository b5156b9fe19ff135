"""mmengine's runner, made so that it draws the same random numbers as one without bench, and keeps to its folder."""

import contextlib
import io
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

from pretrain.core import distributed
from pretrain.core.workers import watched
from transfer.engines.mmseg.aspp import register_heads


def fill_tables() -> None:
    """Import MMSegmentation's parts, which enter themselves into its tables of names; then enter the heads of this package."""
    with _quiet():
        from mmseg.utils import register_all_modules

        register_all_modules(init_default_scope=False)
    register_heads()


def make_runner(config: Any, name: str, device: str) -> Any:
    """Make mmengine's runner with the model's weights in place, its log in the folder and nothing on the console.

    Args:
        config: The native configuration, as mmengine's `Config`.
        name: Name of the run.
        device: `cpu` or this process's GPU.
    """
    import mmengine.device.utils
    from mmengine.registry import init_default_scope

    mmengine.device.utils.DEVICE = device.partition(":")[0]  # mmengine's own choice is an accelerator wherever there is one
    config.default_hooks.checkpoint = None
    config.experiment_name = f"{name}-{uuid.uuid4().hex}"  # mmengine keeps its objects by name, process-wide
    with _quiet():
        init_default_scope("mmseg")
        runner = runner_class().from_cfg(config)
        runner.logger.handlers = [handler for handler in runner.logger.handlers if hasattr(handler, "baseFilename")]
        if config.train_cfg.max_iters:
            # `Runner.train` draws from the random generator in this order; so the native configuration repeats the run exactly.
            _ = runner.train_loop
        runner._init_model_weights()  # of the first process, in all of them
        if distributed.world() == 1:
            runner.model.to(device)
    return runner


def runner_class() -> Any:
    """Derive a runner from mmengine's whose loaders' workers are watched."""
    from mmengine.runner import Runner

    class Watched(Runner):  # type: ignore[misc]
        @staticmethod
        def build_dataloader(*args: Any, **options: Any) -> Any:
            return watched(Runner.build_dataloader(*args, **options))

    return Watched


def resume_from(runner: Any, path: Any) -> None:
    """Let a runner load a checkpoint when its training or evaluation begins, as its configuration could have said."""
    runner._resume, runner._load_from = True, str(path)


def close(runner: Any) -> None:
    """Close the runner's log file: mmengine keeps the logger, and would write into it of the next run."""
    while runner.logger.handlers:
        runner.logger.handlers.pop().close()


def as_hook(methods: object) -> Any:
    """Make mmengine's hook that calls the methods of an object, each at the point of its name."""
    from mmengine.hooks import Hook

    adapted = Hook()
    for name in vars(type(methods)):
        if name.startswith(("before_", "after_")):
            setattr(adapted, name, getattr(methods, name))
    return adapted


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the console what mmengine prints and warns of while it starts; its log file has the rest.

    It warns of compiled operations that nothing here uses, and of settings chosen on purpose.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield

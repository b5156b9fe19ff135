"""The batches of a run on their way to its steps: how long they are waited for, and views made while a GPU computes."""

import time
from collections.abc import Iterable, Iterator
from typing import Self

import torch
from torch import Tensor

from pretrain.batch import Batch
from pretrain.core.journal import Journal
from pretrain.images import loading
from pretrain.trainer import Trainer

PATIENCE = 0.1
"""Share of the time that the steps may wait for the loader before the run says so."""
SURE = 30.0
"""Seconds of a run after which that share is trusted. The first batch, for which the workers start, doesn't count."""

Fed = tuple[list[Tensor], Tensor, Batch | None]
"""Crops and labels as the loader gave them, and what `Trainer.views` made of them, where it was done ahead."""


class Feed:
    """Yields what `Trainer.step` takes. On a GPU the views of a step are made beside the step before, on a stream of their own.

    An augmentation that asks the network has to wait for it: then nothing is made ahead.
    """

    def __init__(self, trainer: Trainer, batches: Iterable[loading.Batch], start: int, journal: Journal) -> None:
        self.trainer, self.journal, self.batches, self.step = trainer, journal, iter(batches), start
        self._gpu = trainer.device.startswith("cuda")
        self._stream = torch.cuda.Stream(trainer.device) if self._gpu and not trainer.asked else None
        self._began = self._since = time.monotonic()
        self._waited = self._all = 0.0
        self._first: float | None = None
        self._told = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Fed:
        began = time.monotonic()
        crops, labels, _ = next(self.batches)
        waited = time.monotonic() - began
        self._waited += waited
        self._first = waited if self._first is None else self._first
        made = None if self._stream is None else self._ahead(self._stream, crops, labels)
        self.step += 1
        return crops, labels, made

    def _ahead(self, stream: torch.cuda.Stream, crops: list[Tensor], labels: Tensor) -> Batch:
        """Make the views on that stream, whose work the step then waits for; the CPU doesn't."""
        main = torch.cuda.current_stream()
        with torch.cuda.stream(stream):
            made = self.trainer.views(self.step, crops, labels)
        main.wait_stream(stream)
        for tensor in _tensors(made):  # their memory is free for other views only once the step is done
            tensor.record_stream(main)
        return made

    def waited(self) -> dict[str, float]:
        """Return the share of the time since the last call that the loader was waited for, as `loader_wait`, on a GPU.

        Says once if it was too much of the run. On CPUs, where loading and computing share the cores, it would tell nothing.
        """
        if not self._gpu:
            return {}
        now = time.monotonic()
        share, self._all = self._waited / max(now - self._since, 1e-9), self._all + self._waited
        self._since, self._waited = now, 0.0
        first = self._first or 0.0
        whole = (self._all - first) / max(now - self._began - first, 1e-9)
        if whole > PATIENCE and now - self._began - first > SURE and not self._told:
            self._told = True
            self.journal.say(
                f"the GPU is kept waiting for images {whole:.0%} of the time: more loader processes (--set num_workers=...), "
                "where there are cores, or smaller files or a cache (--cache) help"
            )
        return {"loader_wait": share}


def _tensors(batch: Batch) -> Iterator[Tensor]:
    for view in batch.views:
        yield from (each for each in (view.images, view.sources, view.weights) if each is not None)
    yield from batch.clean
    yield batch.labels

"""What the records of several verbs say of their backbone, and how they name their folders."""

import time

from bench.selection import LAYOUT
from pretrain.backbones import IMAGENET, unlearnt
from pretrain.core import distributed
from pretrain.core.journal import Journal
from transfer import norms
from transfer.audit import UNSEEN, audit
from transfer.audit.verdict import Verdict
from transfer.datasets.decoding import Content
from transfer.record import Checkpoint
from transfer.sources import Backbone
from transfer.sources.own import OWN
from transfer.tasks import Task

GENERATED_NOTE = "the data is generated: this number compares with no paper"


def introduce(backbone: Backbone, journal: Journal) -> None:
    """Log what was recognised and why, what became of every key, and what is wrong with the weights."""
    for line in (*backbone.summary(), *remarks(backbone)):
        journal.say(line)


def checkpoint_ref(backbone: Backbone) -> Checkpoint:
    """Describe a backbone as a record does."""
    origin = backbone.origin
    return Checkpoint(
        sha256=backbone.sha256,
        source=backbone.source,
        branch=backbone.branch,
        address=origin and origin.address,
        revision=origin and origin.revision,
        provenance=backbone.provenance,
        recipe=backbone.unusual,
        assumed=backbone.assumed,
    )


def audited(backbone: Backbone, content: Content, device: str, journal: Journal) -> Verdict:
    """Compare a backbone's running statistics with the training images, and log what came of it and the seconds it took."""
    start = time.perf_counter()
    verdict = audit(backbone, content, device)
    journal.say(f"{verdict.line()} ({time.perf_counter() - start:.1f} s)")
    return verdict


def account(backbone: Backbone, verdict: Verdict) -> dict[str, float]:
    """Count the file's tensors used and dropped, and measure its weights and statistics, for a record's proof."""
    return {**backbone.account(), "norm_ratio": norms.norm_ratio(backbone.state, backbone.arch), **verdict.numbers()}


def remarks(backbone: Backbone, verdict: Verdict = UNSEEN) -> tuple[str, ...]:
    """Notes on a backbone: what was done to its tensors, weights that look LARS-scaled, statistics of another reading."""
    return tuple(filter(None, (*backbone.remarks, norms.warning(backbone.state, backbone.arch), verdict.warning())))


def small_views(backbone: Backbone, task: Task) -> tuple[str, ...]:
    """Say which weights of a backbone made here its views were too small for, where a task reads whole maps."""
    made = backbone.provenance.changed or {}
    size, stem = made.get("size"), made.get("stem", IMAGENET)
    if task.layout == LAYOUT or backbone.source != OWN or not isinstance(size, int) or not isinstance(stem, str):
        return ()
    said = unlearnt.remark(backbone.arch, size, stem)
    return (f"pre-trained on small views: {said}",) if said else ()


def slug(backbone: Backbone) -> str:
    """A backbone's part of a folder's name: its method and augmentation, and the first digits of its hash."""
    provenance = backbone.provenance
    words = ["random"] if provenance.method == "random" else [provenance.method, provenance.aug, provenance.supervision]
    return "-".join(word for word in words if not word.startswith("unknown")) + f"-{backbone.sha256[:6]}"


def notes(generated: bool, *others: str) -> tuple[str, ...]:
    """A record's notes, with the number of processes where there were several."""
    world = distributed.world()
    first = [GENERATED_NOTE] if generated else []
    last = [f"trained in {world} processes"] if world > 1 else []
    return (*first, *others, *last)

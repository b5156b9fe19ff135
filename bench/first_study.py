"""The text of a first study of someone's data: small, every line commented, nothing in it that wasn't seen to be there."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.command import as_yaml
from bench.places import read_config

WIDEST = 44
"""Characters of a line whose comment stands below those of other lines; that of a longer one stands behind it."""
STEPS, MOST_EPOCHS = 2000, 100
"""Steps of a pre-training that are aimed at, within so many passes over the data: in a few hundred nothing is learnt."""
SUPERVISED = "torchvision:resnet50/IMAGENET1K_V2"
"""What everyone has: the backbone to compare with where nothing is pre-trained here."""
Line = tuple[str, str]
"""Of YAML, and its comment."""


@dataclass(frozen=True)
class Seen:
    """What was seen of the data, and of checkpoints."""

    name: str
    """Name of the study."""
    about: str
    """What the data is, in a line."""
    data: str
    """As `--data` takes it."""
    layout: str
    """The layout that it is read in."""
    train: int
    """Number of training images."""
    tasks: tuple[str, ...]
    """Tasks that can be done on it; none where it has no validation images or no classes."""
    labelled: bool
    """Whether its training images have classes that can be learnt."""
    precision: str
    """`bf16` or `fp32`: what this machine has instructions for."""
    checkpoints: Mapping[str, str]
    """Label → checkpoint of someone else, to be evaluated."""
    arch: str
    """Architecture of the untrained network that they are compared with."""

    @property
    def pretrains(self) -> bool:
        """Whether there is something to pre-train on, and nothing else was asked for."""
        return self.layout == "imagefolder" and not self.checkpoints


def text(seen: Seen) -> str:
    """Write the study file."""
    lines = [*_head(seen), *(_pretrain(seen) if seen.pretrains else _files(seen)), *_evaluate(seen)]
    column = max(len(code) for code, _ in lines if len(code) <= WIDEST)
    body = [f"{code:<{column}}  # {comment}" for code, comment in lines]
    return (
        "\n".join([f"# {seen.about}", "# Written by `bench init`; all that a study can say is in docs/study.md.", *body]) + "\n"
    )


def _head(seen: Seen) -> Iterator[Line]:
    yield f"study: {seen.name}", "its attempts and logs lie in a folder of this name beside this file"
    yield "runs: runs", "the folder of its runs, below the folder in which `bench` is called"
    yield "data:", "as --data takes it; paths count from the folder in which `bench` is called"
    if seen.pretrains:
        yield f"  pretrain: {as_yaml(seen.data)}", "the images to pre-train on"
    if seen.tasks:
        yield f"  {seen.layout}: {as_yaml(seen.data)}", "the data of the tasks below"
    else:
        yield "#  imagefolder: FOLDER", "to evaluate: images with classes, in train/CLASS and val/CLASS; take the # away"
    yield f"precision: {seen.precision}", "bf16, or fp32 where a machine has no instructions for it"
    yield "budget: small", "fits a CPU; leave it away for the published protocols, which want GPUs"


def _pretrain(seen: Seen) -> Iterator[Line]:
    small = read_config("pretrain", "small")
    usual = int(small["recipe"]["batch"])
    batch = min(usual, 2 ** int(math.log2(max(seen.train, 4))))
    epochs = max(1, min(MOST_EPOCHS, round(STEPS * batch / max(seen.train, 1))))
    yield "pretrain:", "the backbones to make"
    yield "  main:", "a block: every combination of its grid, with every seed"
    yield "    set:", "what all of them have; `bench pretrain --help` and docs/reference say what there is"
    yield "      method: mocov2", "`bench ls methods` lists the others"
    yield f"      epochs: {epochs}", f"about {epochs * (seen.train // batch):,} steps; more is better"
    if batch < usual:
        yield f"      batch: {batch}", f"at most the {seen.train} training images"
    yield "    grid:", "what differs"
    yield "      aug: [none, cutmix]", "none is the control; next: random-erasing, cutout, mixup (`bench ls augs`)"
    if seen.labelled:
        yield "      supervision: [self, full]", "without labels, and with all; semi uses half of them"
    else:
        yield "      supervision: [self]", "without labels: there are no classes that could be learnt"
    yield "    seeds: 3", "one seed each says nothing of an augmentation; with three the report can decide"


def _files(seen: Seen) -> Iterator[Line]:
    if seen.checkpoints:
        yield "pretrain:", "the backbones to evaluate"
        yield "  theirs:", "a block of checkpoints that were made elsewhere"
        yield "    files:", "label: path or address, as --ckpt takes it; add others to compare with"
        for label, checkpoint in seen.checkpoints.items():
            yield f"      {as_yaml(label)}: {as_yaml(checkpoint)}", "`bench transfer` says what a file is taken for"


def _evaluate(seen: Seen) -> Iterator[Line]:
    if not seen.tasks:
        yield "evaluate: []", "nothing yet: with images for it, take this [] and the next two # away"
        yield "#  - of: main", "the block above"
        yield "#    task: [knn]", "nearest neighbours train nothing and take seconds (`bench ls tasks`)"
        return
    yield "evaluate:", "what is done with the backbones"
    whose = ["main"] if seen.pretrains else ["theirs"] if seen.checkpoints else []
    for name in whose:
        yield f"  - of: {name}", "the block above"
        yield from _tasks(seen)
    if not whose:
        yield f"  - of: [{_quoted(SUPERVISED)}]", "a backbone to begin with; yours come with `bench init --ckpt FILE`"
        yield from _tasks(seen)
    yield f"  - of: [{_quoted(f'random:{seen.arch}')}]", "the untrained network: what every other row has to beat"
    yield from _tasks(seen)


def _tasks(seen: Seen) -> Iterator[Line]:
    yield f"    task: [{', '.join(seen.tasks)}]", "`bench ls tasks` says what each is and measures"
    if not seen.pretrains:
        yield "    trials: 3", "evaluations of each backbone, with other seeds: how far chance goes"


def _quoted(text: str) -> str:
    """Quote an address, whose colon would end a key within a list."""
    return f'"{text}"'

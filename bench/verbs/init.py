"""`bench init`: look at someone's data and checkpoints, and write a first study of them."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import first_study, places
from bench.first_study import Seen
from bench.options import READING
from bench.study import plan as planning
from bench.verbs.data import Problems, read
from pretrain.core import devices
from pretrain.core.counts import counted
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal, Progress
from pretrain.core.machine_errors import translating_os_errors
from transfer import arrange, engines, tasks
from transfer.arrange.glance import Glance
from transfer.datasets import decoding
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.survey import survey
from transfer.sources.addresses import SCHEMES

FILE = "study.yaml"
PRETRAIN = "pretrain"
KNOWN_BY: dict[str, tuple[str, ...]] = {
    "voc": ("VOC2007", "VOC2012"),
    "coco": ("annotations/instances_*2017.json",),
    "cityscapes": ("leftImg8bit", "gtFine"),
}
"""Layout → what is in it and in no other; data without any of that is images in folders."""
READ_AS: dict[str, tuple[tuple[str, ...], ...]] = {
    "voc": (("voc0712",), ("voc07",)),
    "coco": (("coco-c4",), ("coco-c4-box",)),
    "cityscapes": (("cityscapes",),),
    "imagefolder": (("knn", "linear-cached"), ()),
}
"""Layout → tasks that may be possible, what asks most of the data first; none: only a pre-training."""
LOOKED_AT = 16
"""Images that are decoded to see their size."""


@dataclass(frozen=True)
class Found:
    """What data there is."""

    root: Path
    generated: bool
    layout: str
    tasks: tuple[str, ...]
    content: Any
    """What the layout's reader returned."""
    impossible: tuple[str, ...]
    """Tasks that ask more of data in this layout, and why they are left out."""

    @property
    def named(self) -> str:
        """Name it as `--data` takes it: generated data by its kind, so that every record says that it is generated."""
        return self.root.parent.name if self.generated else str(self.root)


def run(folder: Path, data: str | None, checkpoints: Sequence[str], progress: Progress) -> list[str]:
    """Write `study.yaml` into a folder; return what was seen and what to do next, in lines.

    Args:
        folder: Where it is written; made where it isn't there.
        data: As `--data` takes it: a folder in any of the layouts, or what else images can lie in.
        checkpoints: As `--ckpt` takes them: what is to be evaluated, instead of pre-training.
        progress: Called with every step.

    Raises:
        ConfigError: If the file is there already, or a file stands in the folder's place.
        DataError: If there is no data, or a run would stop at it.
        CheckpointError: If a checkpoint can't be read, or the data's tasks can't take its architecture.
    """
    file = folder / FILE
    if os.path.lexists(file):
        raise ConfigError(f"{file} is there already", fix="name another folder, `bench init FOLDER`, or move the file away")
    there = next(path for path in (folder, *folder.parents, Path()) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"no folder can be made at {folder}", seen=f"{there} is a file", fix="name another folder")
    found = _found(data, Journal(progress=progress))
    if checkpoints and not found.tasks:
        fix = "give images with classes, train/CLASS and val/CLASS, or one of the other layouts"
        raise DataError(f"nothing can be evaluated on {found.root}", seen="no validation images with classes", fix=fix)
    archs = [_arch(checkpoint, found.tasks, progress) for checkpoint in checkpoints]
    about = f"{data or found.named}: {', '.join(_described(found))}"
    seen = Seen(
        name=_name(found.root),
        about=about,
        data=found.named if found.generated else _from_here(data or found.named, folder),
        layout=found.layout,
        train=len(found.content.train),
        tasks=found.tasks,
        labelled=isinstance(found.content, ClassificationData) and len(found.content.train.classes) > 1,
        precision=devices.precision_of(devices.choose(None, 1)),
        checkpoints={label: _from_here(each, folder) for label, each in _labelled(checkpoints).items()},
        arch=archs[0] if archs else "resnet18" if found.layout == "imagefolder" else "resnet50",
    )
    planned = _write(first_study.text(seen), file)
    notes = [f"  to know: {note}" for note in (*found.impossible, *survey(found.content).notes)]
    return [f"written: {file}, {planned}", f"  {about}", *notes, f"next: bench study plan {shlex.quote(str(file))}"]


def _found(data: str | None, journal: Journal) -> Found:
    """Find out in which layout the data is, and read it as far as tasks can.

    Raises:
        DataError: If there is none, or a run would stop at it.
    """
    root, generated = _root(data, journal)
    layout = next((name for name, signs in KNOWN_BY.items() if Glance(root).has(*signs)), "imagefolder")
    problems = Problems()
    impossible: list[str] = []
    for wanted in READ_AS[layout]:
        if not wanted and (said := arrange.advice(root, _usual(root))) is not None:
            raise DataError(f"{root} is in none of the layouts that are read here", seen=said.partition(": ")[0], fix=said)
        problems = Problems()
        content = read((*wanted, PRETRAIN)[0], root, problems, {}, {})
        if content is not None and not problems.count:
            able, unable = _able(wanted, len(content.train))
            return Found(root, generated, layout, able, content, (*impossible, *unable))
        impossible += [f"no {' and no '.join(wanted)}: {first.wrong}" for first in [*problems.first.values()][:1]]
    raise _wrong(root, (*READ_AS[layout][-1], PRETRAIN)[0], problems)


def _able(wanted: tuple[str, ...], images: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Leave out the tasks that need more training images under a small budget, and say why."""
    needed = {name: int(tasks.get(name).small.get("neighbours", 0)) for name in wanted}
    few = tuple(
        f"no {name}: {count} neighbours of {images} training images" for name, count in needed.items() if count > images
    )
    return tuple(name for name, count in needed.items() if count <= images), few


def _root(data: str | None, journal: Journal) -> tuple[Path, bool]:
    """Find the data: as `--data` says; without it, what lies first in BENCH_DATA, or the images that are generated then."""
    base = os.environ.get("BENCH_DATA")
    there = [name for name, folder in places.ROOTS.items() if base and (Path(base) / folder).is_dir()]
    return places.data_root(data, there[0] if there and data is None else "imagefolder", journal)


def _usual(root: Path) -> str:
    """Name the layout that another tool's export usually becomes."""
    name = arrange.recognise(root)
    return arrange.FORMATS[name].layouts[0] if name else "imagefolder"


def _wrong(root: Path, task: str, problems: Problems) -> DataError:
    """Say what is wrong with data: the problem, or of several the first and how to see all."""
    first = next(iter(problems.first.values()))
    if problems.count == 1:
        return first
    fix = f"bench data check --task {task} --data {shlex.quote(str(root))} lists them"
    return DataError(f"a run would stop at {problems.count} problems of {root}", seen=first.wrong, fix=fix)


def _described(found: Found) -> list[str]:
    """Say how many classes and images there are, and how large the images are."""
    said, content = survey(found.content), found.content
    images = decoding.listed(content)
    some = images[:: max(1, len(images) // LOOKED_AT)][:LOOKED_AT]
    sizes = Counter(f"{width} × {height}" for height, width, _ in (image.decode().shape for image in some))
    ((size, count),) = sizes.most_common(1)
    each = "" if len(sizes) == 1 else f", {len(some) - count} of {len(some)} others of another size"
    validated = f" and {len(content.val):,} validation" if len(content.val) else ""
    objects = [f"{counted(sum(row.train for row in said.classes), 'object')}"] if said.unit == "objects" else []
    classes = counted(len(said.classes), "class", "classes") if said.classes else "no classes"
    return [classes, *objects, f"{len(content.train):,} training{validated} images of {size} pixels{each}"]


def _arch(checkpoint: str, wanted: Sequence[str], progress: Progress) -> str:
    """Read a checkpoint, and return its architecture, which the tasks must be able to take."""
    backbone = READING.load(checkpoint, Journal(progress=progress))
    for name in wanted:
        task = tasks.get(name)
        engines.require_usable(backbone, engines.choose(task), task, checkpoint)
    return backbone.arch


def _from_here(name: str, folder: Path) -> str:
    """Write a path as the study file needs it: whole, where the file lies elsewhere, from which the study may be run."""
    return os.path.abspath(name) if os.path.exists(name) and folder.resolve() != Path.cwd() else name


def _labelled(checkpoints: Sequence[str]) -> dict[str, str]:
    """Name every checkpoint: files by their names, with as many of the folders above as tell them apart, or else numbered."""
    names = list(dict.fromkeys(checkpoints))
    depths = range(1, 1 + max((len(Path(each).parts) for each in names), default=0))
    tried = ([_label(each, depth) for each in names] for depth in depths)
    numbered = [f"{_label(each, 1)}-{number}" for number, each in enumerate(names, 1)]
    labels = next((each for each in tried if len({*each}) == len(names)), numbered)
    return dict(zip(labels, names, strict=True))


def _label(checkpoint: str, depth: int) -> str:
    """Name a checkpoint: a file by the last parts of its path, an address by what follows its scheme."""
    scheme, _, rest = checkpoint.partition(":")
    path = Path(checkpoint)
    name = rest if scheme in SCHEMES else "-".join((*path.parts[:-1], path.stem)[-depth:])
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "checkpoint"


def _name(root: Path) -> str:
    """Name the study after the data, and not as the data's folder: its own lies beside it."""
    return re.sub(r"[^a-z0-9]+", "-", f"study-{root.resolve().name}".lower()).strip("-")


def _write(text: str, file: Path) -> str:
    """Write the file unless it is there, when it is known to be a good study; return what the study plans, in words."""
    with TemporaryDirectory() as apart:
        draft = Path(apart) / FILE
        draft.write_text(text, encoding="utf-8")
        plan = planning.read(draft)
    with translating_os_errors("write", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    return f"a study of {counted(len(plan.pretrainings), 'pre-training')} and {counted(len(plan.evaluations), 'evaluation')}"

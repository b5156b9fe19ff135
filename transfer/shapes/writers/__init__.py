"""The layouts of the generated data, one writer each: `add` writes a scene, `finish` the files about all of them.

Index i of a split has the same picture everywhere: COCO's image id, VOC's file name and Cityscapes' frame number count from
1. VOC numbers the training split first; 2007 test is the validation split, and 2007 and 2012 trainval halve the training split.
"""

from collections.abc import Sequence
from pathlib import Path

from transfer.shapes.writers.cityscapes import Cityscapes
from transfer.shapes.writers.coco import Coco
from transfer.shapes.writers.files import Writer
from transfer.shapes.writers.imagefolder import ImageFolder
from transfer.shapes.writers.voc import Voc


def writers(root: Path, classes: Sequence[str], train: int) -> list[Writer]:
    """Make the writers of all layouts below a folder, for `train` training scenes."""
    return [ImageFolder(root, classes), Coco(root, classes), Voc(root, classes, train), Cityscapes(root, classes)]

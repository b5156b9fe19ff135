"""The layouts that exports are arranged as, one writer each.

Adding one is a module with `HOLDS`, what an export must say of its images, and `write(export, root, target, place)`, which
writes the layout into the folder `target` and returns remarks; and a line of `WRITERS`.
"""

import importlib
from types import ModuleType

WRITERS = ("coco", "voc", "cityscapes", "imagefolder", "crops")
"""Names of the layouts, which are those of `transfer.datasets`, and `crops`, an image folder of the objects."""


def module(layout: str) -> ModuleType:
    """Import a layout's writer."""
    return importlib.import_module(f"{__name__}.{layout}")

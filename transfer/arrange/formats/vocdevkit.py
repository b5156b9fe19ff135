"""VOC's folders below `VOCdevkit`, as the archives of trainval and test unpack, apart or together."""

from pathlib import Path

from transfer.arrange.glance import Glance
from transfer.arrange.items import Links
from transfer.arrange.naming import Named

YEARS = ("VOC2007", "VOC2012")
PARTS = ("Annotations", "JPEGImages", "ImageSets")
DEPTHS = ("", "*/", "*/*/")
MAIN = "ImageSets/Main"


def recognise(glance: Glance) -> bool:
    """Tell whether a year's folder lies one or two levels down, but none at the top."""
    below = [f"{depth}{year}/{MAIN}" for depth in DEPTHS[1:] for year in YEARS]
    return glance.has(*below) and not any(glance.has(year) for year in YEARS)


def read(root: Path, given: Named | None) -> Links:
    """Link the files of each year, whichever archive's folder they are in; of a list that several have, the longest counts."""
    links: dict[str, Path] = {}
    for year in YEARS:
        homes = sorted(path for depth in DEPTHS for path in root.glob(f"{depth}{year}") if (path / MAIN).is_dir())
        for home in homes:
            for part in PARTS if len(homes) == 1 else ():
                if (home / part).is_dir():
                    links[f"{year}/{part}"] = home / part
            for part in PARTS if len(homes) > 1 else ():
                for path in sorted(each for each in (home / part).rglob("*") if each.is_file()):
                    target = f"{year}/{path.relative_to(home).as_posix()}"
                    if target not in links or path.stat().st_size > links[target].stat().st_size:
                        links[target] = path
    return Links("voc", links)

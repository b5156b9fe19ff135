"""Make class taxonomies from WordNet's hierarchy: label maps of 2, 10, 79 and 127 classes, for `label_map` in a study or a run.

    python studies/taxonomies/make.py wordnet.is_a.txt IMAGENET             # the five of data-and-arch.yaml, beside this file
    python studies/taxonomies/make.py wordnet.is_a.txt classes.txt --counts 5 20 --split n00021939 --out maps

`wordnet.is_a.txt` has a line `parent child` of WordNet ids for each arrow of the hierarchy; ImageNet's site offers it. The
classes are the folders of a data set's `train`, or the lines of a file.

The rule is that of arXiv:2208.00275 (supplement, 2.2), from the bottom up: classes below one node become one class, again and
again; here the deepest node first, and never one whose merging would leave fewer classes than are wanted. NOTE: the source says
neither in which order it merges nor which parent counts where WordNet has several; here it is the one nearest to the root. By
that, WordNet 3.0 has 3 of ImageNet's 1000 classes against 997 in the taxonomy of 2, which is the source's 1 : 327, and 515
artifacts against 485. The source's other maps may differ from these.
"""

import argparse
import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pretrain.core.atomic import replacing
from pretrain.core.errors import BenchError, ConfigError, DataError
from pretrain.core.settings import text_lines

COUNTS = {2: "2-imbalanced", 10: "10", 79: "79", 127: "127"}
"""Classes of a taxonomy → name of its file; others are named by their number."""
ARTIFACT = "n00021939"
"""What people make; about half of ImageNet's classes are below it."""
SPLIT = "2-artifact"
"""File of the taxonomy of what is below a node, and what isn't."""


def read_hierarchy(path: Path) -> dict[str, str]:
    """Read a hierarchy as child → parent, of several parents the one nearest to a root, and of those the first one listed.

    Raises:
        ConfigError: If it can't be read, a line hasn't two ids, or there is no root.
    """
    parents: defaultdict[str, list[str]] = defaultdict(list)
    children: defaultdict[str, list[str]] = defaultdict(list)
    for line in text_lines(path):
        words = line.split()
        if len(words) != 2:
            raise ConfigError(f"not a line of a hierarchy in {path}", seen=line, allowed="parent child: two WordNet ids")
        parents[words[1]].append(words[0])
        children[words[0]].append(words[1])
    level = [node for node in children if node not in parents]
    if not level:
        raise ConfigError(f"no hierarchy in {path}", seen="no node without a parent", allowed="lines `parent child`, no circle")
    depth = dict.fromkeys(level, 0)
    while level:
        level = list(dict.fromkeys(child for node in level for child in children[node] if child not in depth))
        depth |= {node: 1 + min(depth[parent] for parent in parents[node] if parent in depth) for node in level}
    return {
        node: min((each for each in parents[node] if each in depth), key=depth.__getitem__) for node in depth if parents[node]
    }


def path_to(node: str, parents: Mapping[str, str]) -> list[str]:
    """Return a node and what is above it, the root last."""
    path = [node]
    while path[-1] in parents:
        path.append(parents[path[-1]])
    return path


def require_known(classes: Iterable[str], parents: Mapping[str, str]) -> None:
    """Refuse classes that the hierarchy hasn't.

    Raises:
        DataError: Names the first ones.
    """
    known = parents.keys() | set(parents.values())
    missing = [name for name in classes if name not in known]
    if missing:
        raise DataError(
            f"{len(missing)} classes are not in the hierarchy: {', '.join(missing[:4])}",
            allowed="WordNet ids such as n01440764",
            fix="give the folder or the list of ImageNet's classes, and the whole list of WordNet's arrows",
        )


def cut(classes: Iterable[str], parents: Mapping[str, str], count: int) -> dict[str, str]:
    """Return class → node of its group, for exactly `count` groups.

    Raises:
        ConfigError: If merging doesn't come to that number.
    """
    groups = {name: [name] for name in classes}
    paths = [path_to(name, parents) for name in groups]
    depth = {node: len(path) - place for path in paths for place, node in enumerate(path)}
    below: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        for child, parent in itertools.pairwise(path):
            below[parent].add(child)
    while len(groups) > count:
        able = [
            node
            for node, children in below.items()
            if children <= groups.keys() and len(groups) - len(children | ({node} & groups.keys())) + 1 >= count
        ]
        if not able:
            break
        node = max(able, key=lambda node: (depth[node], node))
        merged = below.pop(node) | ({node} & groups.keys())
        groups[node] = [name for child in sorted(merged) for name in groups.pop(child)]
    if len(groups) != count:
        raise ConfigError(f"no taxonomy of {count} classes", seen=f"{len(paths)} classes merge to {len(groups)}")
    return {name: node for node, names in groups.items() for name in names}


def split(classes: Iterable[str], parents: Mapping[str, str], node: str) -> dict[str, str]:
    """Return class → the node if it is below it, else `not-` and the node.

    Raises:
        ConfigError: If all classes are on one side.
    """
    labels = {name: node if node in path_to(name, parents) else f"not-{node}" for name in classes}
    if len({*labels.values()}) < 2:
        raise ConfigError(
            f"{node} divides nothing", seen=f"all {len(labels)} classes are {next(iter(labels.values()), 'none')}"
        )
    return labels


def listed(source: Path) -> list[str]:
    """List the classes of a data set's folder, or of a file."""
    folder = source / "train" if (source / "train").is_dir() else source
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else text_lines(source)


def write(labels: Mapping[str, str], path: Path) -> None:
    """Write a label map and say how large its classes are."""
    sizes = Counter(labels.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write("".join(f"{name},{label}\n" for name, label in sorted(labels.items())).encode())
    print(f"{path}: {len(sizes)} classes, of {min(sizes.values())} to {max(sizes.values())} of the {len(labels)}")


def main() -> int:
    """Write the taxonomies that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hierarchy", type=Path, help="wordnet.is_a.txt")
    parser.add_argument("classes", type=Path, help="folder of the data set, or file with a class a line")
    parser.add_argument("--counts", type=int, nargs="*", default=list(COUNTS), help="numbers of classes")
    parser.add_argument("--split", default=ARTIFACT, help="node of the taxonomy of what is below it and what isn't")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    asked = parser.parse_args()
    try:
        parents, classes = read_hierarchy(asked.hierarchy), listed(asked.classes)
        require_known(classes, parents)
        for count in asked.counts:
            write(cut(classes, parents, count), asked.out / f"{COUNTS.get(count, count)}.csv")
        write(split(classes, parents, asked.split), asked.out / f"{SPLIT}.csv")
    except BenchError as error:
        print(f"make.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Print how large trained weights are beside fresh ones, and of how many backbones the remark on large weights is made.

    python tests/benchmarks/weight_norms.py RUNS...

Looks for `backbone.pth` in the folders of finished pre-trainings (`RUNS/pretrain-*`), and prints of each the optimiser, the
epochs and `transfer.norms.norm_ratio`; then of each architecture and optimiser the range, and how many are remarked on.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import yaml

from pretrain.core.journal import Journal
from transfer import norms, sources


def main(folders: list[Path]) -> None:
    """Print a line for each backbone, and one for each kind."""
    kinds: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for path in sorted(found for folder in folders for found in folder.glob("pretrain-*/backbone.pth")):
        recipe = yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8"))["recipe"]
        backbone, optimizer = sources.load(str(path), journal=Journal()), recipe["optimizer"]["name"]
        ratio = norms.norm_ratio(backbone.state, backbone.arch)
        kinds[backbone.arch, optimizer].append((ratio, norms.warning(backbone.state, backbone.arch) is not None))
        print(f"{ratio:6.3f}  {optimizer}, {recipe['epochs']} epochs: {path.parent.name}")
    for (arch, optimizer), found in sorted(kinds.items()):
        ratios = [ratio for ratio, _ in found]
        remarked = sum(is_remarked for _, is_remarked in found)
        print(f"{arch}, {optimizer}: {min(ratios):.2f} to {max(ratios):.2f}, {remarked} of {len(found)} remarked on")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    main(parser.parse_args().runs)

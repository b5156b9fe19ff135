"""`plan --snakefile`: what is left to do of a study as a Snakefile, for all that Snakemake runs on: LSF, PBS, clouds.

Snakemake removes a job's outputs before it starts it and after it failed. So a job's output is its record alone, never a
checkpoint; and that one is an `update`, which Snakemake leaves there: a job whose cell was done meanwhile finds its record, and
ends. A job is `bench study cell`, whose words stay the same however the study file is edited.
"""

import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.study import times
from bench.study.cells import Cell
from bench.study.file import Resource
from bench.study.states import Look, State

HEAD = """\
# {count} cells of the study {study}, to do when `bench study plan {file} --snakefile` was given.
# Write it again when the study file has changed. To run them, from the same folder, and to go on after whatever happened:
#     snakemake --snakefile THIS_FILE --cores 8 --keep-going --rerun-incomplete --nolock
import re

BENCH = config.get("bench", {bench!r})


def needed(backbones):
    return lambda cell: [backbones[cell.run]] if backbones[cell.run] else []


def one_of(backbones):
    return "|".join(map(re.escape, backbones))


# Run folder to make → the last file of the run whose backbone it needs, if that is to do, too.
"""
ALL = """

rule all:
    input: [run + last for backbones, last in [{tables}] for run in backbones]
"""
RULE = """

rule {name}:
    input: ancient(needed({table}))
    output: update("{{run}}/{result}")
    wildcard_constraints: run=one_of({table})
    threads: {threads}
    resources: {resources}
    retries: {retries}
    shell: {shell!r}
"""
MIB = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}
"""Unit of `memory` → mebibytes."""


def text(look: Look, elsewhere: Sequence[Path] = ()) -> str:
    """Return the Snakefile of the cells that are not done.

    Args:
        look: The study as it stands.
        elsewhere: Folders whose records count.

    Raises:
        ConfigError: If the time that a resource says can't be read.
    """
    plan = look.plan
    to_do = {cell.id: cell for cell in plan.cells.values() if look.states[cell.id] is not State.DONE}
    groups = dict(_named(to_do.values()))
    file = shlex.quote(str(plan.path))
    bench = f"{shlex.quote(sys.executable)} -m bench"
    parts = [HEAD.format(count=f"{len(to_do):,}", study=plan.study.study, file=file, bench=bench)]
    for name, cells in groups.items():
        needs = ((cell.folder, to_do[cell.needs].output if cell.needs in to_do else None) for cell in cells)
        rows = "".join(f"    {str(folder)!r}: {backbone and str(backbone)!r},\n" for folder, backbone in needs)
        parts.append(f"{name.upper()} = {{\n{rows}}}\n")
    parts.append(ALL.format(tables=", ".join(f'({name.upper()}, "/{cells[0].output.name}")' for name, cells in groups.items())))
    found = "".join(f" --found {shlex.quote(str(folder))}" for folder in elsewhere)
    shell = f"{{BENCH}} study cell {_braced(file)} {{wildcards.run:q}} --wait{_braced(found)}"
    for name, cells in groups.items():
        parts.append(
            RULE.format(
                name=name,
                table=name.upper(),
                result=cells[0].output.name,
                threads=threads(cells[0].resource),
                resources=resources(cells[0].resource),
                retries=plan.study.retries,
                shell=shell,
            )
        )
    return "".join(parts)


def _named(cells: Iterable[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    """Group cells of one task that need the same of a machine, and yield each group under the name of its rule."""
    groups: dict[tuple[str, int, str], list[Cell]] = {}
    for cell in cells:
        task = re.sub(r"\W", "_", re.split("[@(]", cell.task)[0])
        groups.setdefault((task, threads(cell.resource), resources(cell.resource)), []).append(cell)
    seen: Counter[str] = Counter()
    for (task, *_), alike in groups.items():
        seen[task] += 1
        yield task if seen[task] == 1 else f"{task}_no{seen[task]}", alike


def _braced(text: str) -> str:
    """Write a text as it stands in what Snakemake formats."""
    return text.replace("{", "{{").replace("}", "}}")


def threads(resource: Resource) -> int:
    """Return the processor cores of a job: those that are said, or one for each device."""
    return resource.cpus or resource.devices


def resources(resource: Resource) -> str:
    """Write what a job needs in Snakemake's own names: GPUs, nodes, mebibytes, minutes; what isn't said is left away."""
    said = {"gpu": resource.devices}
    if resource.nodes > 1:
        said["nodes"] = resource.nodes
    if resource.memory is not None:
        said["mem_mb"] = max(1, round(int(resource.memory[:-1]) * MIB[resource.memory[-1]]))
    if resource.time is not None:
        said["runtime"] = math.ceil((times.seconds(resource.time) or 0) / 60)
    return ", ".join(f"{name}={value}" for name, value in said.items())

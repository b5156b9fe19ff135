"""Count what keeps the house in order, and print a Markdown table: files, functions, import circles, docstrings.

    python tests/benchmarks/house_numbers.py [PACKAGE ...]

Lines are counted as written, blank ones and docstrings included. An import inside a function counts as one at the top, and
importing a name from a package counts as importing that package, unless the name is a module of it.
"""

import ast
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pretrain", "transfer", "bench")
LONGEST_FILE = 300
LONGEST_FUNCTION = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file, read."""

    name: str
    """Dotted, without `.__init__`."""
    package: str
    """What a relative import starts from."""
    lines: int
    tree: ast.Module


def main() -> None:
    """Print a row for each package, one for all together, and the circles."""
    names = sys.argv[1:] or PACKAGES
    everything = [module for name in names for module in read(name)]
    titles = ["", "files", "lines", "functions: median", "90 %", "longest", "files: median", "90 %", "longest"]
    titles += [
        f"functions over {LONGEST_FUNCTION}",
        f"files over {LONGEST_FILE}",
        "import circles",
        "public functions documented",
    ]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    found = circles(imports(everything))
    for name in [*names, "all"]:
        modules = [module for module in everything if name in ("all", module.name.split(".")[0])]
        print(f"| {name} | {' | '.join(row(modules, found))} |")
    for circle in found:
        print(f"\nCircle: {', '.join(circle)}")


def read(package: str) -> list[Module]:
    """All modules of a package below the root."""
    modules = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        modules.append(Module(name, ".".join(parts[:-1]), len(text.splitlines()), ast.parse(text)))
    return modules


def row(modules: list[Module], found: list[list[str]]) -> list[str]:
    """The cells of a row; `found` are the circles of all modules."""
    files = {module.name: module.lines for module in modules}
    functions = {f"{module.name}.{name}": length for module in modules for name, length in lengths(module.tree)}
    public = [each for module in modules for each in published(module.tree)]
    documented = sum(ast.get_docstring(each) is not None for each in public)
    return [
        *(str(len(files)), f"{sum(files.values()):,}"),
        *spread(functions),
        *spread(files),
        str(sum(length > LONGEST_FUNCTION for length in functions.values())),
        str(sum(length > LONGEST_FILE for length in files.values())),
        str(sum(bool(files.keys() & set(circle)) for circle in found)),
        f"{documented} of {len(public)}",
    ]


def spread(sizes: dict[str, int]) -> list[str]:
    """Median, 90th percentile, and the largest with its name."""
    if not sizes:
        return ["", "", ""]
    values = sorted(sizes.values())
    largest = max(sizes, key=lambda name: sizes[name])
    return [f"{statistics.median(values):g}", str(values[len(values) * 9 // 10]), f"{sizes[largest]} (`{largest}`)"]


def lengths(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, methods and inner ones included, from its first decorator on."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{node.name}" if isinstance(node, Definition) else ""
        if isinstance(node, Function):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield name, (node.end_lineno or first) - first + 1
        yield from lengths(node, f"{name}." if name else prefix)


def published(tree: ast.AST) -> Iterator[Function]:
    """The functions and methods whose names, and whose classes' names, have no leading underscore; none within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition) and node.name.startswith("_"):
            continue
        if isinstance(node, Function):
            yield node
        else:
            yield from published(node)


def imports(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Module → the modules of these that it imports, anywhere in it."""
    modules = list(modules)
    known = {module.name for module in modules}
    return {module.name: (set(_imported(module)) & known) - {module.name} for module in modules}


def _imported(module: Module) -> Iterator[str]:
    """Every dotted name that an import names; `from a import b` is both `a.b`, where that is a module, and else `a`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.package.split(".")[: len(module.package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if _is_module(inner) else origin


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module: sets in which each one reaches every other."""
    reached = {name: _reached(graph, name) for name in graph}
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """Everything that is imported from `start` on."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen


if __name__ == "__main__":
    main()

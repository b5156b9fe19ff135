"""Find the published numbers of one method, which a pre-training of it should come near."""

from collections.abc import Iterator, Sequence

from transfer.board.published_numbers import TELLING, Number

Line = tuple[str, str, str, str, str, str]
"""Protocol, method as printed, augmentation, architecture, data and source, of which one line tells."""


def of_method(called: str, numbers: Sequence[Number]) -> Iterator[tuple[str, str]]:
    """Write the published numbers of a method without an extra augmentation, those of one source and protocol in one line.

    Args:
        called: The method's name in published tables, which other words may follow there.
        numbers: All published numbers.

    Yields:
        Protocol, and numbers with their epochs and source, in the numbers' order.
    """
    lines: dict[Line, dict[str, list[Number]]] = {}
    for number in numbers:
        method, aug, _, _, arch, data, epochs = number.pretraining
        if is_called(method, called) and not any(extra in aug.lower() for extra in TELLING):
            key = (number.task, method, aug, arch, data, number.source)
            lines.setdefault(key, {}).setdefault(epochs, []).append(number)
    for (task, *pretraining, source), by_epochs in lines.items():
        values = "; ".join(_values(epochs, found) for epochs, found in by_epochs.items())
        yield task, f"{values} ({', '.join(filter(None, pretraining))}; {source})"


def is_called(method: str, called: str) -> bool:
    """Whether a printed method is that one, whose name other words may follow; with a plus after it, it is another."""
    printed, name = method.casefold(), called.casefold()
    return printed == name or (printed.startswith(f"{name} ") and not printed.startswith(f"{name} +"))


def _values(epochs: str, numbers: Sequence[Number]) -> str:
    """Write the numbers of one pre-training."""
    values = ", ".join(f"{number.metric} {number.value:g}" for number in numbers)
    return f"{epochs} epochs {values}" if epochs else values

"""Numbers of things in words: `1 epoch`, `2 epochs`."""


def counted(number: float, name: str, several: str | None = None) -> str:
    """Write a number of things, with the thousands apart.

    Args:
        number: How many; a whole number, or one with a fraction.
        name: Of one of them.
        several: Of more or none; None: the name and an `s`.
    """
    text = f"{number:,}" if isinstance(number, int) else f"{number:,g}"
    return f"{text} {name if number == 1 else several or f'{name}s'}"

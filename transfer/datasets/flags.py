"""Yes or no, as annotation tools write it: VOC's `<difficult>`, COCO's `iscrowd`."""

YES = ("1", "true", "t", "yes", "y")
NO = ("0", "false", "f", "no", "n", "", "unspecified")


def flag(value: object) -> bool | None:
    """Read a flag, whichever way a tool writes it; what is absent is a no; None for what is neither a yes nor a no."""
    if value is None:
        return False
    word = f"{value:g}" if isinstance(value, float) else str(value).strip().lower()
    return True if word in YES else False if word in NO else None

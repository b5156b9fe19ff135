"""Times of jobs as clusters write them: `24h`, minutes, `minutes:seconds`, `[days-]hours:minutes:seconds`, `days-hours`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_SHORT = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+)")


def seconds(text: str) -> int | None:
    """Read a time as Slurm writes it, or in short: `90m`, `24h`, `7d`; None for anything else, such as UNLIMITED."""
    if short := _SHORT.fullmatch(text):
        return int(short[1]) * _UNITS[short[2]]
    if days := _DAYS.fullmatch(text):
        day, hour, minute, second = (int(part or 0) for part in days.groups())
        return ((day * 24 + hour) * 60 + minute) * 60 + second
    if clock := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return (hour * 60 + minute) * 60 + second if clock[2] else second * 60
    return None


def clock(total: int) -> str:
    """Write seconds as `hours:minutes:seconds`."""
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"


def _checked(value: Any) -> Any:
    """Refuse what is no time; YAML reads 24:00:00 as the number 86400, so that no number can be told from another."""
    if value is not None and (not isinstance(value, str) or not seconds(value)):
        raise ValueError(f"{value!r} is no time of a job: write 24h, 90m, or in quotes as Slurm has it, '1-12:00:00'")
    return value


Span = Annotated[str, BeforeValidator(_checked)]
"""A field that is the longest time of a job."""

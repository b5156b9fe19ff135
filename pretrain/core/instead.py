"""What lies in the place of a file that was not fetched, by its first bytes: a pointer, a web page, nothing.

An example: a repository that was cloned without Git LFS has, in the place of each image and each checkpoint, some lines that
begin with `version https://git-lfs`.
"""

import re

INSTEAD: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"\Z"), "an empty file", "get the file itself: its download or copy didn't begin"),
    (
        re.compile(rb"version https://git-lfs"),
        "a Git LFS pointer, and not the file that it names",
        "git lfs pull, or download the file itself",
    ),
    (re.compile(rb"\0+\Z"), "a file that begins with zeros only, as a download that broke off", "get the file again"),
    (
        re.compile(rb"\x00\x05\x16\x07"),
        "what macOS keeps beside a file, and not the file",
        "take the file of that name without ._ before it",
    ),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<"),
        "a web page, or XML",
        "get the file itself: the address gave a page in its place, which may ask for a login or a confirmation",
    ),
)
"""(how it begins, what it is, what to do)."""


def instead(head: bytes) -> tuple[str, str] | None:
    """Return what a file with these first bytes is, and what to do; None where it may be the file itself."""
    return next(((what, fix) for beginning, what, fix in INSTEAD if beginning.match(head)), None)

"""Slurm's own commands: what they print, or their message as an error."""

import subprocess
from collections.abc import Sequence

from pretrain.core.errors import EngineError

PATIENCE = 120
"""Seconds that a command may take: a busy controller lets it wait."""


def run(words: Sequence[str], given: str = "") -> str:
    """Run a command of Slurm and return what it prints.

    Args:
        words: Its words.
        given: What it reads from its standard input.

    Raises:
        EngineError: If it isn't here or refuses; with its own message.
    """
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        fix = "give the command where Slurm's commands are, such as a login node; or use --on local"
        raise EngineError(f"{words[0]} is not here", fix=fix) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{words[0]} gives no answer", seen=error) from None
    if done.returncode:
        seen = (done.stderr or done.stdout).strip().replace("\n", "\n           ")
        raise EngineError(f"{words[0]} refuses", seen=seen or f"exit code {done.returncode}")
    return done.stdout

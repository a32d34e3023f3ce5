"""Commands that messages suggest."""

from __future__ import annotations

import shlex
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent  # of the repository, unless the suite was installed from a wheel


def command(*words: object) -> str:
    """Return a command of this suite for a shell; words with blanks or special characters are quoted."""
    return shlex.join(["python", "-m", "benchmark", *map(str, words)])


def install(extra: str = "") -> str:
    """Return the command that installs the suite with an extra: in a clone with its constraints, as the README says.

    Args:
        extra: name of the extra; empty for none.
    """
    brackets = f"[{extra}]" if extra else ""
    if all((CLONE / name).is_file() for name in ("pyproject.toml", "constraints.txt")):
        return f"pip install -e {shlex.quote(f'.{brackets}')} -c constraints.txt"
    return f"pip install {shlex.quote(f'aat-benchmark{brackets}')}"

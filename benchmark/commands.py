"""Commands that messages suggest."""

from __future__ import annotations

import shlex


def command(*words: object) -> str:
    """Return a command of this suite for a shell; words with blanks or special characters are quoted."""
    return shlex.join(["python", "-m", "benchmark", *map(str, words)])

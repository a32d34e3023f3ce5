"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # description, items done, items in total


def no_progress(_description: str, _done: int, _total: int) -> None:
    """Show nothing."""

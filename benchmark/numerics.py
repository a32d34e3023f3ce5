"""The numerics version: an integer that changes when results can change."""

from __future__ import annotations

NUMERICS_VERSION = 1
"""Raise it by one when the same trial request can give other numbers, and only then.

Records store it; a record with another version is stale. `tests/trial/test_numerics.py` compares pinned trials with
`tests/golden/numerics.json`. A change that moves their numbers must raise this integer, add a line "Numerics version N"
to CHANGELOG.md, and write the file again with `python tests/numerics.py --write`.
"""

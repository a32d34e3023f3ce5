"""The numerics version: which generation of numbers this code computes."""

from __future__ import annotations

NUMERICS_VERSION = 1
"""Raised by one when the same trial request can give other numbers, and only then.

Records keep it; a record of another version is stale. `tests/trial/test_numerics.py` compares pinned trials with
`tests/golden/numerics.json`: a change that moves their numbers raises this integer, adds a line "Numerics version N" to
CHANGELOG.md, and writes the file again with `python tests/numerics.py --write`.
"""

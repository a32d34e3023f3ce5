"""Figures that a test draws do not stay open for the next ones."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Close all figures after a test."""
    yield
    plt.close("all")

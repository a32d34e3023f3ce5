"""A small search space."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.planning.expand import expand
from benchmark.search.space import Space, make_space, method_spaces
from tests.conftest import tiny_grid


@pytest.fixture
def space(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Space:
    """Three methods; two of them cannot be combined."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    known = method_spaces(["linear", "aat_m[bottleneck=0.25,16]+prompt", "aat_m+aat_ms"])
    grid = tiny_grid(methods=["+".join(method.parts) for method in known.values()], folds="all")
    return make_space(grid, expand(grid, data_root, tmp_path), known)

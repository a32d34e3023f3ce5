"""What a reused worker remembers between trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.registry import get_dataset
from benchmark.trial import assemble


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the data roots that manifests are read from."""
    roots: list[Path] = []
    monkeypatch.setattr(assemble, "_manifest_read", None)
    monkeypatch.setattr(type(get_dataset("esc50")), "manifest", lambda _, root: roots.append(root) or f"of {root}")
    return roots


def test_a_manifest_is_read_once_for_the_trials_of_a_run(reads: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Path("one"), Path("other")
    assert [assemble._read_manifest("esc50", one, "run 1") for _ in range(3)] == ["of one"] * 3
    assert reads == [one]
    assert assemble._read_manifest("esc50", other, "run 1") == "of other"
    assemble._read_manifest("esc50", other, "run 2")
    assert reads == [one, other, other]
    monkeypatch.setattr(assemble.time, "monotonic", lambda: float("inf"))
    assemble._read_manifest("esc50", other, "run 2")
    assert reads == [one, other, other, other]


def test_outside_a_run_a_manifest_is_always_read(reads: list[Path]) -> None:
    for _ in range(2):
        assemble._read_manifest("esc50", Path("one"), "")
    assert len(reads) == 2

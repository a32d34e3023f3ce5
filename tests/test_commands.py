"""Commands that messages suggest."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import commands


def test_an_extra_is_installed_as_the_suite_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert commands.install("export") == "pip install -e '.[export]' -c constraints.txt"
    assert commands.install() == "pip install -e . -c constraints.txt"
    monkeypatch.setattr(commands, "CLONE", tmp_path)
    assert commands.install("export") == "pip install 'aat-benchmark[export]'"

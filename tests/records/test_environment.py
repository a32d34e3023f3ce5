"""What a record says of code and machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.records import environment


def test_the_packages_are_those_that_were_imported() -> None:
    """In a process of its own: this one has imported nearly everything."""
    code = (
        "import json, numpy, soundfile\nfrom benchmark.records.environment import capture\n"
        "print(json.dumps(capture(device='cpu')[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"soundfile", "numpy", "psutil"} <= set(found["packages"])
    assert not {"torch", "pandas", "matplotlib"} & set(found["packages"])
    assert found["device"] == "cpu"
    assert found["suite"]["version"]


def test_a_checkout_tells_its_commit_and_whether_files_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*command: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@y", *command], check=True)

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    state = environment.suite.__wrapped__
    assert (state()["commit"], state()["dirty"]) == (None, None)
    git("init", "--quiet")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "mine.py").write_text("a")
    git("add", "baselines")
    git("commit", "--quiet", "--message", "x")
    assert len(state()["commit"]) == 40
    assert state()["dirty"] is False
    (tmp_path / "notes.txt").write_text("no code")
    assert state()["dirty"] is False
    (tmp_path / "baselines" / "new.py").write_text("b")
    assert state()["dirty"] is True


def test_without_git_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.suite.__wrapped__()["commit"] is None

"""`doctor` finds what is wrong and says what to do."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest

from benchmark import cgroups, temporary
from benchmark.commands import command
from benchmark.tools import doctor as room
from benchmark.tools.doctor import examine
from tests.conftest import Cli


def findings(data_root: Path, tmp_path: Path) -> dict[str, room.Finding]:
    return {each.check: each for each in examine(data_root, tmp_path, tmp_path / "results", tmp_path / "cache")}


def test_this_installation_is_fit(cli: Cli, data_root: Path) -> None:
    done = cli("doctor", "--data-root", data_root)
    assert done.returncode == 0, done.stdout
    *found, last = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    lines = {line.split()[1]: line for line in found}
    assert {"python", "packages", "torchaudio", "soundfile", "gpu", "memory", "ray", "esc50"} <= set(lines)
    assert lines["ray"].startswith(("ok", "warning"))  # a warning on a busy machine
    assert lines["esc50"].startswith("warning")
    assert "synthetic" in lines["esc50"]
    assert last.startswith("All checks passed, ")


def test_a_wrong_version_is_a_fault(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "numpy" else real(name))
    found = findings(data_root, tmp_path)["packages"]
    assert found.verdict == "fault"
    assert "numpy 0.1, required is >=2.0" in found.text
    assert "constraints.txt" in found.fix


def test_a_clone_that_was_not_installed_is_a_fault(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "DISTRIBUTION", "never-installed")
    found = findings(data_root, tmp_path)["packages"]
    assert found.verdict == "fault"
    assert "never-installed itself is not installed" in found.text
    assert "constraints.txt" in found.fix


def test_a_full_disk_and_a_broken_dataset(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    next((root / "ESC-50-master" / "audio").glob("*.wav")).unlink()
    monkeypatch.setattr(room, "SPARE_BYTES", float("inf"))
    found = findings(root, tmp_path)
    assert found["results"].verdict == "warning"
    assert found["esc50"].verdict == "fault"
    assert "is not there" in found["esc50"].text
    assert f"remove {root / 'ESC-50-master'} and get it again" in found["esc50"].fix
    assert command("data", "prepare", "esc50", "--data-root", root) in found["esc50"].fix
    assert found["ast"].verdict == "warning"
    assert found["ast"].fix == f"`{command('checkpoint', 'fetch', 'ast', '--checkpoints', tmp_path)}`"
    nothing = findings(tmp_path / "nowhere", tmp_path)["data"]
    assert command("data", "list", "--data-root", tmp_path / "nowhere") in nothing.fix


def test_a_web_page_in_place_of_a_checkpoint_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "audioset_10_10_0.4593.pth").write_text("<!DOCTYPE html><html>sign in</html>")
    found = findings(tmp_path, tmp_path)["ast"]
    assert found.verdict == "fault"
    assert "a web page, not a checkpoint" in found.text


def test_no_folder_for_sockets_is_a_fault_that_names_each_folder(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(data_root, tmp_path)["temporary"].verdict == "ok"
    monkeypatch.setattr(temporary, "LOG_BYTES", 10**18)
    found = findings(data_root, tmp_path)["temporary"]
    assert found.verdict == "fault"
    assert found.text.count("are needed") >= 2
    assert "TMPDIR" in found.fix


def test_cores_and_memory_are_those_of_the_container(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "core_limit", lambda: 1.5)
    monkeypatch.setattr(cgroups, "memory_limit", lambda: 2 * 10**9)
    found = findings(data_root, tmp_path)["memory"]
    assert found.verdict == "warning"
    assert found.text.endswith("of 2 GB, 1 cores")

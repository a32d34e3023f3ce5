"""The demo: small pre-trained backbones that come with the suite, six tasks of generated audio."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import benchmark
from benchmark.models.weights import OWN_FOLDER, locate
from benchmark.planning.expand import expand
from benchmark.spec.backbone import load_backbone, resolve_backbones
from benchmark.spec.grid import load_grid
from tests.conftest import Cli

NAMES = ["ast-demo", "ssast-demo"]


def test_the_demo_is_the_papers_methods_on_six_tasks_and_two_backbones() -> None:
    demo, paper = load_grid("demo"), load_grid("paper")
    assert demo.methods == paper.methods
    assert demo.datasets == paper.datasets
    assert len(expand(demo, Path("no-data"), Path("no-checkpoints")).requests) == 96
    assert isinstance(demo.synthesize, dict)
    assert set(demo.synthesize) == set(demo.datasets)


@pytest.mark.parametrize("name", NAMES)
def test_a_demo_backbone_is_the_one_of_its_report(name: str) -> None:
    report = json.loads((OWN_FOLDER / f"{name}.json").read_text())
    [choice] = resolve_backbones(name, "test")
    found, path = locate(choice, Path("no-checkpoints"))
    assert path is not None
    entry = load_backbone(name)
    published = entry.checkpoints[entry.size].sha256
    assert found.sha256 == report["sha256"] == published == hashlib.sha256(path.read_bytes()).hexdigest()
    assert choice.variant == name
    assert report["pretraining"]["objective"] == {"ast-demo": "supervised", "ssast-demo": "ssast"}[name]
    assert path.stat().st_size < 4.1e6


def test_a_pretrained_demo_backbone_beats_chance_by_far_and_is_marked(cli: Cli, tmp_path: Path) -> None:
    chosen = ["--grid", "demo", "--dataset", "speech_commands_v1", "--backbone", "ast-demo", "--method", "linear"]
    done = cli("run", *chosen, "--results", tmp_path, "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    frame = benchmark.load_results(tmp_path)
    assert frame["backbone"].tolist() == ["ast-demo"]
    assert frame["score"].item() > 0.4  # chance is 1 of 8
    assert "Not comparable with the paper: demo backbone;" in done.stdout
    assert "synthetic audio" in done.stdout
    assert "explain ast-demo speech_commands_v1 linear" in done.stdout
    again = cli("explain", "ast-demo", "speech_commands_v1", "linear", "--results", tmp_path)
    assert again.returncode == 0, again.stderr


def test_there_is_nothing_to_fetch(cli: Cli) -> None:
    done = cli("checkpoint", "fetch", "ast-demo")
    assert done.returncode == 2
    assert "is part of the suite" in done.stderr

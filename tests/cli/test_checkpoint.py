"""Checkpoints on the command line, and a trial that starts from one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import benchmark
from benchmark.models.weights import digest
from benchmark.spec.backbone import SHAPES
from tests.checkpoints import official_ast, official_ssast
from tests.conftest import TINY_RECIPE, Cli


@pytest.fixture(scope="module")
def ssast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SSAST of size tiny in the official format, under its published name."""
    path = tmp_path_factory.mktemp("checkpoints") / "SSAST-Tiny-Patch-400.pth"
    torch.save(official_ssast(SHAPES["tiny"]), path)
    return path


def test_inspect_prints_format_size_grid_and_digest(cli: Cli, ssast: Path) -> None:
    shown = cli("checkpoint", "inspect", ssast)
    assert shown.returncode == 0, shown.stderr
    for text in ("official SSAST", "tiny", "frequency 8, time 64", digest(ssast)):
        assert text in shown.stdout
    found = json.loads(cli("checkpoint", "inspect", ssast, "--json").stdout)
    assert (found["format"], found["size"], found["class_tokens"]) == ("official SSAST", "tiny", 2)
    assert "mask_embed" in found["not_used"]


def test_verify_runs_the_model(cli: Cli, ssast: Path, tmp_path: Path) -> None:
    done = cli("checkpoint", "verify", "ssast[size=tiny]", "--checkpoints", ssast.parent)
    assert done.returncode == 0, done.stderr
    assert "official SSAST, tiny, complete; no published sha256" in done.stdout
    tensors = torch.load(ssast)
    tensors["module.v.blocks.0.norm1.weight"][0] = torch.nan
    torch.save(tensors, tmp_path / "nan.pth")
    done = cli("checkpoint", "verify", tmp_path / "nan.pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not finite: v.blocks.0.norm1.weight" in done.stderr


def test_convert_writes_our_own_format(cli: Cli, ssast: Path, tmp_path: Path) -> None:
    target = tmp_path / "own.safetensors"
    assert cli("checkpoint", "convert", ssast, target, "--half").returncode == 0
    found = json.loads(cli("checkpoint", "inspect", target, "--json").stdout)
    assert (found["format"], found["grid"]) == ("AAT benchmark", {"frequency": 8, "time": 64})
    assert target.stat().st_size < ssast.stat().st_size / 2
    refused = cli("checkpoint", "convert", ssast, tmp_path / "own.pth")
    assert "must end in .safetensors" in refused.stderr


def test_fetch_says_what_to_do_by_hand(cli: Cli, tmp_path: Path) -> None:
    done = cli("checkpoint", "fetch", "ast[weights=random:0]", "--checkpoints", tmp_path)
    assert (done.returncode, "no declared backbone with published weights" in done.stderr) == (2, True)


def test_a_trial_from_a_checkpoint(cli: Cli, ssast: Path, data_root: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    content = {
        "description": "for tests",
        "backbones": ["ssast[size=tiny]", f"ssast[size=tiny;weights={ssast}]"],
        "datasets": ["esc50"],
        "methods": ["aat_ms"],
        "folds": [1],
        "recipe": {**TINY_RECIPE, "epochs": 1},
    }
    grid.write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    common = ["--grid", grid, "--data-root", data_root, "--checkpoints", ssast.parent, "--results", out]
    done = cli("run", "--no-report", *common)
    assert done.returncode == 0, done.stdout + done.stderr
    frame = benchmark.load_results(out)
    assert sorted(frame["backbone"]) == [
        "ssast[size=tiny;weights=file:SSAST-Tiny-Patch-400.pth]",
        "ssast[size=tiny]",
    ]
    marks = dict(zip(frame["backbone"], frame["marks"], strict=True))
    assert "weights" not in marks["ssast[size=tiny]"]
    assert "weights of SSAST-Tiny-Patch-400.pth" in next(text for name, text in marks.items() if "file:" in name)
    # the same file gives the same numbers, whatever it is called
    assert frame["score"].nunique() == frame["train_loss"].nunique() == 1
    record = json.loads(next((out / "trials").rglob("*.json")).read_text())
    assert record["request"]["backbone"]["sha256"] == digest(ssast)
    assert "nothing to do: 2 done" in cli("run", "--no-report", *common).stdout


def test_a_damaged_checkpoint_is_a_failed_attempt(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    tensors = official_ast(SHAPES["tiny"])
    del tensors["module.v.norm.bias"]
    torch.save(tensors, tmp_path / "mine.pth")
    done = cli(
        "run", "--no-report", "--grid", "quick", "--dataset", "esc50", "--data-root", data_root,
        "--results", tmp_path / "out",
        "--backbone", f"ast[size=tiny;weights={tmp_path / 'mine.pth'}]", "--method", "linear", "--fold", "1",
    )  # fmt: skip
    assert done.returncode == 3
    assert "missing v.norm.bias" in done.stdout.replace("\n", " ")


def test_missing_inputs_are_each_named_and_can_be_skipped(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    arguments = ["--grid", "paper", "--data-root", data_root, "--checkpoints", tmp_path, "--results", tmp_path / "out"]
    done = cli("run", *arguments)
    assert done.returncode == 2
    *lines, last = done.stderr.splitlines()
    assert len(lines) == 7  # both checkpoints and five datasets
    assert all(line.startswith("missing input: ") for line in lines)
    assert last == "error: inputs of the grid are missing (7): get them"
    shutil.copytree(data_root / "ESC-50-master", tmp_path / "data" / "ESC-50-master")
    small = ["--set", "recipe.limit_clips=2", "--set", "recipe.epochs=1", "--set", "recipe.frames=64"]
    small += ["--set", "recipe.time_mask=8"]
    demo = ["--backbone", "ast[size=demo;weights=random:0]", "--method", "linear", "--seed", "0", "--fold", "1"]
    done = cli("run", "--no-report", *arguments, *demo, *small, "--skip-missing")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing input: GTZAN" in done.stdout
    assert "5 of 6 trials are skipped" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 done")

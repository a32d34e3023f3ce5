"""Checkpoints on the command line, and a trial that starts from one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

import benchmark
from benchmark.models.weights import digest
from benchmark.spec.backbone import SHAPES, Shape
from tests.checkpoints import hugging_face, official_ast, official_ssast
from tests.conftest import AST, TINY_RECIPE, Cli, json_of, without_notes


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
    assert all(len(line.split()) > 1 and "None" not in line for line in shown.stdout.splitlines())
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
    assert (done.returncode, without_notes(done.stdout)) == (2, "")
    assert "not finite: v.blocks.0.norm1.weight" in done.stderr


def test_convert_writes_our_own_format(cli: Cli, ssast: Path, tmp_path: Path) -> None:
    target = tmp_path / "own.safetensors"
    converted = json_of(cli("checkpoint", "convert", ssast, target, "--half", "--json"), "checkpoint convert")
    assert converted == {"path": str(target), "sha256": digest(target)}
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


def damaged(path: Path) -> str:
    tensors = official_ast(SHAPES["tiny"])
    del tensors["module.v.norm.bias"]
    torch.save(tensors, path)
    return "missing v.norm.bias"


def web_page(path: Path) -> str:
    path.write_text("<!DOCTYPE html><html>sign in</html>")
    return "a web page, not a checkpoint; the link answered with a page"


def of_ssast(path: Path) -> str:
    torch.save(official_ssast(SHAPES["tiny"]), path)
    return "is of the family ssast: name it ssast[weights=FILE]"


def ambiguous(path: Path) -> str:
    torch.save(official_ast(SHAPES["tiny"], (8, 60)), path)
    return "480 positions may be a grid of 12x40 (stride=10;mels=128), 10x48 (stride=12;mels=128), 8x60 (stride=16;"


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("make", [damaged, web_page, of_ssast, ambiguous])
def test_a_checkpoint_that_cannot_be_used_is_one_line_before_anything_runs(
    cli: Cli, data_root: Path, tmp_path: Path, make: Callable[[Path], str], command: str
) -> None:
    message = make(tmp_path / "mine.pth")
    done = cli(
        command, "--grid", "quick", "--dataset", "esc50", "--data-root", data_root, "--results", tmp_path / "out",
        "--cache", tmp_path / "cache", "--backbone", f"ast[weights={tmp_path / 'mine.pth'}]",
    )  # fmt: skip
    assert (done.returncode, without_notes(done.stdout)) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'mine.pth'}: ")
    assert message in line
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out" / "trials").exists()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("peft/lora[r=0]", "method 'peft/lora[r=0]': `r` should be a positive integer value but the value passed is 0"),
        ("aat_ms+FAULT", "ZeroDivisionError: division by zero"),
        ("prompt[tokens=100000]", "100000 prompt tokens cannot overwrite"),
    ],
)
def test_a_method_that_cannot_be_built_is_one_line_before_anything_runs(
    cli: Cli, data_root: Path, tmp_path: Path, method: str, message: str
) -> None:
    method = method.replace("FAULT", str(tmp_path / "fault.py"))
    (tmp_path / "fault.py").write_text(
        "from dataclasses import dataclass\nfrom benchmark.methods import Method, register\n"
        "@register('fault_cli', label='F', source='x')\n@dataclass(frozen=True, kw_only=True)\n"
        "class Fault(Method):\n    'A fault.'\n    def adapt(self, model):\n        return [1 / 0]\n"
    )
    arguments = [
        "--grid", "quick", "--dataset", "esc50", "--data-root", data_root, "--results", tmp_path / "out",
        "--cache", tmp_path / "cache", "--backbone", AST, "--fold", "1,2", "--protocol", "reference",
    ]  # fmt: skip
    done = cli("run", *arguments, "--method", f"linear,{method}")
    assert (done.returncode, without_notes(done.stdout)) == (2, "")
    [line] = done.stderr.splitlines()
    assert message in line
    assert "(2 trials): nothing was run; run the 2 trials without them with --skip-missing" in line
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out" / "attempts").exists()
    planned = cli("plan", *arguments, "--method", f"linear,{method}")
    assert planned.returncode == 3
    assert [line for line in planned.stdout.splitlines() if message in line] == [
        next(line for line in planned.stdout.splitlines() if line.startswith("cannot be built: "))
    ]


def test_methods_that_cannot_be_built_are_left_out_on_request(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    done = cli(
        "run", "--no-report", "--grid", "quick", "--dataset", "esc50", "--data-root", data_root, "--results", tmp_path,
        "--backbone", "ast[size=demo;weights=random:0]", "--fold", "1", "--method", "linear,peft/lora[r=0]",
        "--set", "recipe.epochs=1", "--set", "recipe.limit_clips=2", "--skip-missing",
    )  # fmt: skip
    assert "cannot be built: method 'peft/lora[r=0]'" in done.stdout
    assert "1 done, 1 missing" in done.stdout


def test_remarks_on_the_input_are_shown_by_plan_and_run(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    safetensors.torch.save_file(hugging_face(official_ast(SHAPES["demo"], (5, 12))), folder / "model.safetensors")
    (folder / "config.json").write_text(
        json.dumps({"num_attention_heads": 2, "num_mel_bins": 64, "frequency_stride": 10})
    )
    (folder / "preprocessor_config.json").write_text(json.dumps({"mean": -7.5, "std": 2.5}))
    arguments = [
        "--grid", "quick", "--dataset", "esc50", "--data-root", data_root, "--results", tmp_path / "out",
        "--backbone", f"ast[weights={folder}]", "--fold", "1", "--method", "linear",
        "--set", "recipe.epochs=1", "--set", "recipe.limit_clips=2",
    ]  # fmt: skip
    remarks = ["weights of 64 mel bands, input of 128", "the checkpoint's normalisation (-7.5, 2.5) is not used"]
    for command in ("plan", "run"):
        done = cli(command, *arguments)
        assert done.returncode == 0, done.stderr
        for remark in remarks:
            assert f"note: ast[size=demo;weights=file:mine] on esc50: {remark}" in done.stdout.replace("\n", " ")
    [marks] = benchmark.load_results(tmp_path / "out")["marks"]
    assert all(remark in marks for remark in remarks)


def test_a_checkpoint_of_any_shape_is_used_and_planned_with_its_shape(
    cli: Cli, data_root: Path, tmp_path: Path
) -> None:
    torch.save(official_ast(Shape(width=80, depth=2, heads=5), (8, 60)), tmp_path / "mine.pth")
    backbone = f"ast[weights={tmp_path / 'mine.pth'};heads=5;stride=16;mels=128]"
    done = cli(
        "run", "--no-report", "--grid", "quick", "--dataset", "esc50", "--data-root", data_root,
        "--results", tmp_path / "out", "--backbone", backbone, "--fold", "1", "--method", "aat_ms",
        "--set", "recipe.epochs=1", "--set", "recipe.limit_clips=2", "--keep-weights",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = benchmark.load_results(tmp_path / "out").to_dict("records")
    assert row["backbone"] == "ast[depth=2;heads=5;mels=128;stride=16;weights=file:mine.pth;width=80]"
    assert "80x2, 5 heads backbone" in row["marks"]
    done = cli("export", row["id"], "--results", tmp_path / "out", "--out", tmp_path / "e", "--checkpoints", tmp_path)
    assert done.returncode == 0, done.stderr
    assert benchmark.load_export(tmp_path / "e", checkpoints=tmp_path).model.width == 80


def test_the_options_that_decide_are_those_of_the_checkpoint_commands(cli: Cli, tmp_path: Path) -> None:
    torch.save(official_ast(Shape(width=64, depth=1, heads=2), (8, 60)), tmp_path / "mine.pth")
    assert cli("checkpoint", "inspect", tmp_path / "mine.pth").returncode == 2
    stated = ["--stride", "16", "--mels", "128", "--heads", "2"]
    assert "frequency 8, time 60" in cli("checkpoint", "inspect", tmp_path / "mine.pth", *stated).stdout
    assert "complete" in cli("checkpoint", "verify", tmp_path / "mine.pth", *stated).stdout
    assert cli("checkpoint", "convert", tmp_path / "mine.pth", tmp_path / "a.safetensors", *stated).returncode == 0
    found = json.loads(cli("checkpoint", "inspect", tmp_path / "a.safetensors", "--json").stdout)
    assert (found["grid"], found["mels"], found["family"]) == ({"frequency": 8, "time": 60}, 128, "ast")


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

"""`run --keep-weights` and `export`, on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import benchmark
from benchmark.data.loader import evaluation_batches
from benchmark.data.parallel import torch_threads
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.tools.export.pick import pick_trial
from benchmark.trial.data import prepare
from tests.conftest import AST, TINY_RECIPE, Cli, json_of

GRID = {
    "description": "for tests",
    "backbones": [AST],
    "datasets": ["esc50"],
    "methods": ["linear", "aat_ms"],
    "folds": [1],
    "recipe": TINY_RECIPE,
}
METHODS = ("linear", "aat_ms")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "tiny.yaml"
    path.write_text(yaml.safe_dump(GRID))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, cli: Cli, grid: Path, data_root: Path) -> Path:
    """Return the results of two trials, whose reported epoch is the last one."""
    folder = tmp_path_factory.mktemp("run") / "out"
    arguments = ["--data-root", data_root, "--results", folder, "--set", "protocol.selection=last", "--no-report"]
    done = cli("run", "--grid", grid, *arguments, "--keep-weights", "--cpus-per-trial", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def record(results: Path, method: str) -> Record:
    return next(each for each in ResultStore(results).records() if each.request.method.name == method)


def logits(model: AudioTransformer, request: TrialRequest, data_root: Path) -> np.ndarray:
    """Return the logits of the test split, computed in the batches and on the one thread of the trial."""
    clips = prepare(request, get_dataset("esc50").manifest(data_root), None).splits["test"]
    with torch_threads(1), torch.inference_mode():
        batches = evaluation_batches(clips, request.recipe.batch_size, 0, torch.device("cpu"))
        return torch.cat([model(features) for features, _, _ in batches]).numpy()


def test_only_what_was_trained_is_kept(results: Path) -> None:
    for method in METHODS:
        each = record(results, method)
        tensors = load_file(ResultStore(results).weights_path(each.request))
        assert sum(tensor.numel() for tensor in tensors.values()) == each.parameters.trainable
        assert all(name.startswith("mlp_head.") or "_adapter." in name for name in tensors)
        assert "keep" not in each.model_dump_json()


@pytest.mark.parametrize("method", METHODS)
def test_an_export_predicts_bit_for_bit_what_the_trial_predicted(
    results: Path, data_root: Path, tmp_path: Path, cli: Cli, method: str
) -> None:
    each = record(results, method)
    done = cli("export", each.id, "--results", results, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"adapter.safetensors", "adapter.json", "README.md"}
    assert "last epoch" not in done.stdout
    assert "Not comparable with the paper: random weights; demo backbone; " in done.stdout
    assert f"{each.parameters.trainable:,} of {each.parameters.total:,}" in done.stdout
    with np.load(ResultStore(results).record_path(each.request).with_suffix(".npz")) as stored:
        expected = stored["logits_test"][stored["epochs"].tolist().index(each.selection.epoch)]
    state = torch.get_rng_state()
    model = benchmark.load_export(tmp_path / "out")
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(logits(model, each.request, data_root), expected)
    assert not model.training
    card = json.loads((tmp_path / "out" / "adapter.json").read_text())
    assert card["request"] == each.request.model_dump(mode="json")
    assert (card["frames"], card["mels"], len(card["classes"])) == (64, 128, 50)
    assert card["score"] == each.curves[-1].splits["test"]["accuracy"]
    assert card["adapter_bytes"] == (tmp_path / "out" / "adapter.safetensors").stat().st_size
    assert card["backbone"]["parameters"] == sum(tensor.numel() for tensor in _bare(model.model).values())
    assert [latency["runtime"].split()[0] for latency in card["latency"]] == ["torch"]


def _bare(model: AudioTransformer) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.backbone_tensors().items() if "_adapter." not in name}


@pytest.mark.slow
def test_the_merged_model_runs_in_onnx_runtime(results: Path, data_root: Path, tmp_path: Path, cli: Cli) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    each = record(results, "aat_ms")
    done = cli("export", each.id[:10], "--results", results, "--out", tmp_path / "new" / "out", "--onnx")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "largest error of a logit" in done.stdout
    path = tmp_path / "new" / "out" / "model.onnx"
    card = json.loads(path.with_name("adapter.json").read_text())
    assert card["onnx"]["bytes"] == path.stat().st_size
    assert card["onnx"]["largest_error"] <= card["onnx"]["tolerance"] == 1e-4
    assert [latency["runtime"].split()[0] for latency in card["latency"]] == ["torch", "onnxruntime"]
    assert b"site-packages" not in path.read_bytes()  # nor any other path of this machine
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model = benchmark.load_export(path.parent)
    for clips in (1, 4):
        features = torch.randn(clips, card["frames"], card["mels"])
        [found] = session.run(["logits"], {"spectrogram": features.numpy()})
        with torch.inference_mode():
            assert np.allclose(found, model(features).numpy(), atol=1e-5)


def test_what_is_wrong_is_one_line_and_nothing_is_written(results: Path, tmp_path: Path, cli: Cli) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    trial = record(results, "linear").id
    for given, out, message in (
        ("0123456789ab", tmp_path / "out", "no finished trial '0123456789ab'"),
        (trial, taken, f"{taken}: is there already"),
    ):
        done = cli("export", given, "--results", results, "--out", out)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine.txt"]


def test_a_trial_is_named_by_backbone_dataset_and_method(results: Path) -> None:
    store, linear = ResultStore(results), record(results, "linear")
    words = [linear.request.backbone.name, "esc50", "linear"]
    assert pick_trial(store, words).id == pick_trial(store, [linear.id[:8]]).id == linear.id
    assert pick_trial(store, words[::-1], fold=1, seed=0).id == linear.id
    for wrong, fold, message in (
        (["linaer"], 1, "no finished trial of 'linaer' (did you mean 'linear'?)"),
        (words, 2, "no finished trial of fold 2; there are 1"),
        (words[:2], None, "several settings fit; give the id of one: "),
    ):
        with pytest.raises(BenchmarkError) as caught:
            pick_trial(store, wrong, fold)
        assert message in str(caught.value)


def test_status_shows_the_score_and_which_trials_kept_weights(results: Path, cli: Cli) -> None:
    shown = cli("status", "--trials", "--results", results).stdout
    for method in METHODS:
        each = record(results, method)
        [line] = [line for line in shown.splitlines() if each.id in line]
        assert each.score is not None
        assert line.endswith(f"  {100 * each.score:.1f} %  weights kept")


def test_json_has_the_card(results: Path, tmp_path: Path, cli: Cli) -> None:
    named = (record(results, "linear").request.backbone.name, "esc50", "linear")
    done = cli("export", *named, "--results", results, "--out", tmp_path / "out", "--json")
    printed = json_of(done, "export")
    assert printed["card"] == json.loads((tmp_path / "out" / "adapter.json").read_text())
    assert (printed["folder"], printed["numerics_differ"]) == (str(tmp_path / "out"), False)


def test_finished_trials_without_weights_are_reported(
    results: Path, grid: Path, data_root: Path, tmp_path: Path, cli: Cli
) -> None:
    copy = tmp_path / "out"
    shutil.copytree(results, copy)
    each = record(copy, "linear")
    ResultStore(copy).weights_path(each.request).unlink()
    again = cli(
        "run", "--grid", grid, "--data-root", data_root, "--results", copy, "--set", "protocol.selection=last",
        "--keep-weights", "--no-report",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "1 finished trials kept no weights and are not run again" in again.stdout
    done = cli("export", each.id, "--results", copy, "--out", tmp_path / "exported")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: trial {each.id} kept no weights; train it again with `run --keep-weights`")

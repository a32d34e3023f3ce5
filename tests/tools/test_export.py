"""Exports from the inside: methods of every kind, the backbone's identity, damage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import benchmark
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.methods import huggingface, registry
from benchmark.models.weights import OWN_FOLDER, digest
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import forget_backbone
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.tools.export import export_trial, load_export, onnx_file
from benchmark.trial.run import Outcome, Setting, attempt_trial
from tests.samples import logits_of_test, make_cost

Make = Callable[..., TrialRequest]
PLUGIN = '''
from collections.abc import Iterable
from dataclasses import dataclass
import torch
from benchmark.methods import Method, register

class Normed(torch.nn.Module):
    """With a running mean, and a frozen random part."""
    def __init__(self, width):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(width)
        self.mix = torch.nn.Linear(width, width)
    def forward(self, x):
        return self.mix(self.norm(x.flatten(0, 1)).view_as(x))

@register("everything", label="Everything", source="test")
@dataclass(frozen=True, kw_only=True)
class Everything(Method):
    def adapt(self, model) -> Iterable[str]:
        names = model.insert("mlp_parallel", 0, "normed", Normed(model.width))
        yield from (name for name in names if ".norm." in name)
        side = torch.nn.Linear(model.width, 3 * model.width)
        yield from model.attach("v.blocks.1.attn.qkv", "side", side, parallel=True)
        yield from model.add_prefix(2, 3)
'''


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, keep_weights=True), cost=make_cost())


def train(request: TrialRequest, setting: Setting, **options: Any) -> ResultStore:
    setting = replace(setting, options=replace(setting.options, **options))
    assert attempt_trial(request, setting, lambda _: None) == Outcome("completed")
    return ResultStore(setting.results)


def assert_same(model: torch.nn.Module, request: TrialRequest, store: ResultStore, data_root: Path) -> None:
    """The model's logits of the test split are those that were stored for the last epoch, bit for bit."""
    assert np.array_equal(*logits_of_test(model, request, store, data_root))


@pytest.mark.parametrize("onnx", [False, True])
def test_buffers_frozen_parts_hooks_and_prefixes_come_back(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path, onnx: bool
) -> None:
    if onnx:
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    file = tmp_path / "everything.py"
    file.write_text(PLUGIN)
    request = make_request(methods=[str(file)])
    store = train(request, setting)
    kept = load_file(store.weights_path(request))
    assert "v.blocks.0.normed.norm.running_mean" in kept
    assert "v.blocks.0.normed.mix.weight" in kept  # frozen, but made by the method
    card = export_trial(store, [request.id], tmp_path / "exported", onnx=onnx, methods=[str(file)])
    assert (card.onnx is not None) is onnx
    assert_same(load_export(tmp_path / "exported", methods=[str(file)]), request, store, data_root)
    registry.REGISTRY.forget("everything")
    with pytest.raises(BenchmarkError, match="'everything' is from outside the suite: name its file with --method"):
        load_export(tmp_path / "exported")


@pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "text", ["peft/vera[save_projection=false]", "peft/fourierft", "peft/boft", "peft/lora[init_lora_weights=pissa]"]
)
def test_what_tuners_of_peft_train_and_freeze_comes_back(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path, text: str
) -> None:
    request = make_request(methods=[text])
    store = train(request, setting)
    export_trial(store, [request.id], tmp_path / "exported", onnx=False)
    assert_same(load_export(tmp_path / "exported"), request, store, data_root)


def test_an_epoch_that_is_chosen_over_all_folds_is_told(make_request: Make, setting: Setting, tmp_path: Path) -> None:
    request = make_request()
    card = export_trial(train(request, setting), [request.id], tmp_path / "exported", onnx=False)
    assert card.reported_epoch is None
    assert card.note is not None
    assert "the last epoch, 2; the epoch that tables report is chosen over all folds (best_on_test)" in card.note


def test_the_backbone_must_be_the_one_it_was_trained_on(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    path = folder / "mine.safetensors"
    path.write_bytes((OWN_FOLDER / "ast-demo.safetensors").read_bytes())
    request = make_request(backbones=[f"ast-demo[weights={path}]"])
    store = train(request, setting, checkpoints={digest(path): path})
    card = export_trial(store, [request.id], tmp_path / "exported", onnx=False, checkpoints=folder)
    assert card.backbone.weights == "file:mine.safetensors"
    assert card.backbone.sha256 == digest(path)
    assert str(tmp_path) not in (tmp_path / "exported" / "adapter.json").read_text()
    assert_same(load_export(tmp_path / "exported", folder), request, store, data_root)
    with pytest.raises(MissingInputError, match="--checkpoints names the folder"):
        load_export(tmp_path / "exported", tmp_path)
    path.write_bytes((OWN_FOLDER / "ssast-demo.safetensors").read_bytes())
    with pytest.raises(BenchmarkError, match=r"but the trial was trained on"):
        load_export(tmp_path / "exported", folder)


def test_a_backbone_from_outside_is_named_as_it_was_to_run(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "renamed.py"
    path.write_text(
        "from benchmark.models.registry import AudioTransformer, register_backbone\n"
        '@register_backbone("renamed", label="Renamed", source="test", pretraining="supervised", grid=(8, 10),\n'
        '    pooling="cls")\nclass Renamed(AudioTransformer):\n    """AST by another name."""\n'
    )
    text = f"{path}[size=demo;weights=random:0]"
    try:
        request = make_request(backbones=[text])
        store = train(request, setting)
        for number, given in enumerate((text, str(path))):
            forget_backbone("renamed")
            benchmark.export(request.id, results=store.folder, out=tmp_path / f"{number}", backbones=given)
            forget_backbone("renamed")
            loaded = benchmark.load_export(tmp_path / f"{number}", backbones=given)
            assert_same(loaded, request, store, data_root)
    finally:
        forget_backbone("renamed")


def test_damage_and_strangers_are_told(make_request: Make, setting: Setting, tmp_path: Path) -> None:
    request = make_request()
    store = train(request, setting)
    path = store.weights_path(request)
    whole = path.read_bytes()

    def refused(content: bytes, match: str) -> None:
        path.write_bytes(content)
        with pytest.raises(BenchmarkError, match=match):
            export_trial(store, [request.id], tmp_path / "exported", onnx=False)
        assert not list(tmp_path.glob("*export*"))

    refused(whole[:-4], "cannot be read as safetensors")
    refused(b"", "cannot be read as safetensors")
    refused(whole[:-1] + bytes([whole[-1] ^ 1]), "does not fit its digest")
    refused((OWN_FOLDER / "ast-demo.safetensors").read_bytes(), "is not a file of trained parameters")
    path.write_bytes(whole)
    record = json.loads(store.record_path(request).read_text())
    record["curves"][-1]["train_loss"] += 1.0
    store.record_path(request).write_text(json.dumps(record))
    refused(whole, "of another run of this trial than its record")


def test_a_difference_that_is_no_number_stays() -> None:
    assert onnx_file.larger(1.0, 2.0) == onnx_file.larger(2.0, 1.0) == 2.0
    assert math.isnan(onnx_file.larger(0.0, math.nan))
    assert math.isnan(onnx_file.larger(math.nan, 0.0))


@pytest.mark.slow
def test_a_merged_model_that_differs_is_refused(
    make_request: Make, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    request = make_request()
    store = train(request, setting)
    monkeypatch.setattr(onnx_file, "TOLERANCE", 0.0)
    with pytest.raises(BenchmarkError, match="ONNX Runtime differs from torch by"):
        export_trial(store, [request.id], tmp_path / "exported", onnx=True)
    monkeypatch.setattr(onnx_file, "PACKAGES", ("onnx_of_nowhere",))
    with pytest.raises(BenchmarkError, match=r"--onnx needs onnx_of_nowhere: pip install -e '\.\[export\]'"):
        export_trial(store, [request.id], tmp_path / "exported", onnx=True)
    assert not list(tmp_path.glob("*export*"))


def test_a_trial_that_diverged_keeps_nothing(make_request: Make, setting: Setting, tmp_path: Path) -> None:
    values = {"epochs": 2, "batch_size": 8, "frames": 64, "time_mask": 12, "stride": [16, 16], "lr": 1e30}
    request = make_request(methods=["full"], overrides=[{"source": "test", "values": values}])
    assert attempt_trial(request, setting, lambda _: None) == Outcome("diverged")
    with pytest.raises(BenchmarkError, match="diverged; it has no weights to export"):
        export_trial(ResultStore(setting.results), [request.id], tmp_path / "exported", onnx=False)

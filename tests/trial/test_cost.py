"""What a step costs by count: held against an independent counter and against what torch really keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.data.loader import Batch
from benchmark.data.registry import get_dataset
from benchmark.planning.expand import expand
from benchmark.records.schema import Cost
from benchmark.spec.grid import load_grid, narrow
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.cost import count_cost
from benchmark.trial.evaluation_plan import eval_factor
from benchmark.trial.run import Setting, run_trial
from benchmark.trial.train_step import Trainer
from tests.conftest import TINY_RECIPE
from tests.samples import make_cost

# forward pass of the official model (deit_base_distilled_patch16_384 of timm, its patch convolution at stride 10) by
# fvcore 0.1.5's FlopCountAnalysis: conv + linear + matmul, times two
FVCORE = {"speech_commands_v2": 25_643_335_680, "esc50": 115_856_916_480, "openmic": 261_027_938_304}


def paper(dataset: str, method: str) -> TrialRequest:
    grid = narrow(load_grid("paper"), datasets=[dataset], methods=[method], backbones=["ast"], seeds=["0"])
    return expand(grid, Path("no-data"), Path("no-checkpoints")).requests[0]


def cost(dataset: str, method: str):
    return count_cost(paper(dataset, method), len(get_dataset(dataset).info.classes))


@pytest.mark.parametrize("dataset", FVCORE)
def test_operations_agree_with_an_independent_count(dataset: str) -> None:
    assert cost(dataset, "linear").forward_flops == pytest.approx(FVCORE[dataset], rel=0.02)


def test_what_a_method_saves() -> None:
    full, aat, linear = (cost("esc50", method) for method in ("full", "aat_ms", "linear"))
    assert full.train_flops == pytest.approx(3 * full.forward_flops, rel=0.01)
    assert linear.train_flops == pytest.approx(linear.forward_flops, rel=0.01)
    assert linear.train_flops < aat.train_flops < full.train_flops
    assert linear.saved_bytes < aat.saved_bytes < full.saved_bytes
    assert full.stored_bytes == 4 * (87_295_234 - 1_538_000)  # all parameters that exist here
    assert full.optimizer_bytes == 2 * full.stored_bytes
    assert full.peak_bytes > full.weight_bytes + full.optimizer_bytes + full.saved_bytes


def test_an_evaluation_takes_twice_the_batch_and_keeps_nothing(make_request: Callable[..., TrialRequest]) -> None:
    def counted(method: str, **recipe: object):
        values = {**TINY_RECIPE, "precision": "float32", **recipe}
        request = make_request(methods=[method], overrides=[{"source": "test", "values": values}])
        return count_cost(request, 50)

    full, linear = counted("full", batch_size=64), counted("linear", batch_size=64)
    assert full.eval_peak_bytes - full.optimizer_bytes == linear.eval_peak_bytes - linear.optimizer_bytes
    assert linear.peak_bytes < linear.eval_peak_bytes < 2 * linear.peak_bytes
    assert full.eval_peak_bytes < full.peak_bytes
    assert counted("linear", batch_size=64, micro_batch=8).eval_peak_bytes == linear.eval_peak_bytes


def test_a_gpu_evaluates_as_many_batches_as_training_has_memory_for() -> None:
    full, linear = cost("esc50", "full"), cost("esc50", "linear")
    assert (eval_factor(full), eval_factor(linear)) == (8, 2)
    constant = full.weight_bytes + full.optimizer_bytes
    values = {**full.model_dump(), "eval_peak_bytes": constant + 2 * 100, "peak_bytes": constant + 800}
    found = [
        eval_factor(Cost.model_validate({**values, **changes}))
        for changes in ({}, {"peak_bytes": constant + 799}, {"peak_bytes": 2 * constant}, {"eval_peak_bytes": None})
    ]
    assert found == [8, 4, 16, 2]


def test_as_many_evaluation_batches_change_results_by_rounding(
    make_request: Callable[..., TrialRequest], data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(overrides=[{"source": "test", "values": {**TINY_RECIPE, "batch_size": 1, "epochs": 1}}])
    large = make_cost(eval_peak_bytes=2200, peak_bytes=2400)  # twice two batches
    setting = Setting(tmp_path, RunOptions(data_root), device="cuda", cost=large)
    assert (
        setting.eval_factor,
        replace(setting, device="cpu").eval_factor,
        replace(setting, cost=None).eval_factor,
    ) == (4, 2, 2)
    compiled = replace(setting, options=replace(setting.options, compile=True))
    assert compiled.eval_factor == 2
    sizes, predict = list[int](), Trainer.predict

    def spy(self: Trainer, batches: Iterable[Batch], *rest: Any) -> Batch:
        kept = list(batches)
        sizes.extend(len(features) for features, _, _ in kept)
        return predict(self, kept, *rest)

    monkeypatch.setattr(Trainer, "predict", spy)
    logits = []
    for factor in (2, 4):
        monkeypatch.setattr(Setting, "eval_factor", factor)
        logits.append(run_trial(request, replace(setting, device="cpu"), lambda _: None).predictions["logits_test"])
    assert sizes == [2, 1, 3]
    assert logits[0] == pytest.approx(logits[1], abs=1e-5)


def test_bytes_for_backward_are_those_that_torch_keeps(make_request: Callable[..., TrialRequest]) -> None:
    request = make_request(methods=["aat_ms"])
    request = TrialRequest.model_validate(
        {**request.model_dump(), "recipe": {**request.recipe.model_dump(), "precision": "float32"}}
    )
    model = build_model(request, 50).model
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(torch.zeros(8, request.recipe.frames, request.recipe.mels))
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert count_cost(request, 50).saved_bytes == pytest.approx(real, rel=0.02)


def test_a_split_batch_needs_less(make_request: Callable[..., TrialRequest]) -> None:
    def of(size: int | None):
        request = make_request(overrides=[{"source": "test", "values": {"micro_batch": size, "batch_size": 8}}])
        return count_cost(request, 50)

    whole, split = of(None), of(2)
    assert (whole.clips, split.clips) == (8, 2)
    assert split.saved_bytes < whole.saved_bytes
    assert split.train_flops == pytest.approx(whole.train_flops, rel=0.01)


@pytest.mark.parametrize(("method", "share"), [("linear", 1.0), ("partial", 0.5), ("full", 0.0)])
def test_what_evaluation_may_keep(make_request: Callable[..., TrialRequest], method: str, share: float) -> None:
    cost = count_cost(make_request(methods=[method]), 50)
    tokens = {"linear": 1, "partial": 2 + 8 * 4, "full": 0}[method]  # 128 bands x 64 frames in steps of 16
    assert cost.frozen_bytes == tokens * 64 * 4
    assert cost.frozen_flops == pytest.approx(share * cost.forward_flops, rel=0.1)

"""Estimates: counted operations, then measured steps, then records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.data.dataset import Synthesizable
from benchmark.data.registry import get_dataset
from benchmark.planning.estimate import Estimator, split_sizes
from benchmark.planning.expand import Expansion, expand
from benchmark.planning.flops import count_costs
from benchmark.planning.machine import Machine
from benchmark.planning.memory import CUDA_PROCESS_BYTES, GPU_EXTRA, MARGIN, PROCESS_BYTES, Need, need_of
from benchmark.planning.node import Node
from benchmark.planning.packing import Share
from benchmark.planning.total import total
from benchmark.records.schema import Record, StepProfile
from benchmark.spec.grid import Synthesis, load_grid, narrow
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import count_parameters
from benchmark.trial.profile import How, profile_step
from benchmark.units import duration
from tests.conftest import tiny_grid
from tests.samples import make_cost, make_profile, make_record

HERE = Machine("cpu", 1)
GIB = 2**30


@pytest.fixture
def expansion(data_root: Path) -> Expansion:
    return expand(tiny_grid(methods=["linear", "aat_ms"]), data_root, Path("no-checkpoints"))


def test_records_before_profiles_before_operations(
    expansion: Expansion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    costs = count_costs(expansion.requests, Console(quiet=True)).costs
    linear, aat = expansion.requests
    info, manifest = expansion.info["esc50"], expansion.manifests["esc50"]
    guessed = Estimator(costs, HERE)
    for request in (linear, aat):
        found = guessed.of(request, info, manifest)
        assert found.source == "operations"
        assert found.seconds > 0
    profile = profile_step(aat, How("cpu", 1, steps=2, seconds=60))
    measured = Estimator(costs, HERE, profiles=[profile])
    assert measured.of(aat, info, manifest).source == "profile"
    assert measured.speed() == pytest.approx(costs[aat.step_key].train_flops * 8 / profile.step_seconds)
    assert Estimator(costs, Machine("cpu", 2), profiles=[profile]).of(aat, info, manifest).source == "operations"
    record = make_record(aat, [0.5, 0.6])
    record = Record.model_validate({**record.model_dump(), "environment": {"threads": 1}})
    known = Estimator(costs, HERE, [record], [profile])
    found = known.of(aat, info, manifest)
    assert found.source == "records"
    seconds, epochs = record.profile.seconds, len(record.curves)
    train, held_out = record.data.used["train"], record.data.used["test"]
    sizes = split_sizes(aat, info, manifest)
    expected = seconds["setup"] + aat.recipe.epochs * (
        sizes["train"] * (seconds["train"] + seconds["data"]) / (epochs * train)
        + sizes["test"] * seconds["eval"] / (epochs * held_out)
    )
    assert found.seconds == pytest.approx(expected)
    assert {path.parent.name for path in tmp_path.rglob("*.json")} == {"costs"}  # counted once


@pytest.mark.parametrize(
    ("dataset", "fold", "expected"),
    [
        ("esc50", "1", {"train": 1600, "test": 400}),
        ("gtzan", "0", {"train": 443, "validation": 197, "test": 290}),
        ("openmic", "0", {"train": 14_915, "test": 14_915}),  # tested on its training list (defect D4)
    ],
)
def test_without_data_the_official_numbers_count(dataset: str, fold: str, expected: dict[str, int]) -> None:
    grid = narrow(load_grid("paper"), datasets=[dataset], methods=["linear"], backbones=["ast"], seeds=["0"])
    found = expand(grid, Path("no-data"), Path("no-checkpoints"))
    assert split_sizes(found.requests[0], found.info[dataset], None) == expected


@pytest.mark.parametrize("dataset", ["esc50", "urbansound8k", "speech_commands_v1", "gtzan", "openmic"])
def test_audio_that_is_to_be_generated_counts_as_it_will_be(dataset: str, tmp_path: Path) -> None:
    grid = narrow(load_grid("smoke"), datasets=[dataset], methods=["linear"])
    grid = grid.model_copy(update={"synthesize": {dataset: Synthesis(classes=2, clips_per_class=1)}, "folds": "all"})
    before, wanted = expand(grid, tmp_path, tmp_path), grid.synthesis(dataset)
    maker = get_dataset(dataset)
    assert isinstance(maker, Synthesizable)
    assert wanted is not None
    maker.synthesize(tmp_path, **wanted.model_dump())
    after = expand(grid, tmp_path, tmp_path)
    for early, late in zip(before.requests, after.requests, strict=True):
        expected = split_sizes(late, after.info[dataset], after.manifests[dataset])
        assert split_sizes(early, before.info[dataset], None) == expected


@pytest.mark.filterwarnings("ignore:Failed to load the CUDA extension", "ignore:Setting boft")
def test_a_method_with_a_fault_has_no_cost_and_one_that_computes_with_values_has(
    make_request: Callable[..., TrialRequest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("benchmark.planning.flops.default_folder", lambda: tmp_path)
    faulty = make_request(methods=[_write_fault(tmp_path, "fault_estimate")])
    boft = make_request(methods=["peft/boft"])
    costs, faults = count_costs([faulty, boft], Console(quiet=True))
    assert list(costs) == [boft.step_key]
    assert list(faults.items()) == [
        (faulty.step_key, "fault_estimate.py, line 8, in adapt: ZeroDivisionError: division by zero")
    ]
    assert count_parameters(boft, 10).trainable > count_parameters(boft, 10).head


@pytest.mark.slow
def test_processes_count_what_this_process_counts(
    make_request: Callable[..., TrialRequest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Peaks may differ a little: torch keeps what it found out about operators, and makes other temporary tensors."""
    requests = [make_request(methods=[name]) for name in ("linear", _write_fault(tmp_path, "fault_in_process"))]
    monkeypatch.setattr("benchmark.planning.flops.default_folder", lambda: tmp_path / "alone")
    alone = count_costs(requests, Console(quiet=True))
    monkeypatch.setattr("benchmark.planning.flops.default_folder", lambda: tmp_path / "together")
    monkeypatch.setattr("benchmark.planning.flops.SHAPES_PER_PROCESS", 1)
    monkeypatch.setattr("benchmark.planning.flops.usable_cores", lambda: 2)
    together = count_costs(requests, Console(quiet=True))
    assert together.faults == alone.faults
    assert set(alone.faults) == {requests[1].step_key}
    [one], [other] = alone.costs.values(), together.costs.values()
    assert other.peak_bytes == pytest.approx(one.peak_bytes, rel=0.1)
    assert other.eval_peak_bytes == pytest.approx(one.eval_peak_bytes, rel=0.1)
    peaks = {"peak_bytes": one.peak_bytes, "eval_peak_bytes": one.eval_peak_bytes}
    assert other.model_copy(update=peaks) == one


def _write_fault(folder: Path, name: str) -> str:
    """Write a method whose model cannot be built; return its path."""
    path = folder / f"{name}.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom benchmark.methods import Method, register\n"
        f"@register('{name}', label='F', source='x')\n@dataclass(frozen=True, kw_only=True)\n"
        "class Fault(Method):\n    'A fault.'\n    def adapt(self, model):\n        return [1 / 0]\n"
    )
    return str(path)


def test_totals(make_request: Callable[..., TrialRequest], expansion: Expansion) -> None:
    estimates = {
        request.id: Estimator({}, HERE).of(request, expansion.info["esc50"], expansion.manifests["esc50"])
        for request in expansion.requests
    }
    node = Node(2, 0)
    found = total(estimates, dict.fromkeys(estimates, Share(1, 0)), node)
    assert (found.seconds, found.at_once) == (None, 2)  # nothing is known of their steps
    assert "time unknown" in found.text()
    assert "limited by memory" not in found.text()
    small = total(estimates, dict.fromkeys(estimates, Share(1, 0, memory=3)), Node(2, 0, memory=4))
    assert (small.at_once, small.limited_by_memory) == (1, True)
    assert "up to 1 at once, limited by memory" in small.text()


def test_a_profile_of_the_whole_batch_replaces_the_counted_memory(expansion: Expansion) -> None:
    request = expansion.requests[0]
    counted = make_cost(peak_bytes=4 * GIB, eval_peak_bytes=6 * GIB)
    profile = make_profile(request, counted, clips=request.recipe.batch_size, host_rss_bytes=10 * GIB)

    def need(*profiles: StepProfile, machine: Machine = HERE) -> Need:
        known = Estimator({request.step_key: counted}, machine, profiles=profiles)
        return known.of(request, expansion.info["esc50"], None).need

    assert need().cpu == PROCESS_BYTES + round(MARGIN * 6 * GIB)  # evaluation is the larger
    assert need(profile).cpu == 10 * GIB
    assert need(profile.model_copy(update={"clips": 1})) == need()
    card = {"device": "card", "gpu_reserved_bytes": 3 * GIB, "gpu_eval_reserved_bytes": 5 * GIB}
    on_gpu = need(profile.model_copy(update=card), machine=Machine("card", 4))
    assert on_gpu.gpu == 5 * GIB + GPU_EXTRA
    assert on_gpu.beside_gpu > 2 * counted.weight_bytes + counted.stored_bytes + counted.optimizer_bytes
    assert on_gpu.worker > 0


def test_evaluations_that_happen_are_counted(expansion: Expansion, data_root: Path) -> None:
    """15 clips: 12 for training, 3 for the test. What is kept of a clip is not computed again."""
    info, manifest = expansion.info["esc50"], expansion.manifests["esc50"]
    cost = make_cost(forward_flops=1000, train_flops=3000, frozen_bytes=0, frozen_flops=0)

    def flops(selection: str, *, test_curves: bool = False, **changes: int) -> float:
        [request] = expand(tiny_grid(switches={"selection": selection}), data_root, Path("none")).requests
        known = Estimator({request.step_key: cost.model_copy(update=changes)}, HERE, test_curves=test_curves)
        return known.of(request, info, manifest).flops - 2 * 12 * 3000

    assert flops("best_on_test") == 2 * 3 * 1000
    assert flops("last") == 3 * 1000
    assert flops("last", test_curves=True) == 2 * 3 * 1000
    assert flops("best_on_test", frozen_bytes=10, frozen_flops=900) == 3 * 1000 + 3 * 100
    assert flops("best_on_test", frozen_bytes=2**30, frozen_flops=900) == 2 * 3 * 1000  # more than may be kept


def test_a_records_pace_is_that_of_the_clips_it_evaluated(expansion: Expansion, data_root: Path) -> None:
    [request] = expand(tiny_grid(switches={"selection": "last"}), data_root, Path("none")).requests
    record = make_record(request, [0.5, 0.6])
    first, last = record.curves
    curves = [first.model_copy(update={"splits": {}}), last]
    selection = record.selection.model_copy(update={"rule": "last", "scope": "trial", "epoch": 2})
    record = record.model_copy(update={"curves": curves, "selection": selection, "environment": {"threads": 1}})
    seconds, used = record.profile.seconds, record.data.used
    found = Estimator({}, HERE, [record]).of(request, expansion.info["esc50"], expansion.manifests["esc50"])
    trained = 2 * 12 * (seconds["train"] + seconds["data"]) / (2 * used["train"])
    assert found.seconds == pytest.approx(seconds["setup"] + trained + 3 * seconds["eval"] / used["test"])


def test_what_evaluation_keeps_counts_as_memory(expansion: Expansion) -> None:
    recipe, cost = expansion.requests[0].recipe, make_cost(peak_bytes=4 * GIB, eval_peak_bytes=GIB)
    none, some = need_of(cost, recipe), cost.model_copy(update={"frozen_bytes": 2**20})
    few, many, unknown = (need_of(some, recipe, evaluated=sizes) for sizes in ({"test": 100}, {"test": 500}, None))
    assert (few.gpu - none.gpu, few.cpu - none.cpu) == (100 * 2**20, 100 * 2**20)
    assert (many.gpu - none.gpu, many.cpu - none.cpu) == (500 * 2**20, 0)  # too much for a CPU, so nothing is kept
    assert (unknown.gpu - none.gpu, unknown.cpu - none.cpu) == (GIB, GIB // 4)  # the limits
    trained = need_of(make_cost(stored_bytes=GIB, optimizer_bytes=2 * GIB), recipe)
    assert trained.beside_gpu == CUDA_PROCESS_BYTES + 2 * 3 * GIB  # the pinned copy of the resume state


def test_durations() -> None:
    assert [duration(each) for each in (None, 40, 600, 9000, 2e6)] == ["?", "40 s", "10 min", "2.5 h", "23.1 d"]

"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark import load_export
from benchmark.data import loader
from benchmark.data.device_banks import HeldBanks
from benchmark.data.prefetch import prefetched
from benchmark.data.registry import get_dataset
from benchmark.methods import huggingface
from benchmark.planning.machine import Machine, machine_here, matrix_product_speed
from benchmark.planning.sharing import SharingMeasurements
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.tools.export import export_trial
from benchmark.trial import banks
from benchmark.trial.build import build_model, trained_tensors
from benchmark.trial.cost import count_cost
from benchmark.trial.data import TrialData, prepare
from benchmark.trial.frozen import attribute_digest, tensor_digest
from benchmark.trial.profile import How, profile_step
from benchmark.trial.profile_sharing import Together, measure_sharing
from benchmark.trial.run import Setting, attempt_trial, run_trial
from benchmark.trial.train_step import Trainer
from tests.chaos import content
from tests.conftest import SSAST, TINY_RECIPE
from tests.drawing import DRAWING
from tests.freezing import FREEZING, proof
from tests.samples import logits_of_test, make_cost
from tests.trial.test_recipe_keys import EVERYTHING

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

Make = Callable[..., TrialRequest]


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(
        tmp_path / "out", RunOptions(data_root, tmp_path / "cache", resume_seconds=0), device="cuda", workers=1
    )


def quiet(_: dict[str, Any]) -> None:
    pass


def make(make_request: Make, method: str, **recipe: object) -> TrialRequest:
    values = {**TINY_RECIPE, "epochs": 3, **recipe}
    return make_request(methods=[method], overrides=[{"source": "test", "values": values}])


def trial_data(request: TrialRequest, setting: Setting) -> TrialData:
    return prepare(request, get_dataset("esc50").manifest(setting.options.data_root), setting.options.cache)


def run(request: TrialRequest, setting: Setting) -> tuple[Record, dict[str, np.ndarray]]:
    finished = run_trial(request, setting, quiet)
    return finished.record, finished.predictions


@pytest.mark.parametrize(("precision", "name"), [("amp", "float16 autocast"), ("bf16", "bfloat16 autocast")])
def test_the_record_tells_device_precision_and_peak_memory(
    make_request: Make, setting: Setting, precision: str, name: str
) -> None:
    profile = run(make(make_request, "aat_ms+prompt", precision=precision), setting)[0].profile
    assert profile.device == torch.cuda.get_device_name()
    assert profile.precision == name
    assert profile.gpu_allocated_bytes
    assert profile.gpu_reserved_bytes
    assert 0 < profile.gpu_allocated_bytes <= profile.gpu_reserved_bytes
    assert profile.gpu_eval_allocated_bytes
    assert profile.gpu_eval_reserved_bytes
    assert profile.gpu_eval_reserved_bytes >= profile.gpu_reserved_bytes  # the allocator keeps what it has


@pytest.mark.parametrize("method", ["full", "linear", "aat_ms+prompt"])
def test_in_float32_the_gpu_computes_what_the_cpu_computes(make_request: Make, setting: Setting, method: str) -> None:
    request = make(make_request, method, precision="float32")
    there, here = (run(request, replace(setting, device=device))[0] for device in ("cuda", "cpu"))
    losses = [[epoch.train_loss for epoch in record.curves] for record in (there, here)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
    assert there.profile.precision == here.profile.precision == "float32"


@pytest.mark.parametrize("recipe", [{"mixup": 0.5, "noise": True, "loss": "bce"}, EVERYTHING])
def test_deterministic_trials_repeat_and_go_on_bit_for_bit(
    make_request: Make, setting: Setting, tmp_path: Path, recipe: dict[str, object]
) -> None:
    request = make(make_request, f"aat_ms+{DRAWING}", precision="amp", **recipe)
    setting = replace(setting, options=replace(setting.options, deterministic=True))

    def kill(progress: dict[str, Any]) -> None:
        if progress["epoch"] == 2:
            raise KeyboardInterrupt

    calm, disturbed = setting, replace(setting, results=tmp_path / "disturbed")
    attempt_trial(request, calm, quiet)
    with pytest.raises(KeyboardInterrupt):
        attempt_trial(request, disturbed, kill)
    attempt_trial(request, disturbed, quiet)
    paths = [ResultStore(each.results).record_path(request) for each in (calm, disturbed)]
    assert content(paths[0]) == content(paths[1])
    assert ResultStore(disturbed.results).read(paths[1]).profile.resumed_epochs == 2
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_on_another_kind_of_device_a_trial_begins_again(
    make_request: Make, setting: Setting, caplog: pytest.LogCaptureFixture, first: str, second: str
) -> None:
    request = make(make_request, DRAWING, precision="amp")

    def kill(progress: dict[str, Any]) -> None:
        if progress["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt_trial(request, replace(setting, device=first), kill)
    with caplog.at_level("WARNING"):
        assert attempt_trial(request, replace(setting, device=second), quiet).status == "completed"
    assert "resume state is not used" in caplog.text
    store = ResultStore(setting.results)
    assert store.read(store.record_path(request)).profile.resumed_epochs == 0


def test_a_trial_that_outgrows_its_share_fails_alone(make_request: Make, setting: Setting) -> None:
    request = make(make_request, "full", precision="amp")
    outcome = attempt_trial(request, replace(setting, gpu_share=1e-6), quiet)
    assert outcome.status == "out_of_memory"
    assert outcome.error
    assert "out of memory" in outcome.error
    assert attempt_trial(request, setting, quiet).status == "completed"  # in the same process, with its share


def test_a_real_cuda_error_is_known_and_does_not_stop_the_clean_up() -> None:
    """In a process of its own, whose CUDA is broken then."""
    code = (
        "import torch\nfrom benchmark.trial.device import breaks_cuda, free_memory, is_out_of_memory\n"
        "try:\n    torch.zeros(3, device='cuda')[torch.tensor([7], device='cuda')]\n    torch.cuda.synchronize()\n"
        "except RuntimeError as error:\n    free_memory()\n    print(breaks_cuda(error), is_out_of_memory(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True False\n", done.stderr


def test_a_split_batch_is_the_same_experiment(make_request: Make, setting: Setting) -> None:
    whole, split = (make(make_request, "full", precision="float32", micro_batch=size) for size in (None, 2))
    assert whole.id == split.id
    (first, _), (second, _) = run(whole, setting), run(split, setting)
    assert [each.train_loss for each in first.curves] == pytest.approx(
        [each.train_loss for each in second.curves], rel=2e-3
    )


def test_a_profiled_step_has_time_and_peak_memory(make_request: Make) -> None:
    found = {
        method: profile_step(make(make_request, method, precision="amp"), How("cuda", 1, steps=3, seconds=30))
        for method in ("full", "linear")
    }
    assert {each.status for each in found.values()} == {"measured"}
    assert all(each.step_seconds and each.eval_seconds for each in found.values())
    assert all(each.gpu_eval_reserved_bytes for each in found.values())
    full, linear = (found[name].gpu_allocated_bytes for name in ("full", "linear"))
    assert full
    assert linear
    assert linear < full


@pytest.mark.parametrize("method", ["full", "linear"])
def test_a_trial_and_a_profile_agree_on_the_memory_of_training(
    make_request: Make, setting: Setting, method: str
) -> None:
    """Though a trial evaluates with twice the batch."""
    request = make(make_request, method, precision="float32", batch_size=12, epochs=2)  # all training clips
    trial = run(request, setting)[0].profile
    step = profile_step(request, How("cuda", 1, steps=3, seconds=30))
    assert trial.gpu_allocated_bytes == pytest.approx(step.gpu_allocated_bytes, rel=0.1)


def test_a_large_evaluation_takes_no_more_memory_than_training(make_request: Make, setting: Setting) -> None:
    request = make(make_request, "full", precision="float32", batch_size=3, frames=256, epochs=1)
    setting = replace(setting, cost=count_cost(request, request.classes))
    assert setting.eval_factor > 2
    profile = run(request, setting)[0].profile
    assert profile.gpu_eval_allocated_bytes <= profile.gpu_allocated_bytes


GRAPHS = "compiled blocks, CUDA graphs"


@pytest.mark.filterwarnings("default")  # of the compiler
@pytest.mark.parametrize(
    ("method", "precision", "how"),
    [
        ("full", "amp", GRAPHS),
        ("full", "float32", GRAPHS),
        ("aat_ms+prompt", "amp", GRAPHS),
        ("partial", "amp", GRAPHS),
        ("aat_ms", "bf16", GRAPHS),
        ("conformer", "amp", "compiled blocks"),
        ("peft/lora[use_dora=true]", "amp", "compiled blocks"),
        (DRAWING, "amp", "compiled blocks"),
    ],
)
def test_compiled_training_differs_by_rounding(
    make_request: Make, setting: Setting, method: str, precision: str, how: str
) -> None:
    """The last batch of an epoch is smaller, and the same draws are made."""
    request = make(make_request, method, precision=precision, batch_size=5, mixup=0.5, loss="bce")
    found = {}
    for compiled in (True, False):
        options = replace(setting.options, compile=compiled)
        found[compiled], _ = run(request, replace(setting, options=options))
    assert found[True].environment["compilation"] == how
    assert found[False].environment["compilation"] == "eager"
    losses = [[epoch.train_loss for epoch in found[compiled].curves] for compiled in (True, False)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3 if precision == "float32" else 2e-2)
    compiled_bytes, eager_bytes = (found[compiled].profile.gpu_allocated_bytes for compiled in (True, False))
    assert compiled_bytes > 0.7 * eager_bytes  # the activations of graphs count, though replays allocate nothing


@pytest.mark.parametrize("method", ["full", "aat_ms+prompt", "peft/lora[use_dora=true]", "ssf"])
@pytest.mark.parametrize("precision", ["amp", "bf16"])
def test_frozen_weights_in_half_precision_change_nothing(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, method: str, precision: str
) -> None:
    request = make(make_request, method, precision=precision)
    setting = replace(setting, options=replace(setting.options, deterministic=True))
    record, predictions = run(request, setting)
    monkeypatch.setattr("benchmark.trial.train_step.halve_frozen", lambda *_: None)
    other, as_well = run(request, setting)
    torch.use_deterministic_algorithms(False)
    assert [epoch.train_loss for epoch in record.curves] == [epoch.train_loss for epoch in other.curves]
    assert np.array_equal(predictions["logits_test"], as_well["logits_test"])
    if method == "aat_ms+prompt":
        assert record.profile.gpu_allocated_bytes < other.profile.gpu_allocated_bytes


@pytest.mark.parametrize("recipe", [{}, {"mixup": 0.5, "noise": True, "loss": "bce"}, {"windows": "all"}])
@pytest.mark.parametrize("workers", [0, 2])
def test_banks_in_gpu_memory_and_prefetch_change_no_number(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, recipe: dict[str, Any], workers: int
) -> None:
    """Losses and logits are those of a trial that reads every batch, and prepares it when it is asked for."""
    request = make(make_request, f"aat_ms+{DRAWING}", precision="float32", batch_size=5, **recipe)
    options = replace(setting.options, deterministic=True)
    setting = replace(setting, options=options, workers=workers, cost=count_cost(request, request.classes))
    assert banks.with_banks(trial_data(request, setting), setting, torch.device("cuda")).held_bytes
    record, predictions = run(request, setting)
    monkeypatch.setattr(banks, "_room", lambda *_: 0)
    monkeypatch.setattr(loader, "prefetched", lambda sources, prepare, _: map(prepare, sources))
    other, as_well = run(request, setting)
    torch.use_deterministic_algorithms(False)
    assert [epoch.train_loss for epoch in record.curves] == [epoch.train_loss for epoch in other.curves]
    assert np.array_equal(predictions["logits_test"], as_well["logits_test"])
    memory = [found.profile.gpu_allocated_bytes for found in (record, other)]
    assert memory[0] == pytest.approx(memory[1], rel=0.1, abs=40 * 2**20)  # the banks themselves do not count


def test_a_batch_is_ready_when_it_is_given_out() -> None:
    """Long copies and kernels on the side stream, and memory that is reused as soon as it is free."""
    device = torch.device("cuda")

    def prepare(source: torch.Tensor) -> tuple[torch.Tensor, ...]:
        large = source.to(device, non_blocking=True)
        for _ in range(20):
            large = large + 1
        return (large,)

    sources = (torch.full((2**22,), float(number)) for number in range(20))
    sums = []
    for (found,) in prefetched(sources, prepare, device):
        sums.append((found.double().mean(), found.double().std()))
        del found
    assert [(float(mean), float(std)) for mean, std in sums] == [(number + 20.0, 0.0) for number in range(20)]


def test_banks_may_have_more_than_2_to_the_31_cells() -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < 14 * 2**30:
        pytest.skip("needs 14 GiB of free GPU memory")
    all_banks = torch.zeros(20_000, 1024, 128, device="cuda")
    all_banks[-1, 3] = 7.0
    held = HeldBanks(all_banks, torch.arange(20_000))
    taken = held.take(torch.tensor([0, 19_999]), torch.tensor([5, 2]))
    assert taken.shape == (2, 1024, 128)
    assert taken.nonzero()[:, :2].unique(dim=0).tolist() == [[1, 5]]


@pytest.mark.parametrize("method", ["full", "aat_ms+prompt", "conformer", DRAWING])
def test_activation_checkpointing_changes_memory_only(make_request: Make, setting: Setting, method: str) -> None:
    request = make(make_request, method, precision="amp", batch_size=12, frames=256)
    plain = replace(setting.options, deterministic=True)
    found = {on: run(request, replace(setting, options=replace(plain, checkpointing=on)))[0] for on in (True, False)}
    torch.use_deterministic_algorithms(False)
    losses, allocated = {}, {}
    for on, record in found.items():
        losses[on] = [epoch.train_loss for epoch in record.curves]
        allocated[on] = record.profile.gpu_allocated_bytes
    assert losses[True] == losses[False]
    assert allocated[True] < allocated[False]


@pytest.mark.filterwarnings("default")  # of the compiler
def test_compiled_blocks_may_be_computed_again(make_request: Make, setting: Setting) -> None:
    request, losses = make(make_request, "full", precision="float32", batch_size=5), []
    for on in (True, False):
        options = replace(setting.options, compile=on, checkpointing=on)
        record, _ = run(request, replace(setting, options=options))
        losses.append([epoch.train_loss for epoch in record.curves])
        assert record.environment["compilation"] == ("compiled blocks" if on else "eager")
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)


def test_the_switches_of_evaluation_change_its_arithmetic(make_request: Make) -> None:
    """float32, float32 with TF32, and float16 with a head in float32."""
    overrides = [{"source": "test", "values": {**TINY_RECIPE, "precision": "amp"}}]
    found = []
    for switches in ({}, {"eval_tf32": "yes"}, {"eval_precision": "training"}):
        request = make_request(backbones=[SSAST], switches=switches, overrides=overrides)
        trainer = Trainer(build_model(request, 3).model.to("cuda"), request, torch.device("cuda"))
        features = torch.randn(4, 64, 128, generator=torch.Generator().manual_seed(0)).to("cuda")
        found.append(trainer.predict([(features, torch.ones(4, 3), torch.ones(4, 3))])[0])
        assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.equal(found[2], found[2].half().float()) is False  # logits are not rounded to half precision
    assert float((found[2] - found[0]).abs().max()) < 2e-2
    if torch.cuda.get_device_capability() >= (8, 0):
        assert 0 < float((found[1] - found[0]).abs().max()) < 2e-2


def test_a_diverging_trial_ends_at_the_same_loss(make_request: Make, setting: Setting) -> None:
    """Though the loss of a step is read while the GPU is busy with it."""
    request = make(make_request, "full", precision="float32", lr=1e30)
    there, here = (run(request, replace(setting, device=device))[0] for device in ("cuda", "cpu"))
    assert there.status == here.status == "diverged"
    assert len(there.curves) == len(here.curves)


def test_the_speed_of_a_matrix_product_is_that_of_a_gpu() -> None:
    machine = machine_here()
    speed, of_cpu = (matrix_product_speed(each) for each in (machine, Machine("cpu", machine.threads)))
    assert speed > 10 * of_cpu


def test_what_trained_on_a_gpu_predicts_the_same_on_a_cpu(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path
) -> None:
    request = make(make_request, "aat_ms+prompt", precision="float32")
    setting = replace(setting, options=replace(setting.options, keep_weights=True))
    assert attempt_trial(request, setting, quiet).status == "completed"
    store = ResultStore(setting.results)
    export_trial(store, [request.id], tmp_path / "export", onnx=False)
    model = load_export(tmp_path / "export")
    found, stored = logits_of_test(model, request, store, data_root)
    assert np.abs(found - stored).max() < 5e-3
    manifest = get_dataset("esc50").manifest(data_root)
    first = manifest.clips[manifest.splits(request.fold)["test"][0]].path
    for device in ("cuda", "cpu"):
        assert np.abs(model.to(device).predict(manifest.folder / first).logits - stored[0]).max() < 5e-3


@pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", FREEZING)
def test_what_tuners_draw_and_freeze_is_the_same_on_a_gpu(make_request: Make, text: str) -> None:
    request = make_request(methods=[text])
    model = build_model(request, 3).model.to("cuda")
    kept = {name: tensor.cpu() for name, tensor in trained_tensors(model).items()}
    assert [tensor_digest(kept), attribute_digest(model)] == proof(request)


@pytest.mark.parametrize("compiled", [False, True])
def test_trials_that_share_a_gpu_are_measured(compiled: bool, make_request: Make) -> None:
    request = make(make_request, "aat_ms", precision="amp")
    how = Together("cuda", 2, [1, 2], 0.5, compiled=compiled, checkpointing=False, mps=False, variables={})
    found = measure_sharing(request, how, make_cost())
    assert list(found.clips_per_second) == [1, 2]
    assert all(value > 0 for value in found.clips_per_second.values())
    assert machine_here().device == found.device == torch.cuda.get_device_name()
    assert SharingMeasurements([found], Machine(found.device, 1, compiled)).of(request, None)
    assert not SharingMeasurements([found], Machine(found.device, 1, not compiled)).of(request, None)


def test_a_clipped_gradient_has_no_loss_scale(make_request: Make) -> None:
    """Clipped gradients under float16 autocast, whose loss is scaled, have the largest norm of the recipe."""
    request = make(make_request, "aat_m", precision="amp", clip_norm=1e-3, class_weights="balanced")
    weights = torch.tensor([1.0, 2.0, 0.5])
    model = build_model(request, 3).model.to("cuda")
    trainer = Trainer(model, request, torch.device("cuda"), class_weights=weights)
    assert trainer.scaler.is_enabled()
    batch = torch.randn(6, 64, 128), torch.eye(3).repeat(2, 1), torch.ones(6, 3)
    features, targets, observed = (tensor.to("cuda") for tensor in batch)
    assert trainer.train([(features, targets, observed)]) > 0
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_heads_that_share_their_input_train_as_alone(make_request: Make, setting: Setting, tmp_path: Path) -> None:
    setting = replace(setting, options=replace(setting.options, deterministic=True), workers=2)
    gang = replace(setting, features=tmp_path / "features", sharers=3)
    for lr in (1e-3, 1e-2):
        request = make(make_request, "linear", precision="amp", lr=lr)
        (alone, expected), (record, predictions) = run(request, setting), run(request, gang)
        assert (alone.profile.shares_features, record.profile.shares_features) == (False, True)
        assert [point.train_loss for point in record.curves] == [point.train_loss for point in alone.curves]
        assert all(np.array_equal(predictions[name], expected[name]) for name in expected)

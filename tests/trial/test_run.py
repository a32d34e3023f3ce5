"""A trial from the inside: seeds, pairing, repeatability, divergence, failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.loader import Batch
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.planning.expand import expand
from benchmark.records.schema import Attempt, Record
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.data import prepare
from benchmark.trial.device import CUDA_BYTES, allocator_share
from benchmark.trial.evaluation_plan import KEPT_BYTES
from benchmark.trial.matrix_products import is_by_onednn
from benchmark.trial.run import Outcome, Setting, attempt_trial, run_trial
from benchmark.trial.train_step import Trainer
from tests.conftest import tiny_grid
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
TINY = {"epochs": 2, "batch_size": 8, "frames": 64, "time_mask": 12, "stride": [16, 16], "lr": 1e-3}


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


def with_recipe(make: Make, methods: list[str] | None = None, **values: object) -> TrialRequest:
    return make(methods=methods or ["linear"], overrides=[{"source": "test", "values": {**TINY, **values}}])


def run(request: TrialRequest, setting: Setting) -> tuple[Record, dict]:
    return run_trial(request, setting, lambda _: None)[:2]


def attempt(request: TrialRequest, setting: Setting) -> Outcome:
    return attempt_trial(request, setting, lambda _: None)


def test_the_same_request_gives_the_same_numbers(make_request: Make, setting: Setting) -> None:
    request = make_request(methods=["aat_ms+prompt"])
    (first, predictions), (second, again) = run(request, setting), run(request, setting)
    assert [p.model_dump(exclude={"seconds"}) for p in first.curves] == [
        p.model_dump(exclude={"seconds"}) for p in second.curves
    ]
    assert all(np.array_equal(predictions[key], again[key]) for key in predictions)


def test_another_seed_gives_other_numbers(make_request: Make, setting: Setting) -> None:
    first, second = (run(make_request(seeds=[seed]), setting)[0] for seed in (0, 1))
    assert first.curves[0].train_loss != second.curves[0].train_loss


def test_methods_see_the_same_features_in_the_same_order(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the model: filter banks after mixup, masks, noise and normalisation, and their targets."""
    seen: dict[str, list[list[torch.Tensor]]] = {}
    originals = {name: getattr(Trainer, name) for name in ("train", "predict")}
    monkeypatch.setitem(KEPT_BYTES, "cpu", 0)  # each evaluation gets the features
    for method in ("linear", "aat_ms", "lora[rank=4]"):  # one draws nothing, two draw their own weights
        batches = seen.setdefault(method, [])
        for name, original in originals.items():

            def spy(
                self: Trainer,
                given: Iterable[Batch],
                *_: object,
                original: Callable = original,
                batches: list = batches,
            ) -> object:
                def listen() -> Iterator[Batch]:
                    for batch in given:
                        batches.append([tensor.clone() for tensor in batch])
                        yield batch

                return original(self, listen())

            monkeypatch.setattr(Trainer, name, spy)
        run(with_recipe(make_request, methods=[method], mixup=0.5, noise=True, loss="bce"), setting)
    linear, *others = seen.values()
    assert sum(len(features) for features, *_ in linear) == 2 * (12 + 3)
    assert not torch.equal(linear[0][0], linear[3][0])  # the next epoch is augmented in another way
    for other in others:
        assert len(linear) == len(other)
        assert all(
            torch.equal(*pair) for one, two in zip(linear, other, strict=True) for pair in zip(one, two, strict=True)
        )


def test_the_audio_cache_changes_nothing(make_request: Make, setting: Setting) -> None:
    request = with_recipe(make_request, mixup=0.5, noise=True, loss="bce")
    without = replace(setting, options=replace(setting.options, cache=None))
    (cached, predictions), (decoded, again) = run(request, setting), run(request, without)
    assert any((setting.results / "cache").glob("waves-*/*.f32"))
    assert [p.train_loss for p in cached.curves] == [p.train_loss for p in decoded.curves]
    assert all(np.array_equal(predictions[key], again[key]) for key in predictions)


@pytest.mark.slow
def test_loading_in_worker_processes_changes_nothing(make_request: Make, setting: Setting) -> None:
    """Neither what the data is, nor what a method draws in training."""
    request = make_request(
        methods=[DRAWING],
        overrides=[{"source": "test", "values": {**TINY, "mixup": 0.5, "noise": True, "loss": "bce"}}],
    )
    (alone, predictions), (shared, again) = run(request, setting), run(request, replace(setting, workers=2))
    assert [p.train_loss for p in alone.curves] == [p.train_loss for p in shared.curves]
    assert np.array_equal(predictions["logits_test"], again["logits_test"])


def test_a_bad_file_is_the_same_line_with_data_workers(make_request: Make, tmp_path: Path) -> None:
    get_dataset("esc50").synthesize(tmp_path / "data", classes=2, clips_per_class=1, seed=0)
    request = expand(tiny_grid(), tmp_path / "data", tmp_path).requests[0]
    path = sorted((tmp_path / "data").rglob("*.wav"))[-1]
    path.write_bytes(b"x" * path.stat().st_size)
    setting = Setting(tmp_path / "out", RunOptions(tmp_path / "data", None))
    outcomes = [attempt(request, replace(setting, workers=workers)) for workers in (0, 1)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[1].error is not None
    assert outcomes[1].error.startswith(f"BadAudioError: {path}: cannot be decoded")
    trace = json.loads(ResultStore(setting.results).attempts()[-1].read_text())["traceback"]
    assert "In a data worker" in trace
    assert "in decode" in trace


def test_heads_and_backbones_start_equal_whatever_the_method(make_request: Make) -> None:
    def weights(method: str, seed: int = 0) -> dict[str, torch.Tensor]:
        return build_model(make_request(methods=[method], seeds=[seed]), 50).model.state_dict()

    bare, other_seed = weights("linear"), weights("linear", 1)
    for method in ("full", "aat_ms+prompt", "conformer"):
        adapted = weights(method)
        assert len(bare) == len(bare.keys() & adapted.keys())
        assert all(torch.equal(tensor, adapted[name]) for name, tensor in bare.items())
    assert not torch.equal(bare["mlp_head.1.weight"], other_seed["mlp_head.1.weight"])
    inside = "v.blocks.0.attn.qkv.weight"
    assert torch.equal(bare[inside], other_seed[inside])  # the weights' seed is the backbone's
    one, two = weights("aat_m"), weights("aat_m", 1)
    [drawn, *_] = [name for name in one if name not in bare and one[name].dim() > 1]
    assert not torch.equal(one[drawn], two[drawn])


def test_seeding_a_model_leaves_the_callers_generator_alone(make_request: Make) -> None:
    from benchmark.models.build import build_backbone, model_config

    request = make_request()
    config = model_config(request.backbone, request.recipe, request.protocol, 3)
    torch.manual_seed(5)
    build_backbone(config, request.backbone, checkpoint=None, weights_seed=1)
    assert torch.initial_seed() == 5
    first = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), first)


def test_training_lowers_the_loss(make_request: Make, setting: Setting) -> None:
    request = with_recipe(make_request, epochs=15, lr=3e-3, freq_mask=0, time_mask=0)
    record, _ = run(request.model_copy(update={"method": make_request(methods=["full"]).method}), setting)
    assert record.curves[-1].train_loss < 0.5 * record.curves[0].train_loss  # type: ignore[operator]


def test_a_record_says_what_it_is(make_request: Make, setting: Setting) -> None:
    record, predictions = run(make_request(), setting)
    assert record.status == "completed"
    random, size, recipe, audio = record.marks
    assert (random, size, audio) == ("random weights", "demo backbone", "synthetic audio")
    assert recipe.startswith("recipe changed (frames=64, ")
    assert (record.data.clips, record.data.used) == (15, {"train": 12, "test": 3})
    assert (record.selection.rule, record.selection.scope, record.selection.epoch) == ("best_on_test", "folds", None)
    assert predictions["logits_test"].shape == (2, 3, 50)  # every epoch: the choice needs all folds
    assert {"setup", "data", "train", "eval", "total"} == set(record.profile.seconds)
    assert record.profile.gpu_allocated_bytes is None
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_peak_memory_is_only_told_of_a_process_of_its_own(make_request: Make, setting: Setting) -> None:
    assert run(make_request(), setting)[0].profile.host_rss_bytes is None
    fresh, _ = run(make_request(), replace(setting, fresh_process=True))
    assert fresh.profile.host_rss_bytes > 10**8  # type: ignore[operator]


def test_without_selection_on_test_the_last_epoch_counts(make_request: Make, setting: Setting) -> None:
    record, predictions = run(make_request(protocol="corrected"), setting)
    assert (record.selection.rule, record.selection.scope, record.selection.epoch) == ("last", "trial", 2)
    assert predictions["epochs"].tolist() == [2]


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(make_request: Make, setting: Setting) -> None:
    request = with_recipe(make_request, lr=1e30, epochs=5)
    assert attempt(request, setting) == Outcome("diverged")
    record = ResultStore(setting.results).read(ResultStore(setting.results).record_path(request))
    assert record.curves[-1].train_loss is None
    assert len(record.curves) < 5


def test_a_failure_is_kept_with_its_traceback(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the method")

    monkeypatch.setattr("benchmark.methods.contract.Composed.adapt", broken)
    request = make_request()
    for _ in range(2):
        outcome = attempt(request, setting)
        assert outcome == Outcome("failed", "ZeroDivisionError: in the method")
    files = ResultStore(setting.results).attempts()
    assert [path.name for path in files] == [f"{request.id}-1.json", f"{request.id}-2.json"]
    kept = Attempt.model_validate(json.loads(files[0].read_text()))
    assert "in broken" in kept.traceback
    assert not (setting.results / "trials").exists()


@pytest.mark.parametrize("error", [MemoryError("host"), torch.OutOfMemoryError("device")])
def test_out_of_memory_is_told_apart(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("benchmark.methods.contract.Composed.adapt", full)
    assert attempt(make_request(), setting).status == "out_of_memory"


def test_data_that_changed_since_planning_is_refused(make_request: Make, setting: Setting) -> None:
    request = make_request()
    other = request.model_copy(update={"dataset": request.dataset.model_copy(update={"manifest": "0" * 64})})
    with pytest.raises(BenchmarkError, match="the data changed since this trial was planned"):
        run(other, setting)


def test_limit_clips_takes_the_same_clips_everywhere(make_request: Make, setting: Setting) -> None:
    request = with_recipe(make_request, limit_clips=4)
    manifest = get_dataset("esc50").manifest(setting.options.data_root)
    chosen = [prepare(request, manifest, None).splits["train"].clips for _ in range(2)]
    assert chosen[0] == chosen[1]
    record, _ = run(request, setting)
    assert record.data.used == {"train": 4, "test": 3}
    assert any("limit_clips=4" in mark for mark in record.marks)


def test_statistics_of_the_training_clips_may_be_used_instead(make_request: Make, setting: Setting) -> None:
    request = make_request(switches={"norm_stats": "training_clips"})
    inputs = prepare(request, get_dataset("esc50").manifest(setting.options.data_root), None)
    clips = inputs.splits["train"]
    cells = clips.front_end(clips[list(range(len(clips))), None].raw)
    assert float(cells.mean()) == pytest.approx(0, abs=0.01)
    assert float(cells.std()) == pytest.approx(0.5, abs=0.01)


def test_another_numerics_version_than_at_submission_is_refused(make_request: Make, setting: Setting) -> None:
    with pytest.raises(BenchmarkError, match="the trial was submitted by version 0"):
        run_trial(make_request(), replace(setting, numerics_version=0), lambda _: None)


def test_scores_that_cannot_be_computed_count_as_diverged(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.trial.evaluation.evaluate", lambda *_: {"accuracy": None, "map": None})
    assert attempt(make_request(), setting) == Outcome("diverged")


def test_a_default_type_left_behind_by_another_trial_does_no_harm(make_request: Make, setting: Setting) -> None:
    expected = run(make_request(), setting)[0].curves[-1].train_loss
    torch.set_default_dtype(torch.float64)
    try:
        assert run(make_request(), setting)[0].curves[-1].train_loss == expected
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
def test_a_split_batch_is_the_same_experiment(make_request: Make, setting: Setting, loss: str) -> None:
    whole, split = (with_recipe(make_request, loss=loss, micro_batch=size) for size in (None, 3))
    assert whole.id == split.id
    assert whole.cell == split.cell
    one, two = run(whole, setting), run(split, setting)
    assert [point.train_loss for point in one[0].curves] == pytest.approx(
        [p.train_loss for p in two[0].curves], rel=1e-5
    )
    assert one[1]["logits_test"] == pytest.approx(two[1]["logits_test"], abs=1e-4)
    assert two[0].marks == one[0].marks


def test_a_part_in_which_nothing_was_annotated_counts_nothing(make_request: Make) -> None:
    request = with_recipe(make_request, loss="bce", micro_batch=2)
    losses = []
    for size in (None, 2):
        model = torch.nn.Linear(3, 4)
        torch.nn.init.constant_(model.weight, 0.5)
        torch.nn.init.zeros_(model.bias)
        trainer = Trainer(model, request, torch.device("cpu"))
        trainer.micro_batch = size
        observed = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
        losses.append(trainer.train([(torch.ones(5, 3), torch.ones(5, 4), observed)]))
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize("parts", [2, 3, 4, 8])
def test_trials_that_share_a_gpu_never_take_more_than_it_has(parts: int) -> None:
    for total in (24 * 2**30, 80 * 2**30):
        tensors = allocator_share(1 / parts, total) * total
        assert 0 < parts * (tensors + CUDA_BYTES) <= total * (1 + 1e-9)
    assert allocator_share(1.0, 2**30) == allocator_share(0.0, 2**30) == 1.0
    assert allocator_share(1 / 8, 2**30) > 0  # a GPU that is too small is told by the allocator


def test_a_record_names_the_library_of_matrix_products(make_request: Make, setting: Setting) -> None:
    library, instructions = run(make_request(), setting)[0].environment["blas"].split()
    # onednn on AMD's processors with AVX-512, else mkl in the packages for x86
    assert library == "onednn" if is_by_onednn() else f"BLAS_INFO={library}," in torch.__config__.show()
    assert instructions == torch.backends.cpu.get_cpu_capability()

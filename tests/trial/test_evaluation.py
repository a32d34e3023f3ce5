"""Which epochs are evaluated on which split, and that neither this nor kept features change a number."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.data.loader import Batches
from benchmark.data.registry import get_dataset
from benchmark.methods.registry import resolve_methods
from benchmark.planning.expand import expand
from benchmark.records.schema import Record
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.evaluation_plan import KEPT_BYTES, expected_passes, is_test_needed, kept_splits
from benchmark.trial.fit import EpochProgress
from benchmark.trial.frozen_features import FrozenFeatures, FrozenPart, output_bytes
from benchmark.trial.history import Predictions
from benchmark.trial.run import Setting, run_trial
from tests.conftest import TINY_RECIPE, tiny_grid
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
PAPER = ("full", "linear", "partial", "prompt", "aat_m", "aat_ms", "aat_m+prompt", "aat_ms+prompt")
EPOCHS = 3


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


def trial(make: Make, method: str = "linear", **changes: Any) -> TrialRequest:
    recipe = {"source": "test", "values": {**TINY_RECIPE, "epochs": EPOCHS, "batch_size": 4}}
    return make(methods=[method], overrides=[recipe], **changes)


def run(request: TrialRequest, setting: Setting, **options: Any) -> tuple[Record, Predictions, list[EpochProgress]]:
    told: list[EpochProgress] = []
    setting = replace(setting, options=replace(setting.options, **options))
    finished = run_trial(request, setting, told.append)
    return finished.record, finished.predictions, told


def epochs_with_test(record: Record) -> list[int]:
    """Return the epochs after which the test split was evaluated."""
    return [point.epoch for point in record.curves if "test" in point.splits]


def test_the_test_split_is_needed_where_its_score_may_be_reported() -> None:
    curve = [0.5, 0.4, 0.6, 0.6, None, 0.7]
    needed = [is_test_needed("best_on_validation", curve[:n], is_last=False) for n in range(1, 7)]
    assert needed == [True, False, True, False, False, True]
    assert not is_test_needed("best_on_validation", [None], is_last=False)
    assert [is_test_needed(rule, [], is_last=False) for rule in ("best_on_test", "last")] == [True, False]
    assert all(
        is_test_needed(rule, [0.5, 0.1], is_last=True) for rule in ("best_on_test", "last", "best_on_validation")
    )


def test_passes_are_counted_for_plans() -> None:
    def of(rule: Any, *, test_curves: bool = False) -> dict[str, float]:
        return expected_passes(rule, 9, ("test", "validation"), test_curves=test_curves)

    assert list(of("last")) == ["validation", "test"]  # the order of evaluation
    assert of("best_on_test")["test"] == 9
    assert of("last") == {"validation": 9, "test": 1}
    assert of("best_on_validation") == {"validation": 9, "test": 5}
    assert of("last", test_curves=True)["test"] == 9


def test_what_does_not_fit_is_not_kept() -> None:
    sizes = {"validation": 10, "test": 20}
    assert kept_splits(sizes, 100, 3000) == ["validation", "test"]
    assert kept_splits(sizes, 100, 2999) == ["validation"]
    assert kept_splits(sizes, 250, 2499) == []
    assert kept_splits(sizes, 0, 2999) == []


@pytest.mark.parametrize("method", ["aat_ms", DRAWING])
def test_with_the_rule_last_only_the_last_epoch_is_tested_and_no_number_changes(
    make_request: Make, setting: Setting, method: str
) -> None:
    request = trial(make_request, method, switches={"selection": "last"})
    short, predictions, told = run(request, setting)
    whole, expected, _ = run(request, setting, test_curves=True)
    assert epochs_with_test(short) == [EPOCHS]
    assert epochs_with_test(whole) == [1, 2, 3]
    assert [point.train_loss for point in short.curves] == [point.train_loss for point in whole.curves]
    assert short.curves[-1].splits == whole.curves[-1].splits
    assert predictions.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(predictions[name], values, equal_nan=values.dtype.kind == "f")
    assert [list(progress["scores"]) for progress in told] == [[], [], ["test"]]


def test_where_the_best_test_epoch_counts_every_epoch_is_epochs_with_test(make_request: Make, setting: Setting) -> None:
    assert epochs_with_test(run(trial(make_request), setting)[0]) == [1, 2, 3]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with a dataset that has validation clips."""
    root = tmp_path_factory.mktemp("words")
    get_dataset("speech_commands_v2").synthesize(root, classes=2, clips_per_class=2, seed=0)
    return root


def test_with_validation_clips_the_best_epochs_so_far_and_the_last_are_tested(
    words: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = [{"source": "test", "values": {**TINY_RECIPE, "epochs": 4}}]
    grid = tiny_grid(datasets=["speech_commands_v2"], folds="all", overrides=recipe)
    [request] = expand(grid, words, Path("none")).requests
    scores = iter([0.5, 0.1, 0.25, 0.75, 0.2, 0.75, 0.3])  # of validation and, in epochs 1, 3 and 4, of test
    monkeypatch.setattr("benchmark.trial.evaluation.evaluate", lambda *_: {"accuracy": next(scores)})
    record, predictions, told = run(request, replace(setting, options=replace(setting.options, data_root=words)))
    assert epochs_with_test(record) == [1, 3, 4]
    assert (record.selection.rule, record.selection.epoch) == ("best_on_validation", 3)
    assert predictions["epochs"].tolist() == [3, 4]
    assert len(predictions["logits_test"]) == len(predictions["logits_validation"]) == 2
    assert [progress["scores"].get("validation") for progress in told] == [0.5, 0.25, 0.75, 0.75]
    assert [progress["scores"].get("test") for progress in told] == [0.1, None, 0.2, 0.3]


class Counting(nn.Module):
    """Draws in evaluation, or counts its calls in a buffer, and changes the result by it."""

    def __init__(self, act: Callable[[Counting, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.act = act
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self, x)


def count(module: Counting, x: torch.Tensor) -> torch.Tensor:
    module.calls += 1
    return x * (1 + 0.01 * module.calls)


def insert(monkeypatch: pytest.MonkeyPatch, layer: int, module: Callable[[], nn.Module]) -> None:
    def adapt(_: object, model: Any) -> list[str]:
        model.insert("mlp_out", layer, "inserted", module())
        return [name for name, _ in model.named_parameters() if name.startswith("v.blocks.3.")]

    monkeypatch.setattr(type(resolve_methods("linear", "test")[0].parts[0]), "adapt", adapt)


@pytest.mark.parametrize(
    "act",
    [
        count,
        lambda _, x: x + 0.01 * torch.rand_like(x),
        lambda _, x: x * random.random(),
        lambda _, x: x * np.random.rand(),
    ],
)
def test_a_model_whose_evaluation_changes_what_follows_is_always_evaluated_completely(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, act: Any
) -> None:
    insert(monkeypatch, 1, lambda: Counting(act))
    request = trial(make_request, switches={"selection": "last"})
    with monkeypatch.context() as patch:
        patch.setitem(KEPT_BYTES, "cpu", 0)
        whole = run(request, setting, test_curves=True)
    short = run(request, setting)
    assert epochs_with_test(short[0]) == [1, 2, 3]
    assert [point.splits for point in short[0].curves] == [point.splits for point in whole[0].curves]
    assert [point.train_loss for point in short[0].curves] == [point.train_loss for point in whole[0].curves]
    assert np.array_equal(short[1]["logits_test"], whole[1]["logits_test"])


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of clips of every pass over batches that are loaded."""
    seen: list[int] = []
    original = Batches.__iter__

    def spy(self: Batches) -> Iterator[Any]:
        seen.append(len(self.clips))
        return original(self)

    monkeypatch.setattr(Batches, "__iter__", spy)
    return seen


def loaded(passes: list[int]) -> int:
    """Return how often the test clips were loaded, and forget it."""
    number = passes.count(3)
    passes.clear()
    return number


KEEPING = ("linear", "partial", "prompt")  # under `reference`, prompts begin with block 1


@pytest.mark.parametrize("method", [*PAPER, DRAWING])
def test_kept_features_change_no_number(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, passes: list[int], method: str
) -> None:
    request = trial(make_request, method)
    kept = run(request, setting)
    loads = loaded(passes)
    monkeypatch.setitem(KEPT_BYTES, "cpu", 0)
    computed = run(request, setting)
    assert loaded(passes) == EPOCHS
    assert loads == (1 if method in KEEPING else EPOCHS)
    assert np.array_equal(kept[1]["logits_test"], computed[1]["logits_test"])
    assert len(kept[1]["logits_test"]) == EPOCHS
    assert [point.train_loss for point in kept[0].curves] == [point.train_loss for point in computed[0].curves]
    assert [point.splits for point in kept[0].curves] == [point.splits for point in computed[0].curves]


def part_of(request: TrialRequest) -> tuple[int, bool] | None:
    part = FrozenPart.of(build_model(request, 3).model.eval())
    return part and (part.blocks, part.pooled)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("linear", (4, True)), ("partial", (2, False)), ("partial[share=0.25]", (3, False)), ("prompt", (1, False)),
        ("full", None), ("aat_ms", None), ("bitfit", None), ("ssf", None), ("layernorm", None), ("lora", None),
        (DRAWING, None),
    ],
)  # fmt: skip
def test_the_frozen_part_ends_before_what_trains(make_request: Make, method: str, expected: Any) -> None:
    assert part_of(trial(make_request, method)) == expected


def test_inserted_prompts_begin_with_the_first_block(make_request: Make) -> None:
    assert part_of(trial(make_request, "prompt", switches={"prompts": "insert"})) is None


class Foreign(nn.Linear):
    """A frozen layer of other people's code."""


@pytest.mark.parametrize(
    ("blocks", "module"),
    [
        (3, lambda: nn.Linear(64, 64).requires_grad_(requires_grad=False)),
        (1, lambda: nn.Linear(64, 64).requires_grad_(requires_grad=False).register_buffer("b", torch.ones(1)) or 0),
        (1, lambda: Foreign(64, 64).requires_grad_(requires_grad=False)),
        (1, lambda: nn.BatchNorm1d(64, affine=False)),
    ],
)  # fmt: skip
def test_only_known_code_without_buffers_is_frozen(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, blocks: int, module: Callable[[], Any]
) -> None:
    def made() -> nn.Module:
        found = module()
        if found == 0:
            found = nn.Linear(64, 64)
            found.register_buffer("b", torch.ones(1))
        return found

    insert(monkeypatch, 1, made)
    assert part_of(trial(make_request)) == (blocks, False)


def hook(model: Any) -> None:
    model.blocks[1].attn.register_forward_hook(lambda *_: None)


def pre_hook(model: Any) -> None:
    model.blocks[1].register_forward_pre_hook(lambda *_: None)


def other_forward(model: Any) -> None:
    model.blocks[1].mlp.forward = lambda x: x


def in_training_mode(model: Any) -> None:
    model.blocks[1].train()


@pytest.mark.parametrize("change", [hook, pre_hook, other_forward, in_training_mode])
def test_changed_code_is_not_frozen(make_request: Make, change: Callable[[Any], None]) -> None:
    model = build_model(trial(make_request), 3).model.eval()
    change(model)
    part = FrozenPart.of(model)
    assert part is not None
    assert (part.blocks, part.pooled) == (1, False)
    model.register_forward_hook(lambda *_: None)
    assert FrozenPart.of(model) is None


def first_pass(features: FrozenFeatures, batches: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    batches = list(batches)
    assert features.of("test") is None
    call = features.keeping("test", sum(map(len, batches)))
    assert call is not None
    with torch.inference_mode():
        return [call(batch) for batch in batches]


@pytest.mark.parametrize("method", ["linear", "partial"])
def test_outputs_are_kept_until_a_frozen_weight_changes(make_request: Make, method: str) -> None:
    model = build_model(trial(make_request, method), 3).model.eval()
    features, batches = FrozenFeatures(model, 2**24), torch.randn(2, 3, 64, 128).unbind()
    logits = first_pass(features, batches)
    found = features.of("test")
    assert found is not None
    part = FrozenPart.of(model)
    assert part is not None
    assert features.bytes == 6 * output_bytes(part)
    with torch.inference_mode():
        assert all(torch.equal(found[1](kept), expected) for kept, expected in zip(found[0], logits, strict=True))
        assert all(torch.equal(model(batch), expected) for batch, expected in zip(batches, logits, strict=True))
    with torch.no_grad():
        model.mlp_head[1].weight.add_(1)  # trains
    assert features.of("test") is not None
    with torch.no_grad():
        model.v.patch_embed.proj.weight.add_(1)
    assert features.of("test") is None
    assert features.bytes == 0


def test_outputs_over_the_limit_are_not_kept(make_request: Make) -> None:
    model = build_model(trial(make_request, "partial"), 3).model.eval()
    part = FrozenPart.of(model)
    assert part is not None
    features = FrozenFeatures(model, 6 * output_bytes(part))
    assert features.of("validation") is None
    assert features.keeping("validation", 7) is None
    first_pass(features, [torch.randn(6, 64, 128)])
    assert features.keeping("validation", 1) is None  # no room is left


def test_a_later_module_may_work_in_place(make_request: Make) -> None:
    model = build_model(trial(make_request, "partial"), 3).model.eval()
    model.blocks[2].register_forward_pre_hook(lambda _, inputs: (inputs[0].mul_(2),))
    features = FrozenFeatures(model, 2**24)
    [logits] = first_pass(features, [torch.randn(3, 64, 128)])
    found = features.of("test")
    assert found is not None
    with torch.inference_mode():
        assert all(torch.equal(found[1](found[0][0]), logits) for _ in range(2))

"""Compiled training; most tests have a compiler that changes nothing. CUDA graphs are in `test_cuda.py`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.run import Setting, run_trial
from tests.conftest import TINY_RECIPE
from tests.drawing import DRAWING
from tests.samples import make_cost

pytestmark = pytest.mark.filterwarnings("default")  # the compiler looks at gradients that are not there

Make = Callable[..., TrialRequest]
Compiler = Callable[[torch.fx.GraphModule, list[torch.Tensor]], Callable[..., Any]]


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


@pytest.fixture
def compile_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Compiler], None]:
    """Return a function that sets the compiler."""

    def use(compiler: Compiler) -> None:
        torch._dynamo.reset()
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=compiler))

    return use


@pytest.fixture
def compiled_graphs(compile_with: Callable[[Compiler], None]) -> list[torch.fx.GraphModule]:
    """Return the list of what is compiled, by a compiler that changes nothing."""
    graphs: list[torch.fx.GraphModule] = []

    def compiler(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    compile_with(compiler)
    return graphs


def make(make_request: Make, method: str, size: str = "demo", **recipe: object) -> TrialRequest:
    values = {**TINY_RECIPE, **recipe}
    backbones = [f"ast[size={size};weights=random:0]"]
    return make_request(methods=[method], backbones=backbones, overrides=[{"source": "test", "values": values}])


def run(request: TrialRequest, setting: Setting, **options: Any) -> tuple[Record, dict[str, np.ndarray]]:
    changed = replace(setting, options=replace(setting.options, **options))
    finished = run_trial(request, changed, lambda _: None)
    return finished.record, finished.predictions


def numbers(found: tuple[Record, dict[str, np.ndarray]]) -> tuple[list[Any], list[Any]]:
    losses = [epoch.train_loss for epoch in found[0].curves]
    return losses, found[1]["logits_test"].tolist()


@pytest.mark.parametrize("method", ["full", "aat_ms+prompt", "conformer", "peft/lora", DRAWING])
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_compilation_changes_no_state_and_no_draw(
    make_request: Make,
    setting: Setting,
    compiled_graphs: list[torch.fx.GraphModule],
    method: str,
    micro_batch: int | None,
) -> None:
    """The last batch of an epoch is smaller, and runs without the compiler, as evaluation does."""
    request = make(make_request, method, batch_size=5, micro_batch=micro_batch)
    with_it, without = run(request, setting, compile=True), run(request, setting)
    assert compiled_graphs
    assert numbers(with_it) == numbers(without)
    assert [found[0].environment["compilation"] for found in (with_it, without)] == ["compiled blocks", "eager"]
    assert with_it[0].profile.seconds["setup"] > without[0].profile.seconds["setup"]


@pytest.mark.parametrize("method", ["full", DRAWING])
def test_compiled_blocks_may_be_computed_again(
    make_request: Make, setting: Setting, compiled_graphs: list[torch.fx.GraphModule], method: str
) -> None:
    """Also in the last batch of an epoch, which runs without the compiler, forward and again."""
    request = make(make_request, method, batch_size=5)
    both, without = run(request, setting, compile=True, checkpointing=True), run(request, setting)
    assert compiled_graphs
    assert numbers(both) == numbers(without)
    assert (both[0].environment["compilation"], both[0].environment["checkpointing"]) == ("compiled blocks", True)


@pytest.mark.parametrize(("method", "kinds"), [("full", 1), ("aat_ms", 2), ("partial", 3), ("linear", 1)])
def test_blocks_of_one_kind_are_compiled_once(
    make_request: Make, setting: Setting, compiled_graphs: list[torch.fx.GraphModule], method: str, kinds: int
) -> None:
    """Kinds differ in what needs gradients: the input, the weights."""
    for _ in range(2):  # a second trial of this process uses what the first one compiled
        run(make(make_request, method, size="tiny", epochs=1), setting, compile=True)
    assert len(compiled_graphs) == kinds


@pytest.mark.parametrize("method", ["aat_m", "peft/lora", DRAWING])
def test_what_fails_to_compile_runs_without_it(
    make_request: Make,
    setting: Setting,
    compile_with: Callable[[Compiler], None],
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    def broken(_: torch.fx.GraphModule, __: list[torch.Tensor]) -> Callable[..., Any]:
        raise RuntimeError("no C compiler")

    compile_with(broken)
    request = make(make_request, method)
    with caplog.at_level("WARNING"):
        found = run(request, setting, compile=True)
    assert numbers(found) == numbers(run(request, setting))
    assert found[0].environment["compilation"] == "eager"
    [line] = [record.getMessage() for record in caplog.records]
    assert "it is not compiled" in line
    assert "no C compiler" in line


def test_compiled_training_is_not_promised_to_repeat(data_root: Path) -> None:
    with pytest.raises(BenchmarkError, match="compile and deterministic"):
        RunOptions(data_root, compile=True, deterministic=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", DRAWING])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_real_compiler_changes_results_by_rounding(
    make_request: Make, setting: Setting, method: str, checkpointing: bool
) -> None:
    torch._dynamo.reset()
    request = make(make_request, method)
    found = [numbers(run(request, setting, compile=on, checkpointing=on and checkpointing)) for on in (True, False)]
    (losses, logits), (without, as_well) = found
    assert losses == pytest.approx(without, rel=1e-5)
    assert np.array(logits) == pytest.approx(np.array(as_well), abs=1e-4)

"""Choosing trials by the claims that they decide."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.api import budget
from benchmark.api.budget import within_budget
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.planning import node as machines
from benchmark.planning.budget import choose
from benchmark.planning.estimate import Estimate
from benchmark.planning.expand import Expansion
from benchmark.planning.node import Node
from benchmark.planning.packing import Share
from benchmark.planning.total import total
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from tests.samples import make_record

SECONDS = {"full": 30.0, "linear": 10.0, "aat_ms": 20.0}


@pytest.fixture
def requests_(make_request: Callable[..., TrialRequest]) -> list[TrialRequest]:
    return [make_request(methods=[name]) for name in SECONDS]


def names(chosen: list[TrialRequest]) -> set[str]:
    return {each.method.name for each in chosen}


def test_the_cheapest_claims_come_first_and_shared_cells_are_paid_once(requests_: list[TrialRequest]) -> None:
    estimates = {each.id: Estimate(None, SECONDS[each.method.name], "operations", 0.0, 0, 0, 0) for each in requests_}

    def cells(*methods: str) -> list[tuple[str, str, str]]:
        return [("ast", "esc50", method) for method in methods]

    claims = {
        "a": cells("linear", "aat_ms"),
        "b": cells("full", "aat_ms"),
        "c": cells("linear", "full"),
        "elsewhere": [("ssast", "esc50", "full")],
    }

    def cells_of(request: TrialRequest) -> list[tuple[str, ...]]:
        return [(request.backbone.name, request.dataset.name, request.method.variant)]

    few = choose(requests_, estimates, claims, [], 45, cells_of)
    assert (names(few.requests), few.decided, few.seconds) == ({"linear", "aat_ms"}, ["a"], 30)
    assert few.open == ["b", "c", "elsewhere"]
    every = choose(requests_, estimates, claims, [], 60, cells_of)
    assert every.decided == ["a", "b", "c"]
    assert every.seconds == 60
    assert choose(requests_, estimates, claims, [], 5, cells_of).requests == []
    done = choose(requests_[1:], estimates, claims, cells("full"), 30, cells_of)
    assert done.decided == ["c", "a", "b"]  # full is there already


GIVEN = RunOptions(data_root=Path("none"))
FOLDS = (1, 2, 3, 4, 5)
LIST = Console(quiet=True)


def of_paper(request: TrialRequest, methods: tuple[str, ...], folds: tuple[int, ...] = FOLDS) -> list[TrialRequest]:
    """Return trials of the paper's model and recipe."""
    content = request.model_dump()
    content["backbone"] |= {"size": "base", "weights": "pretrained", "sha256": "0" * 64}
    made = []
    for name, fold in itertools.product(methods, folds):
        part = {**content["method"]["parts"][0], "name": name}
        method = {**content["method"], "parts": [part], "variant": name}
        made.append(TrialRequest.model_validate({**content, "fold": fold, "method": method}))
    return made


@pytest.fixture
def paper_request(make_request: Callable[..., TrialRequest]) -> TrialRequest:
    return make_request(overrides=[], methods=["full"])


def expansion_of(requests: list[TrialRequest], clips: int | None = None, *, synthetic: bool = False) -> Expansion:
    info = get_dataset("esc50").info
    clip = Clip("1.wav", 1, (0,), fold=1)
    manifest = Manifest(info, Path("none"), (clip,) * (clips or info.clips), synthetic)
    return Expansion(requests, [], {}, {"esc50": manifest}, {"esc50": info}, [])


def chosen_within(
    seconds: float, requests: list[TrialRequest], expansion: Expansion, folder: Path, options: RunOptions = GIVEN
) -> list[TrialRequest]:
    """Return what a budget chooses of trials that take ten seconds each."""
    estimates = {request.id: Estimate(None, 10.0, "operations", 0.0, 0, 0, 0) for request in requests}
    return within_budget(seconds, requests, estimates, ResultStore(folder), expansion, "reference", options, LIST)


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "node_here", lambda: Node(1, 0))


def test_trials_that_can_judge_are_chosen(paper_request: TrialRequest, tmp_path: Path) -> None:
    requests = of_paper(paper_request, ("full", "aat_ms", "lora"))
    chosen = chosen_within(10_000, requests, expansion_of(requests), tmp_path)
    assert {request.method.variant for request in chosen} == {"full", "aat_ms"}  # no claim is about lora


def test_trials_that_can_never_judge_are_not_counted(
    paper_request: TrialRequest, requests_: list[TrialRequest], tmp_path: Path
) -> None:
    good = of_paper(paper_request, ("full", "aat_ms"))
    two_folds = of_paper(paper_request, ("full", "aat_ms"), (1, 2))
    for number, (requests, expansion) in enumerate(
        [
            (requests_, expansion_of(requests_)),  # random weights, another recipe
            (good, expansion_of(good, clips=40)),
            (good, expansion_of(good, synthetic=True)),
            (two_folds, expansion_of(two_folds)),
        ]
    ):
        with pytest.raises(BenchmarkError, match="can judge a claim"):
            chosen_within(10_000, requests, expansion, tmp_path / str(number))


def test_a_cell_with_a_diverged_trial_is_not_continued(paper_request: TrialRequest, tmp_path: Path) -> None:
    requests = of_paper(paper_request, ("full", "aat_ms", "linear"))
    store = ResultStore(tmp_path)
    store.write(make_record(requests[0], [None], status="diverged"), {})
    store.submit(requests)
    chosen = chosen_within(10_000, requests[1:], expansion_of(requests), tmp_path)
    assert {request.method.variant for request in chosen} == {"aat_ms", "linear"}


def test_the_resources_of_a_trial_decide_what_fits(
    paper_request: TrialRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten trials of ten seconds: one, two or four at a time."""
    monkeypatch.setattr(machines, "node_here", lambda: Node(16, 4, 10**10))
    requests = of_paper(paper_request, ("full", "aat_ms"))
    expansion = expansion_of(requests)

    def fits(number: int, seconds: float, **options: object) -> bool:
        given = dataclasses.replace(GIVEN, **options)
        with contextlib.suppress(BenchmarkError):  # the time is too short
            return len(chosen_within(seconds, requests, expansion, tmp_path / str(number), given)) == 10
        return False

    assert fits(0, 25)
    assert fits(1, 25, gpus_per_trial=1)
    assert not fits(2, 24, gpus_per_trial=1)
    assert fits(3, 25, gpus_per_trial=0.5)
    assert not fits(4, 24, gpus_per_trial=0.5)  # trials that share a GPU slow each other down
    assert fits(5, 7, gpus_per_trial=0)
    assert not fits(6, 25, gpus_per_trial=0, cpus_per_trial=8)
    assert fits(7, 50, gpus_per_trial=0, cpus_per_trial=4, cpus=8)


def test_costs_are_summed_with_the_gpus_that_a_trial_takes() -> None:
    estimates = {str(number): Estimate(None, 10.0, "operations", 0.0, 0, 0, 0) for number in range(8)}
    node = Node(16, 4, 10**10)
    seconds = [total(estimates, dict.fromkeys(estimates, Share(1, gpus)), node).seconds for gpus in (0.5, 1, 2, 4)]
    assert seconds == [20, 20, 40, 80]


def test_time_and_memory_claims_need_a_gpu_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "node_here", lambda: Node(16, 1, 10**10))
    assert budget._measures(dataclasses.replace(GIVEN, exclusive=True))
    assert not budget._measures(GIVEN)
    assert not budget._measures(dataclasses.replace(GIVEN, exclusive=True, gpus_per_trial=0))

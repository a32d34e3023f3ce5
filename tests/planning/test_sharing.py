"""As many trials share a GPU as train the most clips together, where that was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import benchmark
from benchmark import mps, nvml
from benchmark.api import budget
from benchmark.planning import node as machines
from benchmark.planning.estimate import Estimate, Estimator
from benchmark.planning.machine import Machine, machine_here
from benchmark.planning.memory import Need
from benchmark.planning.node import Node
from benchmark.planning.packing import Share, describe, pack
from benchmark.planning.sharing import Sharing, SharingMeasurements, measurable
from benchmark.planning.total import total
from benchmark.records.environment import EAGER
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from tests.samples import make_cost, make_record, make_sharing

GIB = 2**30
CARD = Machine("card", 16)
NODES = [Node(16, 2, 80 * GIB)]

Make = Callable[..., TrialRequest]


def share_of(sharing: Sharing | None, gib: float = 2, gpus: float | None = None, nodes: list[Node] = NODES) -> Share:
    need = Need(gpu=int(gib * GIB), sharing=sharing)
    return pack(nodes, {"a": need}, None, gpus, exclusive=False)["a"]


@pytest.mark.parametrize(
    ("throughput", "gib", "per_gpu"),
    [
        ({1: 100, 2: 150, 4: 190, 8: 180}, 2, 4),  # eight slow each other down
        ({1: 100, 2: 150, 4: 190, 8: 200}, 2, 8),
        ({1: 100, 2: 150, 4: 190}, 30, 2),  # memory allows two
        ({1: 100, 2: 90, 4: 80, 8: 110}, 15, 1),  # memory allows five: none gains
        ({1: 100, 2: 90, 4: 80, 8: 110}, 2, 8),
        ({1: 100, 2: 100}, 2, 1),
        ({1: 100, 2: 150}, 25, 2),  # three were not measured
        ({1: 100, 2: 150}, 100, 1),
    ],
)
def test_the_highest_measured_throughput_decides(throughput: dict[int, float], gib: float, per_gpu: int) -> None:
    found = share_of(Sharing(throughput), gib)
    assert found.slots(NODES) == 2 * per_gpu
    assert found.gain == throughput[per_gpu] / 100
    assert found.undisturbed(NODES) == pytest.approx(2 * throughput[per_gpu] / 100)


def test_cores_limit_the_number_and_the_user_decides_first() -> None:
    sharing = Sharing({1: 100, 2: 150, 3: 170, 4: 190})
    assert share_of(sharing, nodes=[Node(3, 1, 80 * GIB)]).slots([Node(3, 1, 80 * GIB)]) == 3
    assert (share_of(sharing, gpus=0.5).gpus, share_of(sharing, gpus=0.5).gain) == (0.5, 1.5)
    assert share_of(sharing, gpus=0.125).gain == 1  # not measured
    assert share_of(sharing, gpus=1).gain == 1
    assert share_of(None).slots(NODES) == 16  # by memory
    assert pack([Node(4, 0)], {"a": Need(sharing=sharing)}, None, None, exclusive=False) == {"a": Share(1, 0)}


def test_the_measured_gain_shortens_the_run() -> None:
    estimates = {str(number): Estimate(None, 10.0, "records", 0.0, 0, 0, 0) for number in range(16)}
    measured, assumed = share_of(Sharing({1: 100, 4: 250})), share_of(None)
    times = [total(estimates, dict.fromkeys(estimates, found), NODES[0]).seconds for found in (measured, assumed)]
    assert times == [pytest.approx(16 * 10 / 2 / 2.5), 16 * 10 / 2]
    assert "together 2.5 times as fast as one alone" in describe({"a": measured}, NODES)
    assert "as fast" not in describe({"a": assumed}, NODES)


def test_a_budget_counts_the_measured_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "node_here", lambda: NODES[0])
    need = Need(sharing=Sharing({1: 100, 4: 250}))
    estimates = {
        "shared": Estimate(None, 10.0, "records", 0.0, 0, 0, 0, need=need),
        "alone": Estimate(None, 10.0, "records", 0.0, 0, 0, 0),
    }
    found = budget._in_parallel(estimates, RunOptions(Path("none")))
    assert {name: estimate.seconds for name, estimate in found.items()} == {"shared": 10 / 2 / 2.5, "alone": 10 / 2}


def test_the_next_larger_measured_step_speaks_for_a_smaller_one(make_request: Make) -> None:
    small, middle, large = (make_request(methods=[name]) for name in ("linear", "aat_m", "full"))
    other = make_request(methods=["bitfit"])
    costs = {name: make_cost(train_flops=size) for name, size in {"small": 10, "middle": 20, "large": 40}.items()}
    measured = SharingMeasurements(
        [make_sharing(large, {1: 1, 2: 1.2}, cost=costs["large"]), make_sharing(small, {1: 1}, cost=costs["small"])],
        CARD,
    )
    assert measured.of(small, None) == Sharing({1: 1})  # measured itself
    assert measured.of(middle, costs["middle"]) == Sharing({1: 1, 2: 1.2})
    assert measured.of(other, make_cost(train_flops=5)) == Sharing({1: 1})
    assert measured.of(other, None) is None
    assert SharingMeasurements([make_sharing(small, {1: 1}, cost=None)], CARD).of(middle, costs["middle"]) is None
    beyond = measured.of(other, make_cost(train_flops=41))
    assert beyond == Sharing({1: 1, 2: 1.2}, of_smaller_step=True)
    assert beyond is not None
    assert (beyond.best((1, 2)), beyond.gain(2)) == (2, 1)  # shared, but no time is counted on


@pytest.mark.parametrize(
    ("machine", "known"),
    [
        (CARD, True),
        (Machine("card", 4), True),
        (Machine("other", 16), False),
        (Machine("card", 16, mps=True), False),
        (Machine("card", 16, compiled=True), False),
    ],
)
def test_only_measurements_of_the_same_machine_count(machine: Machine, known: bool, make_request: Make) -> None:
    request = make_request()
    profile = make_sharing(request, {1: 1, 2: 2}, environment={"compilation": EAGER})
    assert (SharingMeasurements([profile], machine).of(request, None) is not None) == known
    on_cpu = make_sharing(request, {1: 1, 2: 2}, device="cpu")
    assert SharingMeasurements([on_cpu], Machine("cpu", 16)).of(request, None) is None


def test_records_of_trials_that_shared_a_gpu_count_as_if_alone(make_request: Make) -> None:
    request = make_request()

    def pace(part: float, gains: dict[int, float]) -> float:
        record = make_record(request, [0.5])
        profile = {**record.profile.model_dump(), "device": "card", "gpu_hours": part * 9.0 / 3600}
        known = Record.model_validate({**record.model_dump(), "profile": profile, "environment": {"threads": 4}})
        estimator = Estimator({}, CARD, [known], sharing=[make_sharing(request, gains)])
        found = estimator._from_records[request.step_key].train
        return found / (2.0 / 1600)

    assert pace(1.0, {1: 1, 4: 2}) == 1
    assert pace(0.25, {1: 1, 4: 2}) == pytest.approx(2 / 4)
    assert pace(0.25, {1: 1}) == pytest.approx(1 / 4)


def test_what_cores_and_memory_allow_is_measured() -> None:
    assert measurable([8, 4, 2, 4], 4, None, GIB) == ([1, 2, 4], {"there are fewer CPU cores": [8]})
    assert measurable([2, 4, 8], 4, 3 * GIB, GIB) == (
        [1, 2],
        {"the host memory is too small": [4], "there are fewer CPU cores": [8]},
    )


def test_plan_says_when_sharing_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "gpus", lambda: [("card", 80 * GIB)])
    monkeypatch.setattr(machines, "usable_cores", lambda: 16)
    monkeypatch.setattr("benchmark.planning.estimate.matrix_product_speed", lambda _: 1e12)
    quiet = Console(quiet=True)

    def planned(gpus: float | None = None) -> benchmark.api.plan.PlanResult:
        return benchmark.plan("smoke", methods="linear", results=tmp_path, gpus_per_trial=gpus, console=quiet)

    def lines(found: benchmark.api.plan.PlanResult) -> list[str]:
        return [line for line in found.notes if "GPU sharing was not measured" in line]

    first = planned()
    [line] = lines(first)
    assert f"Measure it: `python -m benchmark profile --grid smoke --results {tmp_path} --sharing 1,2,4,8`" in line
    assert lines(planned(gpus=0.5)) == []
    request = first.plan.entries[0].request
    estimate = first.estimates[request.id]
    ResultStore(tmp_path).write_sharing(make_sharing(request, {1: 100, 2: 200, 4: 100}, cost=estimate.cost))
    second = planned()
    assert lines(second) == []
    assert (first.total.at_once, second.total.at_once) == (8, 2)
    assert second.total.seconds == pytest.approx((first.total.seconds or 0) / 2)


def test_damaged_measurements_are_skipped(make_request: Make, tmp_path: Path) -> None:
    store, request = ResultStore(tmp_path), make_request()
    with_mps = store.write_sharing(make_sharing(request, {1: 1}, mps=True))
    store.write_sharing(make_sharing(request, {1: 2}))
    assert sorted(profile.clips_per_second[1] for profile in store.sharing()) == [1, 2]
    assert list(store.profiles()) == []
    with_mps.write_text("{")
    with pytest.warns(UserWarning, match="damaged profile"):
        assert [profile.clips_per_second for profile in store.sharing()] == [{1: 2.0}]


def test_the_machine_says_whether_mps_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mps, "is_running", lambda: True)
    monkeypatch.setattr(nvml, "gpus", lambda: [("card", 80 * GIB)])
    assert machine_here().mps
    assert not machine_here(gpus=0).mps
    assert not dataclasses.replace(CARD).mps

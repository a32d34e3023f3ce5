"""Trials never get more memory together than their machines have, and a larger GPU only where they need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import cgroups
from benchmark.orchestrator.tune_queue import resources_of
from benchmark.orchestrator.worker_config import make_worker_config, run_setting
from benchmark.planning.memory import Need
from benchmark.planning.node import Node, host_memory, node_here
from benchmark.planning.packing import Share, beyond_memory, describe, pack
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest

GIB = 2**30


def gpu(gib: float) -> Need:
    return Need(gpu=int(gib * GIB))


def cpu(gib: float) -> Need:
    return Need(cpu=int(gib * GIB))


def packed(nodes: list[Node], **needs: Need) -> dict[str, Share]:
    return pack(nodes, needs, None, None, exclusive=False)


def test_light_trials_share_a_gpu_and_heavy_ones_do_not() -> None:
    nodes = [Node(16, 1, 80 * GIB)]
    shares = packed(nodes, a=gpu(2), b=gpu(25), c=gpu(100))
    assert shares == {"a": Share(2, 0.125), "b": Share(5, 0.3333), "c": Share(16, 1.0)}
    assert [shares[name].slots(nodes) for name in "abc"] == [8, 3, 1]
    assert set(pack(nodes, {"a": gpu(2)}, None, None, exclusive=True).values()) == {Share(16, 1.0)}
    assert set(pack(nodes, {"a": gpu(2)}, 4, 0.5, exclusive=False).values()) == {Share(4, 0.5)}
    few = [Node(3, 1, 80 * GIB)]
    assert packed(few, a=gpu(2))["a"].slots(few) == 3  # a core for each


@pytest.mark.parametrize("gib", [0.7, 1.0, 3.0, 3.1, 5.7, 33.0, 63.9])
def test_trials_at_the_same_time_fit_into_host_memory(gib: float) -> None:
    nodes = [Node(64, 0, memory=64 * GIB)]
    found = packed(nodes, a=cpu(gib))["a"]
    assert 1 <= found.slots(nodes) <= 64 / gib
    assert found.slots(nodes) >= 0.8 * min(64, int(64 / gib))  # not much is wasted
    assert found.bundle["memory"] >= gib * GIB  # Ray adds up trials of different size


def test_the_description_says_when_memory_sets_the_number() -> None:
    nodes = [Node(64, 0, memory=64 * GIB)]
    heavy, light = packed(nodes, a=cpu(3)), packed(nodes, a=cpu(0.7))
    assert describe(heavy, nodes) == "21 at once, each with 1 CPU and 0 GPUs (limited by memory, 3.22 GB each)"
    assert describe(light, nodes) == "64 at once, each with 1 CPU and 0 GPUs"
    assert describe({**light, "b": packed(nodes, a=cpu(0.9))["a"]}, nodes) == describe(light, nodes)


def test_a_trial_that_fits_nowhere_is_one_line() -> None:
    nodes = [Node(4, 0, memory=2 * GIB), Node(64, 0, memory=8 * GIB)]
    needs = {"a": cpu(7.9), "b": cpu(12)}
    shares = packed(nodes, **needs)
    assert shares["b"].slots(nodes) == 1
    assert beyond_memory(nodes, shares, needs) == {
        "b": "needs about 12.9 GB of memory, but the largest machine has 8.59 GB for trials"
    }
    unknown = [Node(64, 0)]
    assert packed(unknown, **needs) == dict.fromkeys("ab", Share(1, 0))
    assert beyond_memory(unknown, packed(unknown, **needs), needs) == {}


def test_data_workers_of_a_gpu_trial_count() -> None:
    nodes = [Node(16, 1, 80 * GIB, memory=32 * GIB)]
    need = Need(gpu=2 * GIB, beside_gpu=2 * GIB, worker=4 * GIB, cpu=99 * GIB)
    found = packed(nodes, a=need)["a"]
    assert (found.workers, found.memory) == (1, 6 * GIB)
    assert found.slots(nodes) == 5
    assert pack(nodes, {"a": need}, None, 0, exclusive=False)["a"].memory == 32 * GIB  # on the CPU


@pytest.mark.parametrize(("cores", "loaders"), [(2, 1), (4, 3), (5, 4), (76, 4)])
def test_a_trial_has_at_most_four_loaders_and_keeps_its_cores(cores: int, loaders: int) -> None:
    nodes = [Node(cores, 1, 80 * GIB, memory=999 * GIB)]
    found = packed(nodes, a=Need(gpu=60 * GIB, beside_gpu=2 * GIB, worker=3 * GIB))["a"]
    assert (found.cpus, found.workers) == (cores, loaders)
    assert (2 + 3 * loaders) * GIB <= found.memory < (3 + 4 * loaders) * GIB


def two_cards() -> list[Node]:
    return [Node(32, 1, 80 * GIB, id="large"), Node(16, 1, 24 * GIB, id="small"), Node(64, 0, id="cpu")]


@pytest.mark.parametrize("gib", [1, 2.9, 3.1, 6, 10, 13, 23])
def test_the_smaller_of_two_gpus_decides_the_share(gib: float) -> None:
    nodes = two_cards()
    found = packed(nodes, a=gpu(gib))["a"]
    for node in nodes[:2]:
        assert 1 <= found.slots([node]) <= (node.gpu_bytes or 0) / (gib * GIB)
    assert found.labels == {}


@pytest.mark.parametrize(("gpus", "exclusive"), [(None, False), (1, False), (None, True)])
def test_a_trial_that_needs_the_larger_gpu_goes_there_only(gpus: float | None, exclusive: bool) -> None:
    nodes = two_cards()
    found = pack(nodes, {"a": gpu(30)}, None, gpus, exclusive=exclusive)["a"]
    assert [found.slots([node]) for node in nodes] == [2 if gpus is None and not exclusive else 1, 0, 0]
    assert found.labels == {"ray.io/node-id": "in(large)"}


def test_ray_receives_memory_and_machines(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    request = make_request()
    setting = run_setting(RunOptions(Path("data")), tmp_path, [request], stop=tmp_path / "stop")
    config = make_worker_config(request, Share(4, 0.5, GIB, ("a", "b")), None, setting)
    assert resources_of(dict(config)).bundles == [{"CPU": 4, "GPU": 0.5, "memory": GIB}]
    assert "in(a,b)" in repr(resources_of(dict(config)))
    assert "selector=" not in repr(resources_of(dict(make_worker_config(request, Share(4, 0.5), None, setting))))


@pytest.mark.parametrize(("limit", "expected"), [(3 * GIB, 3 * GIB), (2**63 - 4096, 8 * GIB), (None, 8 * GIB)])
def test_the_limit_of_a_container_counts(limit: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "memory_limit", lambda: limit)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 8 * GIB}))
    assert host_memory() == expected
    memory = node_here().memory
    assert memory is not None
    assert 0.7 * expected < memory < expected  # the run itself and Ray need some

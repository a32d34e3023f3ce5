"""Errors and addresses of Ray."""

from __future__ import annotations

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.loggers import make_loggers
from benchmark.orchestrator.ray_compat import treat_task_errors_as_dead_actors
from benchmark.orchestrator.ray_session import _require_listener


def test_the_kill_by_a_memory_monitor_is_taken_as_a_dead_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Exception] = []

    def original(self: object, tracked_actor_task: object, exception: Exception) -> None:
        seen.append(exception)

    monkeypatch.setattr(RayActorManager, "_actor_task_failed", original)
    treat_task_errors_as_dead_actors()
    treat_task_errors_as_dead_actors()  # a second call changes nothing
    RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=OutOfMemoryError("killed"))
    RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=ValueError("ours"))
    assert [type(each) for each in seen] == [RayActorError, ValueError]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://head:10001", "ray job submit"),
        ("nonsense", "expected auto or host:port"),
        ("127.0.0.1:1", "nothing answers there"),
    ],
)
def test_addresses_that_cannot_work(address: str, told: str) -> None:
    with pytest.raises(BenchmarkError, match=told):
        _require_listener(address)


def test_mlflow_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(BenchmarkError, match="pip install"):
        make_loggers(["mlflow"], tmp_path, {})

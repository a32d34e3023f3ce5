"""Errors and addresses of Ray."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.loggers import make_loggers
from benchmark.orchestrator.ray_compat import treat_task_errors_as_dead_actors
from benchmark.orchestrator.ray_session import _require_listener, ray_session
from tests.conftest import CORES


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


def test_wandb_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ray.air.integrations.wandb.wandb", None)
    with pytest.raises(BenchmarkError, match=r"--log wandb: .*pip install -e '\.\[wandb\]'"):
        make_loggers(["wandb"], tmp_path, {})


@pytest.mark.parametrize(("mode", "expected"), [(None, "offline"), ("online", "online")])
def test_wandb_is_offline_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str | None, expected: str
) -> None:
    made: list[dict[str, object]] = []
    monkeypatch.setattr("ray.air.integrations.wandb.WandbLoggerCallback", lambda **options: made.append(options))
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_RUN_GROUP"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    make_loggers(["wandb"], tmp_path / "a#b", {})
    assert made[0]["mode"] == os.environ["WANDB_MODE"] == expected
    assert made[0]["project"] == "a-b"  # W&B refuses some characters
    assert made[0]["dir"] == str(tmp_path / "a#b" / "logs")
    assert (tmp_path / "a#b" / "logs").is_dir()


@pytest.mark.slow
@pytest.mark.ray
def test_ray_that_was_imported_before_starts_all_the_same(tmp_path: Path) -> None:
    """As in a notebook; Ray reads its variables when it is imported."""
    code = (
        "import ray, sys\nfrom pathlib import Path\n"
        "from benchmark.orchestrator.ray_session import ray_session\n"
        "with ray_session(None, 1, 0, Path(sys.argv[1])) as nodes:\n    print(len(nodes))\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", code, str(tmp_path / "ray.log")]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.ray
def test_a_ray_that_the_caller_started_is_used_and_left_running(ray_here: Callable[[], None], tmp_path: Path) -> None:
    ray_here()
    with ray_session(None, None, None, tmp_path / "ray.log") as nodes:
        assert [node.cpus for node in nodes] == [CORES]
    assert ray.is_initialized()
    with socket.create_server(("127.0.0.1", 0)) as other:
        elsewhere = f"127.0.0.1:{other.getsockname()[1]}"
        for address, cpus, expected in ((None, CORES + 1, "cpus 2: Ray is running"), (elsewhere, None, "connected to")):
            with pytest.raises(BenchmarkError, match=expected), ray_session(address, cpus, None, tmp_path / "ray.log"):
                pass
    assert ray.is_initialized()


def test_nothing_imports_ray_before_its_variables_are_set() -> None:
    code = (
        "import sys\nimport benchmark.api.run, benchmark.api.search, benchmark.orchestrator.run, benchmark.search.run\n"
        "import benchmark.orchestrator.ray_session, benchmark.orchestrator.cache_warmup\n"
        "assert 'ray' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

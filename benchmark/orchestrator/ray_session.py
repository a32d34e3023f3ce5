"""A Ray of our own, or the user's cluster; quiet either way."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import BenchmarkError
from benchmark.planning.packing import Node, gpus_here, node_here

NAMESPACE = "aat-benchmark"
PROBE_SECONDS = 5
PROBE_TASK_SECONDS = 60
OBJECT_STORE_BYTES = 100 * 2**20  # nothing large passes through Ray's object store

# of a Ray that we start; on a cluster these belong to `ray start`
_OWN_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # its kill of one worker would end the whole experiment (Ray 2.60)
}
_TUNE = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints tables even at verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "300",  # Tune's own state, which nothing reads
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "30",  # a reused worker may take this long to hand over
}


@contextmanager
def ray_session(address: str | None, cpus: int, gpus: int | None, log: Path) -> Iterator[list[Node]]:
    """Connect to `address`, or start Ray here with that many cores and GPUs; it ends with the context.

    Args:
        address: a cluster's address, None for one of our own.
        cpus: cores of our own.
        gpus: GPUs of our own, None for all that there are.
        log: where Ray's own complaints go.

    Raises:
        BenchmarkError: the cluster cannot be reached.
    """
    if address is not None:
        _require_listener(address)
    os.environ.update({key: os.environ.get(key, value) for key, value in _TUNE.items()})
    if address is None:
        os.environ.update({key: os.environ.get(key, value) for key, value in _OWN_RAY.items()})
        if "RAY_AUTH_MODE" not in os.environ:  # Ray listens on all interfaces: ask for a token that nobody knows
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    _silence(log)
    _outlive_errors()
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                address="local",  # a plain init would join whatever cluster was started here
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            ray.init(address=address, namespace=NAMESPACE, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise BenchmarkError(f"Ray: {address or 'local start'}: {str(error).splitlines()[0]}") from None
    try:
        yield _nodes()
    finally:
        ray.shutdown()


def try_ray() -> tuple[Literal["ok", "fault"], str, str]:
    """Start Ray and have a worker answer; verdict, what was found, what to do."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, ray_session(None, 1, 0, Path(folder) / "ray.log"):
            import ray

            answer: Any = ray.remote(node_here)
            ray.get(answer.remote(), timeout=PROBE_TASK_SECONDS)
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return "fault", line, "see that 127.0.0.1 answers, /tmp can be written, and no old Ray is left"
    return "ok", f"starts and answers in {time.monotonic() - began:.0f} s", ""


def _nodes() -> list[Node]:
    """The machines that there are; each with GPUs is asked for their memory."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        found = node["Resources"]
        if node["Alive"] and found.get("CPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ask: Any = ray.remote(gpus_here)
            gpus = ray.get(ask.options(num_cpus=0, scheduling_strategy=there).remote()) if found.get("GPU") else []
            nodes.append(Node(found["CPU"], found.get("GPU", 0), min((size for _, size in gpus), default=None)))
    return nodes


def _require_listener(address: str) -> None:
    """Refuse an address that nobody answers at: Ray itself would try for ever."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise BenchmarkError(
            f"--address {address}: Ray Tune runs on a machine of the cluster, not through Ray's client; there give "
            "`run --address auto`, or from here `ray job submit --address http://HEAD:8265 -- python -m benchmark run "
            "--address auto ...`"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise BenchmarkError(f"--address {address}: expected auto or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BenchmarkError(
            f"--address {address}: nobody answers there ({error}); start Ray with `ray start`"
        ) from None


def _outlive_errors() -> None:
    """Let Tune take any error of Ray about a task as the death of its actor, which is tried again.

    Ray 2.60 knows two kinds there; of any other, such as the kill by a cluster's memory monitor, the experiment dies.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import RayActorError, RayError, RayTaskError

    known = RayActorManager._actor_task_failed
    if getattr(known, "outlives", False):
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, (RayActorError, RayTaskError)):
            exception = RayActorError(error_msg=str(exception))
        known(self, tracked_actor_task=tracked_actor_task, exception=exception)

    failed.outlives = True  # type: ignore[attr-defined]
    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]


def _silence(log: Path) -> None:
    """Ray's loggers down to errors, and what its daemons print into a file instead of the terminal."""
    from ray._private import worker

    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    log.parent.mkdir(parents=True, exist_ok=True)

    def to_file(data: dict[str, Any], *_: Any, **__: Any) -> None:
        with log.open("a") as handle:
            handle.writelines(f"{time.strftime('%F %T')} {data.get('pid')} {line}\n" for line in data["lines"])

    worker.print_to_stdstream = to_file

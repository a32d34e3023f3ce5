"""Start Ray on this machine, or connect to the user's cluster; Ray's own output goes to a file."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

from benchmark import nvml
from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError, first_line
from benchmark.orchestrator.open_files import allow_open_files
from benchmark.orchestrator.ray_logs import busy_machine
from benchmark.planning.node import Node, node_here, smallest_memory
from benchmark.temporary import OBJECT_STORE_BYTES, ray_folder

NAMESPACE = "aat-benchmark"
PROBE_SECONDS = 5
PROBE_TASK_SECONDS = 60
SLOW_SECONDS = 15

logger = logging.getLogger(__name__)

# For a Ray that we start; on a cluster these belong to `ray start`.
_OWN_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # when it kills a worker, the whole experiment ends (Ray 2.60)
    # on a busy machine its processes take minutes to start; the watchdog notices those that die
    "RAY_gcs_server_port_wait_time_s": "180",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_health_check_timeout_ms": "60000",
}
_TUNE = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints tables even at verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "300",  # Tune's own state, which nothing reads
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "30",  # a reused worker may need this long to end its last trial
}


class DeadWhileStartingError(BenchmarkError):
    """A daemon of our own Ray died before Ray was up."""


@contextmanager
def ray_session(address: str | None, cpus: int | None, gpus: int | None, log: Path) -> Iterator[list[Node]]:
    """Connect to a cluster, or start Ray here until the context ends. Yield its machines.

    A Ray that this process has started before, as a notebook does, is used as it is and left running.

    Args:
        address: address of a cluster; None uses this machine.
        cpus: cores that Ray may use here; None for all.
        gpus: GPUs that Ray may use here; None for all that trials may use.
        log: file for what Ray's processes print.

    Raises:
        BenchmarkError: the cluster cannot be reached, or Ray is running here with other resources.
    """
    if address is not None:
        _require_listener(address)
    os.environ.update({key: os.environ.get(key, value) for key, value in _TUNE.items()})
    if address is None:
        os.environ.update({key: os.environ.get(key, value) for key, value in _OWN_RAY.items()})
        _require_token()
    import ray

    from benchmark.orchestrator.ray_compat import (
        patient_start,
        recover_trials_of_lost_actors,
        treat_task_errors_as_dead_actors,
        write_daemon_output_to,
    )

    _silence_ray_loggers()
    write_daemon_output_to(log)
    treat_task_errors_as_dead_actors()
    recover_trials_of_lost_actors()
    if ray.is_initialized():
        yield _nodes_of_running_ray(address, cpus)
        return
    options = (
        _own_ray(cpus or usable_cores(), gpus) if address is None else {"address": address, "namespace": NAMESPACE}
    )
    try:
        with patient_start() if address is None else nullcontext():
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise BenchmarkError(f"Ray: {address or 'local start'}: {first_line(error)}") from error
    except Exception as error:  # a plain one, half a minute after a daemon died
        raise DeadWhileStartingError(f"Ray: {address or 'local start'}: {first_line(error)}") from error
    try:
        nodes = _find_nodes()
        logger.info("Ray at %s: %s", address or "this machine", nodes)
        yield nodes
    finally:
        ray.shutdown()


def _own_ray(cpus: int, gpus: int | None) -> dict[str, Any]:
    """Prepare this process for a Ray of its own; return the options that start it.

    Args:
        cpus: cores that Ray may use.
        gpus: GPUs that Ray may use; None for all that trials may use.

    Raises:
        BenchmarkError: too few open files are allowed, or there is no folder for Ray's sockets.
    """
    nvml.name_instances()
    allow_open_files(cpus)
    return {
        "address": "local",  # without it, Ray would join any cluster that runs on this machine
        "num_cpus": cpus,
        "num_gpus": len(nvml.gpus()) if gpus is None else gpus,  # Ray counts all cards
        "_memory": node_here().memory,  # Ray's own count would leave out what other programs use at this moment
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(ray_folder()),
    }


def _nodes_of_running_ray(address: str | None, cpus: int | None) -> list[Node]:
    """Return the machines of the Ray that this process is connected to.

    Raises:
        BenchmarkError: other resources or another cluster are wanted.
    """
    import ray

    nodes = _find_nodes()
    total = sum(node.cpus for node in nodes)
    advice = "call ray.shutdown() before, or leave it out"
    if address not in (None, "auto", ray.get_runtime_context().gcs_address):
        raise BenchmarkError(f"address {address}: this process is connected to a Ray already; {advice}")
    if cpus is not None and cpus != total:
        raise BenchmarkError(f"cpus {cpus}: Ray is running in this process with {total:g} cores; {advice}")
    logger.info("uses the Ray of this process: %s", nodes)
    return nodes


def _require_token() -> None:
    """Let only this user's processes use the Ray that is started here, which listens on all interfaces.

    Ray reads these variables when it is imported. Set later, they would keep this process itself out.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if "ray" in sys.modules:
        logger.warning(
            "ray was imported before this run, so its ports are open without a token; set RAY_AUTH_MODE=token"
        )
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def try_ray() -> tuple[Literal["ok", "warning", "fault"], str, str]:
    """Start Ray and let a worker answer; return the verdict, what was found, and what to do."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, ray_session(None, None, 0, Path(folder) / "ray.log"):
            import ray

            answer: Any = ray.remote(node_here)
            ray.get(answer.remote(), timeout=PROBE_TASK_SECONDS)
    except Exception as error:
        line = str(error) if isinstance(error, BenchmarkError) else first_line(error)
        return "fault", line, "check that 127.0.0.1 answers and that no old Ray is running"
    seconds, busy = time.monotonic() - began, busy_machine()
    text = f"starts and answers in {seconds:.0f} s{f'; {busy}' if busy else ''}"
    if busy or seconds > SLOW_SECONDS:
        return "warning", text, "runs work, but start slowly and their times mean little; end other programs"
    return "ok", text, ""


def _find_nodes() -> list[Node]:
    """Return the machines of the cluster. A task on each machine with GPUs returns their memory.

    Raises:
        BenchmarkError: no machine has CPUs for trials.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        resources = node["Resources"]
        if node["Alive"] and resources.get("CPU"):
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task: Any = ray.remote(nvml.gpus)
            task = task.options(num_cpus=0, scheduling_strategy=on_node)
            gpus = ray.get(task.remote()) if resources.get("GPU") else []
            nodes.append(
                Node(
                    cpus=resources["CPU"],
                    gpus=resources.get("GPU", 0),
                    gpu_bytes=smallest_memory(gpus),
                    memory=int(resources["memory"]) if "memory" in resources else None,
                    id=node["NodeID"],
                )
            )
    if not nodes:
        raise BenchmarkError("Ray: no machine of the cluster has CPUs yet; start one with `ray start --address HEAD`")
    return nodes


def _require_listener(address: str) -> None:
    """Refuse an address where nothing answers: Ray itself would try for ever."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise BenchmarkError(
            f"--address {address}: Ray Tune does not work through Ray's client; call `run --address auto` on a machine "
            "of the cluster, or from here `ray job submit --address http://HEAD:8265 -- python -m benchmark run "
            "--address auto ...`"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise BenchmarkError(f"--address {address}: expected auto or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BenchmarkError(
            f"--address {address}: nothing answers there ({error}); start Ray with `ray start`"
        ) from None


def _silence_ray_loggers() -> None:
    """Let Ray log errors only: progress and failed trials are shown by us."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

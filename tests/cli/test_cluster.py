"""A Ray cluster on the loopback, one of whose machines does not see the results folder and is lost."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmark.data.registry import get_dataset
from benchmark.orchestrator.remote_results import relay_name
from tests.chaos import differences, leftovers
from tests.cli.conftest import Calm

pytestmark = pytest.mark.ray

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
# a lost machine is noticed after two seconds instead of twenty
QUICK = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "2"}
ENVIRONMENT = {**os.environ, **TOKEN, **QUICK}


def can_hide() -> bool:
    """Return whether a process can get its own view of the file system."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def ray_start(*options: str, cpus: int = 1, hide: Path | None = None, log: Path) -> subprocess.Popen[bytes]:
    """Start `ray start --block`, with a folder hidden from it.

    Args:
        options: options of `ray start`.
        cpus: trials at once.
        hide: the folder to hide.
        log: where its output goes.
    """
    ray = [str(Path(sys.executable).parent / "ray"), "start", f"--num-cpus={cpus}", "--disable-usage-stats", "--block"]
    command = [*ray, *options]
    if hide:
        hide.mkdir(parents=True)
        command = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{hide}" && exec "$@"', "sh", *command]
    handle = log.open("wb")
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=handle, stderr=handle, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a node and every process that it started."""
    family = [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    process.wait(timeout=30)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Return the address of the head, which trains nothing, and the nodes: it and one that cannot see `tmp_path/out`.

    Nodes that are added to the list are ended, too.
    """
    if not can_hide():
        pytest.skip("no mount namespaces here: the second machine would see the results folder")
    address = f"127.0.0.1:{free_port()}"
    started = [
        ray_start(
            "--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", cpus=0,
            log=tmp_path / "head.txt",
        )
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        started.append(
            ray_start(
                f"--address={address}",
                "--node-ip-address=127.0.0.1",
                hide=tmp_path / "out",
                log=tmp_path / "second.txt",
            )
        )
        while time.monotonic() < deadline and "Ray runtime started" not in (tmp_path / "second.txt").read_text():
            time.sleep(0.2)
        yield address, started
    finally:
        for process in started[::-1]:
            end(process)


@pytest.mark.slow
def test_a_cluster_without_cpus_is_one_clear_line(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    head = ray_start(
        "--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", cpus=0, log=tmp_path / "log"
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and "Ray runtime started" not in (tmp_path / "log").read_text():
            time.sleep(0.2)
        command = [sys.executable, "-m", "benchmark", "run", "--grid", "smoke", "--results", str(tmp_path / "out")]
        done = subprocess.run(
            [*command, "--address", address], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
    finally:
        end(head)
    assert done.returncode == 2, done.stderr
    assert "error: Ray: no machine of the cluster has CPUs yet" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_results_are_copied_back_and_a_lost_machine_costs_no_trial(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], calm: Calm, tmp_path: Path
) -> None:
    """Another machine joins, and goes on with the trial of the lost one."""
    address, nodes = cluster
    grid, out, data = (tmp_path / name for name in ("short.yaml", "out", "data"))
    lines = calm.grid.read_text().splitlines()
    grid.write_text("\n".join(line for line in lines if not line.startswith("synthesize")))
    get_dataset("esc50").synthesize(data, classes=4, clips_per_class=1, seed=0)  # both machines have the data
    arguments = ["run", "--no-report", "--keep-weights", "--grid", grid, "--data-root", data, "--results", out]
    environment = {**ENVIRONMENT, "AAT_BENCHMARK_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "benchmark", *map(str, [*arguments, "--address", address])]
    with (tmp_path / "run.txt").open("wb") as log:
        run = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    away = Path(tempfile.gettempdir()) / relay_name(out)
    came_home = False
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and run.poll() is None and not came_home:
        time.sleep(0.2)
        there = {path.stem for path in (away / "logs" / "trials").glob("*.log")}
        came_home = any(path.stem.rpartition("-")[2] in there for path in (out / "trials").rglob("*.json"))
    nodes.append(ray_start(f"--address={address}", "--node-ip-address=127.0.0.1", log=tmp_path / "third.txt"))
    end(nodes[1])
    assert run.wait(timeout=300) == 0, (tmp_path / "run.txt").read_text()
    assert came_home
    assert differences(out, calm.results) == []
    assert leftovers(out) == []
    assert len(list((out / "logs" / "trials").glob("*.log"))) == 12
    assert len(list((out / "trials").rglob("*.safetensors"))) == 12

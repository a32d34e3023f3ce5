"""Limits of containers and cluster jobs, in fake trees of control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import cgroups
from benchmark.cgroups import core_limit, memory_limit
from benchmark.data.parallel import usable_cores

GIB = 2**30
V2 = "0::/\n"
V1 = "9:cpuset:/\n4:memory:/docker/a\n2:cpu,cpuacct:/docker/a\n1:name=systemd:/\n"


def tree(root: Path, groups: str | None, files: dict[str, object]) -> Path:
    """Write a fake root of the file system, with the groups of this process."""
    if groups is not None:
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {"cpu.max": "200000 100000"}, 2),
        (V2, {"cpu.max": "250000 100000"}, 2.5),
        (V2, {"cpu.max": "50000 100000"}, 0.5),
        (V2, {"cpu.max": "max 100000"}, None),
        ("0::/job/step\n", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
        ("0::/job/step\n", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "100000 50000"}, 2),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": 400000, "cpu,cpuacct/cpu.cfs_period_us": 100000}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": 150000, "cpu/cpu.cfs_period_us": 100000}, 1.5),
        (V1, {"cpu/docker/a/cpu.cfs_quota_us": 100000, "cpu/docker/a/cpu.cfs_period_us": 100000}, 1),
        (V1, {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, None),
        (V1, {"cpu/cpu.cfs_quota_us": 100000}, None),  # the other file is not there
        (V2, {"cpu.max": ""}, None),
        (V2, {"cpu.max": "100000 0"}, None),
        (V2, {}, None),
        ("nonsense\n", {"cpu.max": "100000 100000"}, None),
        (None, {"cpu.max": "100000 100000"}, None),
        ("1:cpu:/\n0::/\n", {"unified/cpu.max": "max 100000", "cpu/cpu.cfs_quota_us": 200000,
                             "cpu/cpu.cfs_period_us": 100000}, 2),  # both versions
    ],
)  # fmt: skip
def test_cores(groups: str | None, files: dict[str, object], expected: float | None, tmp_path: Path) -> None:
    assert core_limit(tree(tmp_path, groups, files)) == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/job/step\n", {"job/memory.max": 3 * GIB, "job/step/memory.max": "max"}, 3 * GIB),  # of a cluster's job
        (V2, {"memory.max": 2 * GIB}, 2 * GIB),  # of a container
        (V2, {"memory.max": "max", "memory.high": 2 * GIB}, 2 * GIB),  # above it, processes are slowed down to a halt
        (V1, {"memory/memory.limit_in_bytes": GIB}, GIB),
        (V1, {"memory/docker/a/memory.limit_in_bytes": GIB, "memory/memory.limit_in_bytes": 2 * GIB}, GIB),
        (V2, {"memory.max": "max"}, None),
        ("4:memory:/a\n0::/\n", {"unified/memory.max": 5 * GIB}, 5 * GIB),
        (None, {}, None),
    ],
)
def test_memory(groups: str | None, files: dict[str, object], expected: int | None, tmp_path: Path) -> None:
    assert memory_limit(tree(tmp_path, groups, files)) == expected


@pytest.mark.parametrize(("quota", "expected"), [(2.0, 2), (2.9, 2), (0.5, 1), (1000.0, 8), (None, 8)])
def test_usable_cores_are_those_of_the_container(
    quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cgroups, "core_limit", lambda: quota)
    assert usable_cores() == expected

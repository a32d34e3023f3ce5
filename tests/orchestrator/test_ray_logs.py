"""Why Ray died, from its logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.orchestrator.ray_logs import busy_machine, cause_of_death, session_logs

DEATH = (
    "[2026-01-01 05:01:42,585 I 1 2] (raylet) agent_manager.cc:81: Monitor agent process with name dashboard_agent\n"
    "[2026-01-01 05:01:59,387 C 1 1] (raylet) node_manager.cc:3576:  An unexpected system state has occurred. You have "
    "likely discovered a bug in Ray. Check failed: statussetor3576.has_value() Timed out waiting for file "
    "/tmp/ray/s/metrics_agent_port_75\n*** StackTrace Information ***\n"
)


def test_the_cause_is_the_fatal_line_without_its_preamble(tmp_path: Path) -> None:
    assert cause_of_death(tmp_path) == ""
    (tmp_path / "raylet.out").write_text(DEATH)
    assert cause_of_death(tmp_path) == "Timed out waiting for file /tmp/ray/s/metrics_agent_port_75"
    (tmp_path / "raylet.err").write_text(DEATH.replace("/tmp/ray/s", "/tmp" * 100))
    assert len(cause_of_death(tmp_path)) == 200


def test_the_newest_session_of_this_process_counts(tmp_path: Path) -> None:
    assert session_logs(tmp_path) is None
    for name in (f"session_1_{os.getpid()}", f"session_2_{os.getpid()}", "session_3_1"):
        (tmp_path / name / "logs").mkdir(parents=True)
    assert session_logs(tmp_path) == tmp_path / f"session_2_{os.getpid()}" / "logs"


def test_a_busy_machine_has_more_than_twice_its_cores_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.orchestrator.ray_logs.usable_cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (28.2, 0.0, 0.0))
    assert busy_machine() == "load 28 on 2 cores: the machine is busy"
    monkeypatch.setattr(os, "getloadavg", lambda: (3.9, 0.0, 0.0))
    assert busy_machine() == ""

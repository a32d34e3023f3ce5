"""`profile` and `plan --calibrate`, from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

import benchmark
from benchmark import nvml
from benchmark.data.parallel import usable_cores
from benchmark.errors import first_line
from benchmark.planning import machine, node
from benchmark.records.schema import StepProfile
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial import profile as room
from benchmark.trial.profile import How, profile_step, profile_steps, shapes
from tests.conftest import Cli
from tests.samples import make_cost, make_profile


def test_profiles_need_no_data_and_feed_the_plan(cli: Cli, tmp_path: Path) -> None:
    chosen = ["--grid", "smoke", "--method", "linear", "--results", tmp_path]
    done = cli("profile", *chosen, "--steps", "2", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)  # AST and SSAST take the same steps
    assert (found["status"], found["steps"], found["clips"]) == ("measured", 2, 8)
    assert found["host_rss_bytes"] > found["cost"]["peak_bytes"]
    [profile] = ResultStore(tmp_path).profiles()
    assert profile.model_dump(mode="json") == found
    for command in ("report", "claims"):  # profiles alone are results too
        shown = cli(command, "--results", tmp_path, *(["--output", tmp_path / "shown"] if command == "report" else []))
        assert shown.returncode == 0, shown.stderr
    assert "linear" in (tmp_path / "shown" / "steps.csv").read_text()
    plan = cli("plan", *chosen, "--method", "full", "--cpus-per-trial", "1", "--calibrate", "--json")
    assert plan.returncode == 0, plan.stderr
    trials = json.loads(plan.stdout)["trials"]
    assert {(trial["trial"].split()[3], trial["by"]) for trial in trials} == {
        ("full", "profile"),
        ("linear", "profile"),
    }
    assert "[1/1]" in plan.stderr  # only what was not known


@pytest.mark.slow
def test_activation_checkpointing_is_profiled_and_planned_apart(cli: Cli, tmp_path: Path) -> None:
    chosen = ["--grid", "smoke", "--method", "full", "--results", tmp_path]
    options, counted, planned = ([], ["--checkpointing"]), [], []
    for option in options:
        done = cli("profile", *chosen, "--steps", "0", *option)
        assert done.returncode == 0, done.stderr
        counted.append(float(re.findall(r"peak ([\d.]+) MB by count", done.stdout)[0]))
        plan = cli("plan", *chosen, *option, "--json")
        assert plan.returncode == 0, plan.stderr
        planned.append(json.loads(plan.stdout)["cost"])
    assert counted[1] < counted[0]
    assert planned[1]["memory_bytes"] < planned[0]["memory_bytes"]
    assert planned[1]["flops"] > planned[0]["flops"]
    profiles = list(ResultStore(tmp_path).profiles())
    assert len(profiles) == 2  # neither replaces the other
    assert len({profile.request.step_key for profile in profiles}) == 1
    shown = cli("report", "--results", tmp_path, "--output", tmp_path / "shown")
    assert shown.returncode == 0, shown.stderr
    assert "cpu, checkpointing" in (tmp_path / "shown" / "steps.csv").read_text()


def test_without_a_gpu_cuda_is_refused(cli: Cli, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = cli("profile", "--grid", "smoke", "--results", tmp_path, "--device", "cuda")
    assert done.returncode == 2
    assert "--device cuda: torch finds no GPU here" in done.stderr


def test_out_of_memory_and_faults_are_told(
    make_request: Callable[..., TrialRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(error: Exception) -> Callable[..., object]:
        def raise_it(*_: object) -> object:
            raise error

        return raise_it

    for error, status in ((MemoryError("no room"), "out_of_memory"), (RuntimeError("bad\nmore"), "failed")):
        monkeypatch.setattr(room, "_measure", broken(error))
        found = profile_step(make_request(), How("cpu", 1, steps=1, seconds=1))
        assert (found.status, found.error) == (status, first_line(error))
        assert found.step_seconds is None


def test_one_request_a_shape(make_request: Callable[..., TrialRequest]) -> None:
    one, other = make_request(), make_request(methods=["aat_m"])
    assert shapes([one, make_request(seeds=[1]), other]) == [one, other]


@pytest.mark.parametrize("gpus", [[], [("card", 80 * 2**30)]])
def test_plan_finds_what_profile_measured(
    gpus: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both by default, on a machine of several cores."""
    cores, asked = 2 * usable_cores(), list[How]()

    def measured(request: TrialRequest, how: How) -> StepProfile:
        asked.append(how)
        return make_profile(request, make_cost(), threads=how.threads, device=gpus[0][0] if gpus else "cpu")

    monkeypatch.setattr(nvml, "gpus", lambda: gpus)
    for module in (node, machine):
        monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr(room, "_profile_in_child", measured)
    quiet = Console(quiet=True)
    benchmark.profile("smoke", methods="linear", results=tmp_path, console=quiet)
    planned = benchmark.plan("smoke", methods="linear", results=tmp_path, console=quiet)
    assert [how.threads for how in asked] == [planned.machine.threads] == [cores if gpus else 1]
    assert {estimate.source for estimate in planned.estimates.values()} == {"profile"}
    other = benchmark.plan("smoke", methods="linear", results=tmp_path, cpus_per_trial=2, console=quiet)
    expected = "profile" if gpus else "operations"  # only on a CPU, a step depends on the threads
    assert {estimate.source for estimate in other.estimates.values()} == {expected}


def test_a_slow_step_is_timed_once(make_request: Callable[..., TrialRequest]) -> None:
    assert profile_step(make_request(), How("cpu", 1, steps=50, seconds=0)).steps == 1


KILLED = """
import os, signal
from collections.abc import Iterable
from dataclasses import dataclass
from benchmark.methods.contract import Method
from benchmark.methods.registry import register

@register("killed_step", label="Killed", source="a test")
@dataclass(frozen=True, kw_only=True)
class Killed(Method):
    \"\"\"Be killed where real tensors are made.\"\"\"

    def adapt(self, model: object) -> Iterable[str]:
        if next(model.parameters()).device.type != "meta":
            os.kill(os.getpid(), signal.SIGKILL)
        return []
"""


def test_a_child_that_is_killed_is_out_of_memory(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    path = tmp_path / "killed_step.py"
    path.write_text(KILLED)
    request = make_request(methods=[str(path)])
    [found] = profile_steps([request], How("cpu", 1, steps=1, seconds=10))
    assert (found.status, found.error, found.request) == ("out_of_memory", "its process was killed", request)

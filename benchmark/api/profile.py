"""Time and memory of a grid's training steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.device import choose_device
from benchmark.api.selection import Names, Numbers, Selection, Settings
from benchmark.api.sharing import DATASET, METHOD, profile_sharing, sharing_text
from benchmark.console import say, stderr_console
from benchmark.errors import ArgumentError
from benchmark.units import data_size, duration, quantity

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.method_names import MethodNames
    from benchmark.records.schema import SharingProfile, StepProfile
    from benchmark.records.store import ResultStore
    from benchmark.spec.grid import Grid
    from benchmark.spec.request import TrialRequest
    from benchmark.trial.profile import How

STEPS, STEP_SECONDS, SHARING_SECONDS = 10, 60.0, 5.0  # by default


@dataclass(frozen=True)
class ProfileResult:
    """Profiles of training steps. `print` shows a line per profile and the folder.

    Attributes:
        folder: where the files of the profiles are.
        profiles: one per step shape: operations per clip (a multiply-add counts as two), bytes kept for the backward
            pass, seconds per step, peak memory. Empty with `sharing`.
        sharing: with `sharing`, one per step shape: clips per second of all trials that train at the same time.
    """

    folder: Path
    profiles: list[StepProfile]
    sharing: list[SharingProfile] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([*map(_text, self.profiles), *map(sharing_text, self.sharing), f"profiles: {self.folder}"])


@checked
def profile(
    grid: str | Path | Grid,
    *,
    methods: MethodNames = (),
    datasets: Names = (),
    backbones: Names = (),
    settings: Settings = (),
    protocol: str | None = None,
    data_root: str | Path | None = None,
    results: str | Path | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    clips: int | None = None,
    threads: int | None = None,
    device: str | None = None,
    compile: bool = False,
    checkpointing: bool = False,
    sharing: Numbers = None,
    mps: bool = False,
    console: Console | None = None,
) -> ProfileResult:
    """Measure training steps at a grid's true shapes, with random weights and random input: no data, no weights.

    The files stay in RESULTS/profiles, where `plan` and `report` find them. Each timed step runs in a process of its
    own.

    With `sharing`, several processes take the same steps at the same time, and their clips per second are summed.
    Where a GPU was measured, `plan` and `run` let as many trials share it as train the most clips together. On a CPU
    the processes divide the cores; the numbers then say whether several trials with few threads gain over one with
    many, and change no plan.

    Args:
        grid: name of a declared grid, path of a YAML file, or a `Grid` object.
        methods: as for `run`.
        datasets: as for `run`.
        backbones: as for `run`.
        settings: as for `run`.
        protocol: as for `run`.
        data_root: as for `run`; only a user's own dataset is looked up there.
        results: results folder; default `results/runs/GRID`.
        steps: number of steps to time; 0 only counts operations and memory; None for 10.
        seconds: time fewer steps if they take longer than this in total, None for 60; with `sharing`, how long each
            number of trials trains, None for 5.
        clips: clips of a timed step; None for the recipe's batch size.
        threads: CPU threads; None for those that a trial gets here, for which `plan` estimates. With `sharing`, what
            the processes divide; None for the cores of one GPU, or of the machine if the steps run on its CPU.
        device: `cpu` or `cuda`; None for `cuda` if there is a GPU.
        compile: compile the steps, as for `run`.
        checkpointing: as for `run`.
        sharing: numbers of trials at the same time, such as [1, 2, 4, 8]; None measures single steps. Without
            `methods` it measures AAT-MS, without `datasets` the shapes of Speech Commands V2.
        mps: with `sharing` on a GPU, start NVIDIA's Multi-Process Service for the measurement if it is not running.
        console: where a line per profile is printed; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: a mistake in an argument, or a method that does not fit the model.

    Example:
        >>> benchmark.profile("paper", datasets="esc50", results="OUT", steps=0)
    """
    from benchmark.planning.machine import machine_here
    from benchmark.trial.profile import How

    chosen_device, console = choose_device(device), console or stderr_console()
    if sharing is None and mps:
        raise ArgumentError("mps", "it is for the measurement of trials that share a GPU; add --sharing 1,2,4,8")
    if sharing is not None:
        if steps is not None:
            raise ArgumentError("steps", "trials that share a device are measured by time; use --seconds", steps)
        methods, datasets = methods or METHOD, datasets or DATASET
    selected = Selection(
        grid=grid, methods=methods, datasets=datasets, backbones=backbones, settings=settings, protocol=protocol,
        data_root=data_root, results=results,
    ).resolve()  # fmt: skip
    expansion, folder = selected.expand(), selected.store.folder / "profiles"
    if sharing is not None:
        measured = profile_sharing(
            expansion, selected.store, console, at_once=sharing, mps=mps, device=chosen_device, cores=threads,
            seconds=SHARING_SECONDS if seconds is None else seconds, clips=clips, compiled=compile,
            checkpointing=checkpointing,
        )  # fmt: skip
        return ProfileResult(folder, [], measured)
    how = How(
        chosen_device,
        threads or machine_here().threads,
        STEPS if steps is None else steps,
        STEP_SECONDS if seconds is None else seconds,
        clips,
        compile,
        checkpointing,
    )
    return ProfileResult(folder, profile_shapes(expansion.requests, selected.store, console, how))


def profile_shapes(
    requests: Sequence[TrialRequest], store: ResultStore, console: Console, how: How
) -> list[StepProfile]:
    """Profile every step shape of the requests into a results folder.

    Args:
        requests: trials; those of one shape are profiled once.
        store: the results folder.
        console: where a line per profile is printed.
        how: how steps are profiled.
    """
    from benchmark.trial.profile import profile_steps, shapes

    to_profile, profiles = shapes(requests), []
    with store.lock():  # a folder that cannot be written is reported before the work
        pass
    for profile in profile_steps(to_profile, how):
        store.write_profile(profile)
        profiles.append(profile)
        say(console, f"[{len(profiles)}/{len(to_profile)}] {_text(profile)}")
    return profiles


def _text(profile: StepProfile) -> str:
    cost, request = profile.cost, profile.request
    text = (
        f"{request.dataset.name} {request.method.variant} ({request.backbone.size_text}): "
        f"{quantity(cost.train_flops, 'FLOPs')}/clip, {data_size(cost.saved_bytes)} for backward"
    )
    if profile.step_seconds:
        text += f", {duration(profile.step_seconds)}/step of {profile.clips} clips"
        text += f", {profile.clips / profile.step_seconds:.3g} clips/s"
    measured = profile.gpu_allocated_bytes
    text += f", peak {data_size(measured or cost.peak_bytes)}{'' if measured else ' by count'}"
    return f"{text}, {profile.status}: {profile.error}" if profile.error else text

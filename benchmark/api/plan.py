"""What a run would do, and what it would cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.profile import profile_shapes
from benchmark.api.selection import Names, Numbers, OnBadAudio, SelectedGrid, Selection, Settings
from benchmark.api.status import counts_line, plan_as_dict, trial_line
from benchmark.api.trial_matrix import (
    LEGEND,
    Failure,
    TrialCell,
    failure_lines,
    known_names,
    matrices,
    read_failures,
    trial_cells,
)
from benchmark.commands import command
from benchmark.console import Block, Styled, as_text, stderr_console
from benchmark.units import data_size, duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from benchmark.api.decisions import Decision
    from benchmark.api.method_names import MethodNames
    from benchmark.planning.estimate import Estimate
    from benchmark.planning.expand import Expansion
    from benchmark.planning.machine import Machine
    from benchmark.planning.memory import Need
    from benchmark.planning.packing import Share
    from benchmark.planning.plan import Entry, Plan
    from benchmark.planning.total import Total
    from benchmark.records.store import ResultStore
    from benchmark.spec.grid import Grid
    from benchmark.spec.request import TrialRequest

SYNTHETIC = ": synthetic audio, which `run` makes"  # of a dataset that is no fault of the user
CALIBRATION_CLIPS, CALIBRATION_STEPS, CALIBRATION_SECONDS = 8, 3, 20.0  # of each step shape; clips on a CPU only


@dataclass(frozen=True)
class PlanResult:
    """What a run would do. `print` shows what is missing, the trials by backbone, dataset and method, and the cost.

    Attributes:
        results: the results folder.
        plan: every trial with its state (done, stale, failed, missing).
        missing_inputs: one line per missing dataset or checkpoint.
        skipped: one line per trial that its method cannot run.
        too_large: one line per trial that needs more memory than this machine has.
        unfit: one line per method that cannot be built, with its number of trials.
        no_room: how much is free and needed if the disk of the results folder is too small; empty if it is not.
        notes: findings on the data, such as files that are not used; which trials have few optimizer steps; how inputs
            differ from those of pre-training; whether trials share a GPU without a measurement.
        estimates: time, memory and operations of the trials that a run would submit, by trial id.
        machine: what the estimates are for.
        total: the estimates summed up.
        decisions: with `power`, what would decide a difference of that many points on each dataset.
        failures: the errors of the failed trials.
        phases: of a grid that chooses settings, the states and the time of both phases, a line each. `total` has the
            trials whose settings are not chosen yet, too, at the cost of the default settings.
    """

    results: Path
    plan: Plan = field(repr=False)
    missing_inputs: list[str]
    skipped: list[str]
    too_large: list[str]
    notes: list[str]
    estimates: Mapping[str, Estimate] = field(repr=False)
    machine: Machine
    total: Total
    no_room: str = ""
    decisions: list[Decision] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[TrialCell]:
        """The trials by backbone, dataset and method."""
        left = {trial_id: estimate.seconds for trial_id, estimate in self.estimates.items()}
        return trial_cells(self.plan, left=left)

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        content = plan_as_dict(self.plan, self.results, missing_inputs=self.missing_inputs)
        content["trials"] = [{**trial, **_cost(self.estimates.get(trial["id"]))} for trial in content["trials"]]
        content["cells"] = [cell.as_dict() for cell in self.cells]
        content["failures"] = [failure.as_dict() for failure in self.failures]
        content["skipped"] = self.skipped
        content |= {"too_large": self.too_large, "no_room": self.no_room, "unfit": self.unfit, "notes": self.notes}
        content |= {"phases": self.phases}
        machine = {"device": self.machine.device, "threads": self.machine.threads}
        if self.decisions:
            content["decisions"] = [dataclasses.asdict(decision) for decision in self.decisions]
        return {**content, "cost": {**machine, **self.total.as_dict()}}

    def blocks(self, *, trials: bool = False) -> Iterator[Block]:
        """Yield what is missing, the matrix, what failed, and the counts with the cost at the end.

        Args:
            trials: yield a line per trial in place of the matrix.
        """
        made = [line.removesuffix(SYNTHETIC) for line in self.missing_inputs if line.endswith(SYNTHETIC)]
        if made:
            yield f"`run` will generate the audio of {', '.join(made)}"
        lacking = (line for line in self.missing_inputs if not line.endswith(SYNTHETIC))
        yield from (Styled(f"missing input: {line}", "yellow") for line in lacking)
        yield from (f"skipped: {line}" for line in self.skipped)
        yield from (f"note: {line}" for line in self.notes)
        if trials:
            yield from map(self._line, self.plan.entries)
        else:
            yield from matrices(self.cells, known_names(), show_left=True)
            if self.plan.entries:
                yield f"{LEGEND} of the others; --trials lists each."
        yield from failure_lines(self.failures)
        yield from (Styled(f"too large: {line}", "red") for line in self.too_large)
        yield from (Styled(f"cannot be built: {line}", "red") for line in self.unfit)
        yield from map(str, self.decisions)
        if self.no_room:
            yield Styled(f"no room: {self.no_room}", "red")
        yield from self.phases
        yield counts_line(self.plan, self.results)
        if self.estimates:
            number = "all to run" if self.phases else f"the {len(self.estimates)} to run"
            yield f"cost of {number} on {self.machine.device}: {self.total.text()}"

    def _line(self, entry: Entry) -> Block:
        estimate = self.estimates.get(entry.request.id)
        return trial_line(entry, remark=f"  {_text(estimate)}" if estimate else "")

    def __str__(self) -> str:
        return as_text(self.blocks())


@checked
def plan(
    grid: str | Path | Grid,
    *,
    methods: MethodNames = (),
    datasets: Names = (),
    backbones: Names = (),
    folds: Numbers = (),
    seeds: Numbers = (),
    settings: Settings = (),
    protocol: str | None = None,
    limit_clips: int | None = None,
    on_bad_audio: OnBadAudio | None = None,
    shots: Numbers = (),
    draws: int | None = None,
    candidates: int | None = None,
    shard: str | None = None,
    data_root: str | Path | None = None,
    checkpoints: str | Path | None = None,
    results: str | Path | None = None,
    cache: str | Path | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    compile: bool = False,
    checkpointing: bool = False,
    test_curves: bool = False,
    calibrate: bool = False,
    power: float | None = None,
    console: Console | None = None,
) -> PlanResult:
    """Return the trials of a grid with their states, the missing inputs, and what a run would cost. Trains nothing.

    The cost comes from counted operations; from measured steps where `profile` or `calibrate` made some; from
    finished records where there are some. `Estimate.source` says which.

    Args:
        grid: name of a declared grid, path of a YAML file, or a `Grid` object.
        methods: as for `run`.
        datasets: as for `run`.
        backbones: as for `run`.
        folds: as for `run`.
        seeds: as for `run`.
        settings: as for `run`.
        protocol: as for `run`.
        limit_clips: as for `run`.
        on_bad_audio: as for `run`.
        shots: as for `run`.
        draws: as for `run`.
        candidates: as for `run`.
        shard: as for `run`.
        data_root: as for `run`.
        checkpoints: as for `run`.
        results: as for `run`.
        cache: as for `run`.
        cpus_per_trial: as for `run`.
        gpus_per_trial: as for `run`.
        compile: as for `run`.
        checkpointing: as for `run`.
        test_curves: as for `run`.
        calibrate: first time a few steps of every shape that was not timed on this machine yet.
        power: a difference of scores in points: also say how many seeds would find it with a probability of 80 %.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: a mistake in an argument, or data that does not follow its layout.

    Example:
        >>> print(benchmark.plan("paper", datasets="esc50", data_root="DIR"))
    """
    from benchmark.api.tuned import plan_rounds
    from benchmark.planning.estimate import estimate_trials
    from benchmark.planning.machine import machine_here
    from benchmark.planning.node import node_here
    from benchmark.planning.notes import notes_on_inputs
    from benchmark.planning.packing import beyond_memory, pack
    from benchmark.planning.plan import make_plan
    from benchmark.planning.room import lacking_room
    from benchmark.planning.total import total
    from benchmark.planning.unfit import unfit_lines
    from benchmark.spec.grid import Grid
    from benchmark.spec.options import RunOptions

    console = console or stderr_console()
    selected = Selection(
        grid=grid, methods=methods, datasets=datasets, backbones=backbones, folds=folds, seeds=seeds,
        settings=settings, protocol=protocol, limit_clips=limit_clips, on_bad_audio=on_bad_audio, shots=shots,
        draws=draws, candidates=candidates, shard=shard,
        data_root=data_root, checkpoints=checkpoints, results=results, cache=cache,
    ).resolve()  # fmt: skip
    expansion, store = selected.expand(), selected.store
    rounds = plan_rounds(selected.grid, expansion, store)
    made = make_plan(rounds.requests, store)
    options = RunOptions(selected.data_root, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial)
    here = machine_here(options.cpus_per_trial, options.gpus_per_trial)
    to_run, machine = made.to_run(), dataclasses.replace(here, compiled=compile, checkpointing=checkpointing)
    if calibrate:
        _calibrate(to_run, store, machine, console)
    estimates: dict[str, Estimate] = {}
    for part, trials in rounds.split([*to_run, *rounds.copied]):
        estimates |= estimate_trials(trials, part, store, machine, console, test_curves=test_curves)
    to_come = rounds.to_come(estimates)
    estimates = {request.id: estimates[request.id] for request in to_run}
    node = node_here()
    needs = {trial_id: estimate.need for trial_id, estimate in {**estimates, **to_come}.items()}
    shares = pack([node], needs, options.cpus_per_trial, options.gpus_per_trial, exclusive=False)
    too_large = beyond_memory([node], shares, needs)
    name = grid.name if isinstance(grid, Grid) else grid
    flags = [option for option, is_on in (("--compile", compile), ("--checkpointing", checkpointing)) if is_on]
    measuring = command("profile", "--grid", name, "--results", store.folder, "--sharing", "1,2,4,8", *flags)
    sharing_notes = _sharing_notes(shares, needs, measuring) if options.gpus_per_trial is None else []
    return PlanResult(
        results=store.folder,
        plan=made,
        missing_inputs=_missing_inputs(selected, expansion),
        skipped=expansion.skipped,
        too_large=[f"{request.label} {too_large[request.id]}" for request in to_run if request.id in too_large],
        notes=[*notes_on_inputs(selected.grid, expansion, store), *sharing_notes],
        estimates=estimates,
        machine=machine,
        total=total({**estimates, **to_come}, shares, node),
        phases=rounds.lines(made, estimates, to_come, lambda part: total(part, shares, node)),
        unfit=unfit_lines(to_run, estimates),
        no_room=lacking_room(store.folder, {**estimates, **to_come}, options),
        decisions=[] if power is None else _decisions(power, expansion, store, estimates),
        failures=read_failures(store, made),
    )


def _sharing_notes(shares: Mapping[str, Share], needs: Mapping[str, Need], measuring: str) -> list[str]:
    """Return one line if trials are to share a GPU of which nobody measured whether that gains time.

    Args:
        shares: resources by trial id.
        needs: what each trial needs, by id.
        measuring: the command that measures it.
    """
    if not any(share.gpus % 1 and needs[trial_id].sharing is None for trial_id, share in shares.items()):
        return []
    return [f"GPU sharing was not measured: trials share the GPU as far as memory allows. Measure it: `{measuring}`"]


def _decisions(
    power: float, expansion: Expansion, store: ResultStore, estimates: Mapping[str, Estimate]
) -> list[Decision]:
    from benchmark.api.decisions import decisions  # reads the report's statistics, which takes a second to import

    return decisions(power, expansion, store, estimates)


def _missing_inputs(selected: SelectedGrid, expansion: Expansion) -> list[str]:
    if not selected.grid.synthesize:
        return expansion.missing_inputs
    return [f"{line.partition(':')[0]}{SYNTHETIC}" for line in expansion.missing_inputs]


def _calibrate(requests: Sequence[TrialRequest], store: ResultStore, machine: Machine, console: Console) -> None:
    """Time a few steps of every shape that the results folder has no timing of for this machine."""
    from benchmark.trial.profile import How

    known = {profile.request.step_key for profile in store.profiles() if machine.has_timed(profile)}
    how = How(
        device="cuda" if machine.has_gpu else "cpu",
        threads=machine.threads,
        steps=CALIBRATION_STEPS,
        seconds=CALIBRATION_SECONDS,
        clips=None if machine.has_gpu else CALIBRATION_CLIPS,
        compiled=machine.compiled,
        checkpointing=machine.checkpointing,
    )
    profile_shapes([request for request in requests if request.step_key not in known], store, console, how)


def _cost(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {}
    return {
        "seconds": estimate.seconds,
        "by": estimate.source,
        "steps": estimate.steps,
        "flops": estimate.flops,
        "memory_bytes": estimate.memory_bytes,
        "checkpoint_bytes": estimate.checkpoint_bytes,
        "record_bytes": estimate.record_bytes,
    }


def _text(estimate: Estimate) -> str:
    steps = "" if estimate.steps is None else f", {plural(estimate.steps, 'step')}"
    return f"{duration(estimate.seconds)} by {estimate.source}, {data_size(estimate.memory_bytes)}{steps}"

"""How long trials take and what they need: from records, from profiles, else from counted operations and a speed."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Manifest
from benchmark.planning.expand import Expansion
from benchmark.planning.flops import count_costs
from benchmark.planning.packing import Node, Share, gpus_here, node_here, share
from benchmark.records.schema import Cost, Record, StepProfile
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest

Source = Literal["records", "profile", "operations", "unknown"]
GEMM = 1024
GEMM_SECONDS = 0.2
EFFICIENCY = 0.6  # a training step against a bare matrix product, measured with ViT-B on CPU
SETUP_SECONDS = 5.0  # a trial besides its epochs, until records tell
BYTES = 4
MARGIN = 1.25  # an allocator reserves up to a quarter more than the tensors take
GPU_EXTRA = 2 * 2**30  # besides: CUDA, workspaces, evaluation with twice the batch; at most 1.6 GiB on an H100


@dataclass(frozen=True)
class Machine:
    """What trials run on; `threads` is those of one trial."""

    device: str
    threads: int


def machine_here(threads: int | None = None) -> Machine:
    """This machine as one trial sees it: its GPU where it has one, else so many CPU threads, 1 by default."""
    gpus = gpus_here()
    return Machine(gpus[0][0] if gpus else "cpu", threads or (share([node_here()], None, None, exclusive=False).cpus))


@dataclass(frozen=True)
class Estimate:
    """Of one trial. `seconds` is None where its steps cannot be counted; sizes are in bytes."""

    cost: Cost | None
    seconds: float | None
    source: Source
    flops: float
    memory_bytes: int
    checkpoint_bytes: int
    record_bytes: int


@dataclass(frozen=True)
class _Pace:
    """Seconds of a clip, and of a trial besides its epochs."""

    train: float
    evaluate: float
    setup: float


def estimate_trials(
    requests: Sequence[TrialRequest], expansion: Expansion, store: ResultStore, machine: Machine, console: Console
) -> dict[str, Estimate]:
    """Estimates by trial id, refined by the store's records and profiles."""
    estimator = Estimator(
        count_costs(requests, expansion.info, console), machine, list(store.records()), list(store.profiles())
    )
    return {
        each.id: estimator.of(each, expansion.info[each.dataset.name], expansion.manifests.get(each.dataset.name))
        for each in requests
    }


class Estimator:
    """Estimates for one machine.

    Args:
        costs: by step key.
        machine: where trials are to run.
        records: finished trials of any machine; those of this one count.
        profiles: measured steps, likewise.
    """

    def __init__(
        self,
        costs: Mapping[str, Cost],
        machine: Machine,
        records: Sequence[Record] = (),
        profiles: Sequence[StepProfile] = (),
    ) -> None:
        self.costs = costs
        self.machine = machine
        self._from_records = _paces(records, machine)
        self._from_profiles = {
            each.request.step_key: _Pace(each.step_seconds / each.clips, each.eval_seconds / each.clips, SETUP_SECONDS)
            for each in profiles
            if each.step_seconds
            and each.eval_seconds
            and (each.device, each.threads) == (machine.device, machine.threads)
        }
        self._memory = {
            each.request.step_key: each.gpu_reserved_bytes
            for each in profiles
            if each.gpu_reserved_bytes
            and each.device == machine.device
            and each.clips == each.request.recipe.batch_size
        }
        self._speed: float | None = None

    def of(self, request: TrialRequest, info: DatasetInfo, manifest: Manifest | None) -> Estimate:
        """The estimate of one trial; `manifest` is None where the data is not at hand."""
        recipe, cost = request.recipe, self.costs.get(request.step_key)
        sizes = split_sizes(request, info, manifest)
        trained = recipe.epochs * sizes.get("train", 0)
        per_epoch = sum(number for name, number in sizes.items() if name != "train")
        evaluated = recipe.epochs * per_epoch
        pace, source = self._pace(request.step_key, cost)
        open_choice = len(info.folds) > 1 and request.protocol.selection == "best_on_test"
        kept = recipe.epochs if open_choice else 2  # epochs whose predictions stay
        return Estimate(
            cost=cost,
            seconds=pace.setup + trained * pace.train + evaluated * pace.evaluate if pace and sizes else None,
            source=source,
            flops=trained * cost.train_flops + evaluated * cost.forward_flops if cost else 0.0,
            memory_bytes=needed_bytes(cost.peak_bytes if cost else 0, self._memory.get(request.step_key), self.machine),
            checkpoint_bytes=2 * (cost.stored_bytes + cost.optimizer_bytes) if cost else 0,  # two generations
            record_bytes=kept * per_epoch * len(info.classes) * BYTES,
        )

    def _pace(self, key: str, cost: Cost | None) -> tuple[_Pace | None, Source]:
        if pace := self._from_records.get(key):
            return pace, "records"
        if pace := self._from_profiles.get(key):
            return pace, "profile"
        if cost is None:
            return None, "unknown"
        speed = self.speed()
        return _Pace(cost.train_flops / speed, cost.forward_flops / speed, SETUP_SECONDS), "operations"

    def speed(self) -> float:
        """Operations a second in training: of the steps that were measured here, else from a matrix product."""
        if self._speed is None:
            known = {**self._from_profiles, **self._from_records}
            speeds = [self.costs[key].train_flops / pace.train for key, pace in known.items() if key in self.costs]
            self._speed = statistics.median(speeds) if speeds else EFFICIENCY * _gemm_speed(self.machine)
        return self._speed


def needed_bytes(counted: int, measured: int | None, machine: Machine) -> int:
    """What a trial has to have: of its step's memory as counted, or as reserved by a measured step if there is one."""
    return (measured or round(MARGIN * counted)) + (0 if machine.device == "cpu" else GPU_EXTRA)


def _paces(records: Iterable[Record], machine: Machine) -> dict[str, _Pace]:
    """By step key, medians over the records of this machine."""
    found: dict[str, list[_Pace]] = defaultdict(list)
    for record in records:
        profile, used, epochs = record.profile, record.data.used, len(record.curves)
        if (profile.device, record.environment.get("threads")) != (machine.device, machine.threads):
            continue
        held_out = sum(number for name, number in used.items() if name != "train")
        seconds = profile.seconds
        found[record.request.step_key].append(
            _Pace(
                (seconds["train"] + seconds["data"]) / (epochs * used["train"]),
                seconds["eval"] / (epochs * held_out),
                seconds.get("setup", SETUP_SECONDS),
            )
        )
    return {
        key: _Pace(**{name: statistics.median(getattr(pace, name) for pace in paces) for name in _Pace.__annotations__})
        for key, paces in found.items()
    }


def _gemm_speed(machine: Machine) -> float:
    """Operations a second of a matrix product on this machine, in the precision that training has on it."""
    import torch

    cuda = machine.device != "cpu"
    before = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        matrix = torch.ones(
            GEMM, GEMM, device="cuda" if cuda else "cpu", dtype=torch.float16 if cuda else torch.float32
        )
        matrix @ matrix
        began, times = time.perf_counter(), 0
        while time.perf_counter() - began < GEMM_SECONDS:
            matrix @ matrix
            if cuda:
                torch.cuda.synchronize()
            times += 1
        return times * 2 * GEMM**3 / (time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)


def split_sizes(request: TrialRequest, info: DatasetInfo, manifest: Manifest | None) -> dict[str, int]:
    """Clips of every split of a trial, of the data at hand, else the official numbers; empty where neither is known."""
    if manifest is None:
        sizes = info.split_sizes(request.fold)
    else:
        sizes = {name: len(indices) for name, indices in manifest.splits(request.fold).items()}
    if sizes and info.name == "openmic" and request.protocol.openmic_test == "train_list":
        sizes["test"] = sizes["train"]
    limit = request.recipe.limit_clips
    return {name: min(number, limit) if limit else number for name, number in sizes.items()}


@dataclass(frozen=True)
class Total:
    """Of all trials of a plan. `seconds` on the wall, `device_seconds` of the GPU or the CPU slots, None if unknown."""

    flops: float
    seconds: float | None
    device_seconds: float | None
    at_once: int
    memory_bytes: int
    checkpoint_bytes: int
    record_bytes: int
    gpu: bool

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """For JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """One line."""
        what = "GPU" if self.gpu else "slot"
        hours = "?" if self.device_seconds is None else f"{self.device_seconds / 3600:.3g}"
        return (
            f"{self.flops / 1e15:.3g} PFLOPs, {duration(self.seconds)} with up to {self.at_once} at once "
            f"({hours} {what}-hours), at most {gigabytes(self.memory_bytes)} a trial, disk "
            f"{gigabytes(self.record_bytes)} for records and up to {gigabytes(self.checkpoint_bytes)} for "
            "epoch checkpoints"
        )


def total(estimates: Mapping[str, Estimate], shares: Mapping[str, Share], node: Node) -> Total:
    """Sum up; trials that share a GPU are taken to slow each other down, so that sharing saves no time."""
    slots = {name: each.slots([node]) for name, each in shares.items()}
    at_once = max(slots.values(), default=0)
    seconds = {name: each.seconds for name, each in estimates.items()}
    known = {name: value for name, value in seconds.items() if value is not None}
    device = sum(known.values()) if len(known) == len(seconds) else None
    parallel = {name: node.gpus if shares[name].gpus else slots[name] for name in known}
    wall = max([sum(value / parallel[name] for name, value in known.items()), *known.values()], default=0.0)
    largest = sorted((each.checkpoint_bytes for each in estimates.values()), reverse=True)
    return Total(
        flops=sum(each.flops for each in estimates.values()),
        seconds=None if device is None else wall,
        device_seconds=device,
        at_once=at_once,
        memory_bytes=max((each.memory_bytes for each in estimates.values()), default=0),
        checkpoint_bytes=sum(largest[:at_once]),
        record_bytes=sum(each.record_bytes for each in estimates.values()),
        gpu=bool(node.gpus),
    )


def duration(seconds: float | None) -> str:
    """For people: `40 s`, `12 min`, `3.4 h`, `2.1 d`."""
    if seconds is None:
        return "?"
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"


def gigabytes(size: int) -> str:
    """For people."""
    return f"{size / 1e9:.2g} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"

"""Estimate time and memory of trials from records, else from profiled steps, else from counted operations."""

from __future__ import annotations

import dataclasses
import logging
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.few_shot import shots_of
from benchmark.data.manifest import Manifest
from benchmark.data.validation_split import held_out_sizes
from benchmark.planning.expand import Expansion
from benchmark.planning.flops import count_costs
from benchmark.planning.machine import Machine, matrix_product_speed
from benchmark.planning.memory import Need, need_of
from benchmark.planning.packing import trials_per_gpu
from benchmark.planning.sharing import SharingMeasurements
from benchmark.planning.windows import WindowCounts
from benchmark.records.schema import Cost, Record, SharingProfile, StepProfile
from benchmark.records.store import ResultStore
from benchmark.spec.recipe import Recipe
from benchmark.spec.request import TrialRequest
from benchmark.trial.evaluation_plan import KEPT_BYTES, expected_passes, kept_splits
from benchmark.trial.selection import selection_rule

Source = Literal["records", "profile", "operations", "unknown"]
EFFICIENCY = 0.7  # speed of a training step divided by that of a matrix product, measured with ViT-B on CPU
SETUP_SECONDS = 5.0  # time of a trial besides its epochs, until records are there
BYTES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """Estimate of one trial.

    Attributes:
        cost: counted cost of a step; None if the method does not fit the model.
        seconds: duration; None if the cost or the number of clips is unknown.
        source: what the duration comes from.
        flops: operations of the whole trial.
        memory_bytes: memory that the trial needs of its GPU; on a CPU, of its machine.
        checkpoint_bytes: disk space of the resume state.
        record_bytes: disk space of the record and its predictions.
        steps: optimizer steps of the whole trial; None if the number of clips is unknown.
        need: all memory that the trial needs, and what it gains by sharing a GPU, for packing.
        fault: why the trial's model cannot be built, in one line; None if it can.
    """

    cost: Cost | None
    seconds: float | None
    source: Source
    flops: float
    memory_bytes: int
    checkpoint_bytes: int
    record_bytes: int
    steps: int | None = None
    need: Need = field(default_factory=Need)
    fault: str | None = None


@dataclass(frozen=True)
class _Pace:
    """Speed of a step shape on a machine.

    Attributes:
        train: seconds per clip in training.
        evaluate: seconds per clip in evaluation.
        setup: seconds of a trial besides its epochs.
    """

    train: float
    evaluate: float
    setup: float


@dataclass(frozen=True)
class _Evaluation:
    """What a trial evaluates: clips, or their windows.

    Attributes:
        repeated: clips of the splits that are evaluated more than once, in their order.
        clips: clips of all passes.
        whole_clips: the same, of which clips count partly if the output of the model's frozen part is kept.
    """

    repeated: dict[str, int]
    clips: float
    whole_clips: float


def estimate_trials(
    requests: Sequence[TrialRequest],
    expansion: Expansion,
    store: ResultStore,
    machine: Machine,
    console: Console,
    *,
    test_curves: bool = False,
) -> dict[str, Estimate]:
    """Return estimates by trial id, using the store's records and profiles.

    Args:
        requests: trials.
        expansion: facts and clips of their datasets.
        store: a results folder with records and profiles of any machine.
        machine: what the trials will run on.
        console: where progress is shown.
        test_curves: whether the test split is evaluated after every epoch.
    """
    counted = count_costs(requests, console, checkpointing=machine.checkpointing)
    estimator = Estimator(
        counted.costs,
        machine,
        [*store.records(), *store.choice_records()],
        list(store.profiles()),
        list(store.sharing()),
        test_curves=test_curves,
    )
    estimates = {
        request.id: estimator.of(
            request, expansion.info[request.dataset.name], expansion.manifests.get(request.dataset.name)
        )
        for request in requests
    }
    return {
        request.id: dataclasses.replace(estimates[request.id], fault=counted.faults.get(request.step_key))
        for request in requests
    }


class Estimator:
    """Estimates for one machine.

    Args:
        costs: costs of a step by step key.
        machine: what the trials will run on.
        records: finished trials; only those of the same machine are used.
        profiles: measured steps; only those of the same machine are used.
        sharing: measured steps of several trials at once; only those of the same machine are used.
        test_curves: whether the test split is evaluated after every epoch.
    """

    def __init__(
        self,
        costs: Mapping[str, Cost],
        machine: Machine,
        records: Sequence[Record] = (),
        profiles: Sequence[StepProfile] = (),
        sharing: Sequence[SharingProfile] = (),
        *,
        test_curves: bool = False,
    ) -> None:
        self.costs = costs
        self.test_curves = test_curves
        self.machine = machine
        self._sharing = SharingMeasurements(sharing, machine)
        self._from_records = _paces(records, machine, self._sharing)
        self._from_profiles = {
            profile.request.step_key: _Pace(
                profile.step_seconds / profile.clips, profile.eval_seconds / profile.clips, SETUP_SECONDS
            )
            for profile in profiles
            if profile.step_seconds and profile.eval_seconds and machine.has_timed(profile)
        }
        self._memory = {
            profile.request.step_key: profile
            for profile in profiles
            if profile.status == "measured"
            and machine.is_like(profile.device, profile.environment)
            and profile.clips == profile.request.recipe.batch_size
        }
        self._speed: float | None = None
        self._windows = WindowCounts()

    def of(self, request: TrialRequest, info: DatasetInfo, manifest: Manifest | None) -> Estimate:
        """Return the estimate of one trial.

        Args:
            request: the trial.
            info: facts of its dataset.
            manifest: clips of its dataset; None when the data is not there.
        """
        recipe, cost = request.recipe, self.costs.get(request.step_key)
        sizes = split_sizes(request, info, manifest)
        inputs = self._windows.inputs(recipe, sizes, info, manifest)
        trained = recipe.epochs * inputs.get("train", 0)
        held_out = sum(number for name, number in sizes.items() if name != "train")
        evaluation = self._evaluation(request, info, inputs, cost)
        pace, source = self._pace(request.step_key, cost)
        # a record's pace is that of passes with and without kept outputs
        passed = evaluation.clips if source == "records" else evaluation.whole_clips
        recorded = self.machine.has_gpu and self.machine.compiled
        need = need_of(
            cost, recipe, self._memory.get(request.step_key), recorded=recorded, evaluated=evaluation.repeated
        )
        need = dataclasses.replace(need, sharing=self._sharing.of(request, cost))
        open_choice = len(info.folds) > 1 and selection_rule(request, info) == "best_on_test"
        kept = recipe.epochs if open_choice else 2  # epochs whose predictions are stored
        return Estimate(
            cost=cost,
            seconds=pace.setup + trained * pace.train + passed * pace.evaluate if pace and sizes else None,
            source=source,
            flops=trained * cost.train_flops + evaluation.whole_clips * cost.forward_flops if cost else 0.0,
            memory_bytes=need.gpu if self.machine.has_gpu else need.cpu,
            checkpoint_bytes=2 * (cost.stored_bytes + cost.optimizer_bytes) if cost else 0,  # two generations
            record_bytes=kept * held_out * len(info.classes) * BYTES,
            steps=training_steps(recipe, inputs),
            need=need,
        )

    def _evaluation(
        self, request: TrialRequest, info: DatasetInfo, sizes: Mapping[str, int], cost: Cost | None
    ) -> _Evaluation:
        """Return what a trial evaluates, in clips."""
        held_out = [name for name in sizes if name != "train"]
        rule, epochs = selection_rule(request, info), request.recipe.epochs
        passes = expected_passes(rule, epochs, held_out, test_curves=self.test_curves)
        repeated = {name: sizes[name] for name, number in passes.items() if number > 1}
        clips = sum(number * sizes[name] for name, number in passes.items())
        frozen = (cost.frozen_bytes or 0) if cost else 0
        kept = kept_splits(repeated, frozen, KEPT_BYTES["cuda" if self.machine.has_gpu else "cpu"])
        again = sum((passes[name] - 1) * sizes[name] for name in kept)
        share = (cost.frozen_flops or 0) / cost.forward_flops if cost else 0.0
        return _Evaluation(repeated, clips, clips - again * share)

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
        """Return operations per second in training: of steps measured on this machine, else from a matrix product."""
        if self._speed is None:
            known = {**self._from_profiles, **self._from_records}
            speeds = [self.costs[key].train_flops / pace.train for key, pace in known.items() if key in self.costs]
            self._speed = statistics.median(speeds) if speeds else EFFICIENCY * matrix_product_speed(self.machine)
            origin = f"{len(speeds)} measured step shapes" if speeds else "a matrix product"
            logger.info("speed of unmeasured steps: %.3g operations per second, from %s", self._speed, origin)
        return self._speed


def _paces(records: Iterable[Record], machine: Machine, sharing: SharingMeasurements) -> dict[str, _Pace]:
    """Return the median pace by step key over the records of this machine, as of trials that share no GPU."""
    by_key: dict[str, list[_Pace]] = defaultdict(list)
    for record in records:
        profile, used, epochs = record.profile, record.data.inputs, len(record.curves)
        evaluated = sum(used[split] for point in record.curves for split in point.splits)
        is_same = machine.is_like(profile.device, record.environment)
        # on a GPU, trials have few threads where they share it
        has_threads = machine.has_gpu or record.environment.get("threads") == machine.threads
        if profile.shares_features or not is_same or not has_threads:
            continue
        seconds, alone = profile.seconds, _alone(record, sharing)
        by_key[record.request.step_key].append(
            _Pace(
                alone * (seconds["train"] + seconds["data"]) / (epochs * used["train"]),
                alone * seconds["eval"] / evaluated,
                seconds.get("setup", SETUP_SECONDS),
            )
        )
    return {
        key: _Pace(**{name: statistics.median(getattr(pace, name) for pace in paces) for name in _Pace.__annotations__})
        for key, paces in by_key.items()
    }


def _alone(record: Record, sharing: SharingMeasurements) -> float:
    """Return the time that a trial would have taken alone on its GPU, divided by the time that it took."""
    hours = record.profile.gpu_hours
    part = 1.0 if hours is None else hours * 3600 / record.profile.seconds["total"]
    if not 0 < part < 1:
        return 1.0
    measured, number = sharing.of(record.request, record.cost), trials_per_gpu(part)
    return (measured.gain(number) if measured else 1.0) / number


def training_steps(recipe: Recipe, inputs: Mapping[str, int]) -> int | None:
    """Return the optimizer steps of a trial; None if its number of inputs is unknown.

    Args:
        recipe: epochs and batch size.
        inputs: what the model gets in one pass, by split.
    """
    return recipe.epochs * math.ceil(inputs["train"] / recipe.batch_size) if "train" in inputs else None


def split_sizes(request: TrialRequest, info: DatasetInfo, manifest: Manifest | None) -> dict[str, int]:
    """Return the number of clips in every split of a trial; empty if it is not known.

    Args:
        request: the trial.
        info: facts of its dataset, with the official numbers.
        manifest: clips of its dataset; None when the data is not there.
    """
    if manifest is None:
        sizes = info.split_sizes(request.fold)
        sizes = held_out_sizes(info, request.fold) if request.held_out else sizes
    else:
        sizes = {name: len(indices) for name, indices in manifest.splits(request.fold).items()}
    if sizes and info.name == "openmic" and request.protocol.openmic_test == "train_list":
        sizes["test"] = sizes["train"]
    limit = request.recipe.limit_clips
    sizes = {name: min(number, limit) if limit else number for name, number in sizes.items()}
    return few_shot_sizes(sizes, request.shots.per_class, request.fold, info, manifest) if request.shots else sizes


def few_shot_sizes(
    sizes: dict[str, int], per_class: int, fold: int, info: DatasetInfo, manifest: Manifest | None
) -> dict[str, int]:
    """Return the number of clips in every split of a few-shot trial; with several labels, that of some draw.

    Args:
        sizes: of a trial with all training clips; empty if unknown.
        per_class: training clips per class.
        fold: the test fold.
        info: facts of the dataset.
        manifest: clips of the dataset; None when the data is not there.
    """
    if not sizes:
        return {}
    train = per_class * len(info.classes)
    if manifest is not None:
        train = len(shots_of([manifest.clips[i] for i in manifest.splits(fold)["train"]], per_class, 0))
    return {"train": train, "test": sizes["test"]}

"""The tuned track: the same number of settings for every method, chosen on held-out clips, then run in full.

Candidates are fixed by the grid and the method. The first is the default setting, or the first given one where the
default is not among given values. The others have the learning rates of
a geometric series, the same for all methods, in which the default rate replaces the nearest one. A method with
hyper-parameters of its own has others for each rate, drawn so that every value is tried about equally often (Latin
hypercube sampling, McKay, Beckman and Conover 1979).
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import ValidationSplit, hold_out
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import resolve_methods
from benchmark.planning.expand import Expansion, Source, micro_batch_matters, recipe_of
from benchmark.planning.plan import MAX_ATTEMPTS
from benchmark.records import choice as records
from benchmark.records.choice import Choice, best_candidate
from benchmark.records.store import DamagedRecordError, ResultStore
from benchmark.search.space import MethodSpace, method_spaces
from benchmark.spec.grid import Grid, Tune
from benchmark.spec.request import TrialRequest, changed
from benchmark.trial.build import count_parameters
from benchmark.trial.seeding import stream

MAX_DRAWS = 50  # of hyper-parameters that a method refuses
DIGITS = 3  # of a learning rate, so that a command can state it exactly

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A setting to try.

    Attributes:
        method: the method as the command line takes it.
        trial: its trial on validation clips.
        finals: its trials with all folds and seeds.
    """

    method: str
    trial: TrialRequest
    finals: tuple[TrialRequest, ...]


@dataclass(frozen=True)
class Tuning:
    """The candidates of one method on one backbone and dataset, the default setting first.

    Attributes:
        candidates: at least two.
        split: the dataset without its test clips; None when the data is not there.
        has_folds: whether the dataset has folds.
    """

    candidates: tuple[Candidate, ...]
    split: ValidationSplit | None
    has_folds: bool

    @property
    def default(self) -> Candidate:
        """Return the candidate with the default setting."""
        return self.candidates[0]

    def choice(self, store: ResultStore) -> Choice:
        """Return the choice from the records of a results folder; open while trials are missing."""
        first = self.default.trial
        tried = tuple(_tried(candidate, store) for candidate in self.candidates)
        return Choice(
            protocol=first.protocol.name,
            backbone=first.backbone.variant,
            dataset=first.dataset.name,
            method=first.method.name,
            fold=first.fold,
            has_folds=self.has_folds,
            seed=first.seed,
            validation=self.split.rule if self.split else "",
            final_trials=len(self.default.finals),
            candidates=tried,
            chosen=best_candidate(tried),
        )


def _tried(candidate: Candidate, store: ResultStore) -> records.Candidate:
    trial, score = candidate.trial, None
    state: str = "missing"
    path = store.record_path(trial)
    try:
        record = store.read(path) if path.is_file() else None
    except DamagedRecordError:
        record = None
    failed = [] if record else store.attempts(trial.id)
    last = store.read_attempt(failed[-1]) if failed else None
    if len(failed) >= MAX_ATTEMPTS:
        state = "failed"
    if record is not None:
        state, score = record.status, record.score
    return records.Candidate.model_validate(
        {
            "method": candidate.method,
            "lr": trial.recipe.lr,
            "trial": trial.id,
            "cell": candidate.finals[0].cell,
            "state": state,
            "score": score,
            "attempts": len(failed),
            "error": last and last.error,
        }
    )


@dataclass(frozen=True)
class TunedGrid:
    """A grid whose settings are chosen first.

    Attributes:
        expansion: the trials with the default settings.
        tunings: the candidates of every method, backbone and dataset.
    """

    expansion: Expansion
    tunings: Sequence[Tuning]

    @property
    def choosing(self) -> Expansion:
        """Return the trials that choose, without test clips; `manifests` and `info` are those of `hold_out`."""
        splits = {tuning.default.trial.dataset.name: tuning.split for tuning in self.tunings}
        manifests = {name: split.manifest for name, split in splits.items() if split}
        return dataclasses.replace(
            self.expansion,
            requests=[candidate.trial for tuning in self.tunings for candidate in tuning.candidates],
            manifests=manifests,
            info={**self.expansion.info, **{name: manifest.info for name, manifest in manifests.items()}},
        )

    def final(self, choices: Sequence[Choice]) -> Expansion:
        """Return the trials with the default settings and with those that were chosen.

        Args:
            choices: of the tunings, in their order.
        """
        requests: dict[str, TrialRequest] = {}
        for tuning, choice in zip(self.tunings, choices, strict=True):
            for place in dict.fromkeys((0, choice.chosen or 0)):
                requests |= {request.id: request for request in tuning.candidates[place].finals}
        return dataclasses.replace(self.expansion, requests=list(requests.values()))

    def undecided(self, choices: Sequence[Choice]) -> list[Tuning]:
        """Return the tunings without a choice.

        Args:
            choices: of the tunings, in their order.
        """
        return [tuning for tuning, choice in zip(self.tunings, choices, strict=True) if choice.chosen is None]


def with_defaults(grid: Grid) -> Grid:
    """Return a grid with one setting per method, its default: given lists of values are what the choice is among."""
    return grid.model_copy(update={"methods": [space.default for space in method_spaces(grid.methods).values()]})


def tuned_grid(grid: Grid, expansion: Expansion) -> TunedGrid:
    """Return the candidates of a grid.

    Args:
        grid: a grid with `tune`, with the methods of the user.
        expansion: its trials with the default settings, see `with_defaults`.

    Raises:
        BenchmarkError: too few clips to hold some out, or a protocol that tests on the training clips.
    """
    assert grid.tune is not None
    spaces = method_spaces(grid.methods)
    groups: dict[str, list[TrialRequest]] = {}
    for request in expansion.requests:
        groups.setdefault(request.cell, []).append(request)
    splits: dict[str, ValidationSplit] = {}
    tunings = []
    for finals in groups.values():
        first = finals[0]
        name = first.dataset.name
        first = changed(first, fold=grid.choice_fold(expansion.folds(name)), seed=grid.choice_seed)
        if name == "openmic" and first.protocol.openmic_test == "train_list":
            raise BenchmarkError(
                f"{grid.origin}: protocol {first.protocol.name} tests on OpenMIC's training clips, which leaves none "
                "to choose settings on; use --set protocol.openmic_test=test_list"
            )
        if name in expansion.manifests and name not in splits:
            splits[name] = hold_out(expansion.manifests[name], first.fold)
        split = splits.get(name)
        tunings.append(_tuning(grid, grid.tune, expansion, spaces[first.method.name], first, finals, split))
    return TunedGrid(expansion, tunings)


def _tuning(
    grid: Grid,
    tune: Tune,
    expansion: Expansion,
    space: MethodSpace,
    first: TrialRequest,
    finals: Sequence[TrialRequest],
    split: ValidationSplit | None,
) -> Tuning:
    """Return the candidates of one method on one backbone and dataset.

    Args:
        grid: the grid.
        tune: how many, and which learning rates.
        expansion: datasets of the grid.
        space: hyper-parameters of the method.
        first: a trial with the default setting, and the fold and seed of the choice.
        finals: the trials with the default setting.
        split: the dataset without its test clips; None when the data is not there.
    """
    manifest = expansion.manifests.get(first.dataset.name)
    info = expansion.info[first.dataset.name]
    dataset = get_dataset(first.dataset.name)
    source = Source(dataset, info, manifest, dataset.own_recipe(manifest.folder) if manifest else None)
    rates = learning_rates(first.recipe.lr, tune)

    def make(text: str, rate: float) -> Candidate:
        [method] = resolve_methods(text, grid.origin)
        recipe = recipe_of(grid, source, first.backbone, method, [])
        assert recipe is not None  # that of the default setting could be resolved
        values = {"method": method.choice(), "recipe": recipe.model_copy(update={"lr": rate})}
        given = [changed(request, **values) for request in (first, *finals)]
        if space.hyperparameters:
            if reason := method.skip(given[0]):
                raise BenchmarkError(reason)
            matters = micro_batch_matters(given[0])
            given = [changed(request, micro_batch_matters=matters) for request in given]
            if first.dataset.classes is not None:
                count_parameters(given[0], first.dataset.classes)
        reduced = first.dataset.model_copy(update={"manifest": split.manifest.digest if split else None})
        return Candidate(text, changed(given[0], dataset=reduced, held_out=True), tuple(given[1:]))

    candidates = [make(space.default, rates[0])]
    drawn = draws(space, len(rates) - 1)
    candidates += [
        _first_valid(space, drawn(place), functools.partial(make, rate=rate)) for place, rate in enumerate(rates[1:])
    ]
    return Tuning(tuple(candidates), split, bool(info.folds))


def learning_rates(default: float, tune: Tune) -> list[float]:
    """Return the learning rates to try: the default, then a geometric series without the rate nearest to it.

    Args:
        default: learning rate of the recipe.
        tune: number of rates, the lowest and the highest.
    """
    low, high = tune.rates
    series = np.geomspace(low, high, tune.candidates).tolist()
    nearest = min(series, key=lambda rate: abs(math.log(rate / default)))
    return [default, *(float(f"{rate:.{DIGITS}g}") for rate in series if rate != nearest)]


def draws(space: MethodSpace, number: int) -> Callable[[int], Iterator[dict[str, int]]]:
    """Return a function of a place below `number` that yields hyper-parameters to try there, by label, as positions.

    The first ones of all places have every value of a hyper-parameter about equally often. Further ones are drawn
    independently, for places whose first one the method refuses.

    Args:
        space: the method and its hyper-parameters.
        number: of places.
    """
    columns: dict[str, list[int]] = {}
    for parameter in space.hyperparameters:
        order = np.random.default_rng(stream("tuned", space.name, parameter.label)).permutation(number)
        columns[parameter.label] = (((order + 0.5) / number) * len(parameter.values)).astype(int).tolist()

    def at(place: int) -> Iterator[dict[str, int]]:
        yield {label: values[place] for label, values in columns.items()}
        generator = np.random.default_rng(stream("tuned", space.name, "again", place))
        for _ in range(MAX_DRAWS if space.hyperparameters else 0):
            yield {one.label: int(generator.integers(len(one.values))) for one in space.hyperparameters}

    return at


def _first_valid(space: MethodSpace, drawn: Iterator[dict[str, int]], make: Callable[[str], Candidate]) -> Candidate:
    """Return the candidate of the first drawn hyper-parameters with which the method can be built.

    Raises:
        BenchmarkError: there is none.
    """
    fault: BenchmarkError | None = None
    for params in drawn:
        try:
            return make(space.text(params))
        except BenchmarkError as error:
            logger.debug("%s: drawn settings cannot be used: %s", space.name, error)
            fault = error
    raise BenchmarkError(f"{space.name}: none of {MAX_DRAWS} drawn settings can be used; the last one: {fault}")

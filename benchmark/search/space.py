"""The search space: methods, combinations, their hyper-parameters and the learning rate; and limits on their size."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import ValidationSplit, hold_out
from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Composed
from benchmark.methods.registry import lookup_method, methods, resolve_methods
from benchmark.numerics import NUMERICS_VERSION
from benchmark.planning.expand import Expansion, Source, micro_batch_matters, recipe_of
from benchmark.planning.flops import count_costs, fault_line
from benchmark.spec.grammar import canonical, parse_refs, split_list
from benchmark.spec.grid import Grid
from benchmark.spec.request import TrialRequest, changed
from benchmark.trial.build import count_parameters
from benchmark.units import data_size

if TYPE_CHECKING:
    import optuna

METHOD, RATE = "method", "rate"  # names of Optuna's parameters
RATE_FACTORS = (0.1, 10.0)  # lowest and highest factor on the recipe's learning rate


@dataclass(frozen=True)
class Hyperparameter:
    """A hyper-parameter to choose.

    Attributes:
        label: its name in Optuna, which chooses a position in `values`.
        part: position of its method in the combination.
        key: name of the method's field.
        values: the choices.
    """

    label: str
    part: int
    key: str
    values: tuple[Any, ...]

    def draw(self, trial: optuna.Trial) -> None:
        """Let Optuna choose; it takes numbers as ordered, other values as unrelated."""
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values):
            trial.suggest_int(self.label, 0, len(self.values) - 1)
        else:
            trial.suggest_categorical(self.label, list(range(len(self.values))))


@dataclass(frozen=True)
class MethodSpace:
    """A method or a combination with the hyper-parameters to choose.

    Attributes:
        name: name without options, such as `aat_m+prompt`.
        parts: every method of it as the command line takes it, without options.
        hyperparameters: what to choose.
        default: as the command line takes it: of each option the method's default or, if values are given without it,
            the first of these.
    """

    name: str
    parts: tuple[str, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    default: str

    def text(self, params: Mapping[str, Any]) -> str:
        """Return the chosen method as the command line takes it, such as `aat_m[bottleneck=0.5]+prompt`."""
        chosen: list[dict[str, Any]] = [{} for _ in self.parts]
        for parameter in self.hyperparameters:
            chosen[parameter.part][parameter.key] = parameter.values[int(params.get(parameter.label, 0))]
        [composed] = resolve_methods(self._write(chosen), "search")
        return self._write([part.changed() for part in composed.parts])  # defaults are left out

    def _write(self, options: Sequence[Mapping[str, Any]]) -> str:
        return "+".join(canonical(part, values) for part, values in zip(self.parts, options, strict=True))


def default_methods() -> list[str]:
    """Return all parameter-efficient methods of the suite, and all pairs of those with hyper-parameters to choose."""
    known = {name: cls for name, cls in methods().items() if cls.tuning == "peft" and not cls.external}
    pairs = itertools.combinations([name for name, cls in known.items() if cls.search_space()], 2)
    return [*known, *("+".join(pair) for pair in pairs)]


def method_spaces(texts: Sequence[str]) -> dict[str, MethodSpace]:
    """Return the search space of method references, by name.

    Options that are given have the given values as choices, other options those of the method.

    Raises:
        BenchmarkError: a reference that does not fit the grammar, or an unknown name or value.
    """
    found: dict[str, tuple[Composed, tuple[str, ...], list[dict[str, list[Any]]]]] = {}
    for text in split_list(texts):
        for written, composed in zip(parse_refs(text), resolve_methods(text, "--method"), strict=True):
            by_name = {lookup_method(ref.name).name: ref for ref in written}
            refs = [by_name[part.name] for part in composed.parts]  # a composition has its own order
            name = "+".join(part.name for part in composed.parts)
            _, _, given = found.setdefault(name, (composed, tuple(ref.name for ref in refs), [{} for _ in refs]))
            for values, ref, part in zip(given, refs, composed.parts, strict=True):
                for key, _ in ref.options:
                    known = values.setdefault(key, [])
                    if (value := getattr(part, key)) not in known:
                        known.append(value)
    spaces, labels = {}, dict[str, tuple[Any, ...]]()
    for name, (composed, parts, wanted) in found.items():
        parameters = []
        for index, (part, values) in enumerate(zip(composed.parts, wanted, strict=True)):
            for key, choices in {**part.search_space(), **{key: tuple(given) for key, given in values.items()}}.items():
                label = f"{part.name}.{key}"
                if labels.setdefault(label, choices) != choices:  # a label has the same choices throughout a study
                    label = f"{name}:{label}"
                parameters.append(Hyperparameter(label, index, key, choices))
        without_default = (
            {key: given[0] for key, given in values.items() if part.defaults()[key] not in given}
            for part, values in zip(composed.parts, wanted, strict=True)
        )
        default = "+".join(canonical(text, first) for text, first in zip(parts, without_default, strict=True))
        spaces[name] = MethodSpace(name, parts, tuple(parameters), default)
    return spaces


@dataclass(frozen=True)
class Space:
    """The search space on one dataset and backbone.

    Attributes:
        grid: one dataset and one backbone, with the changes of the recipe.
        source: the dataset as it was found.
        split: its clips without the test clips.
        bases: a request of every method with its default hyper-parameters, by name.
        methods: the methods and combinations, by name.
    """

    grid: Grid
    source: Source
    split: ValidationSplit
    bases: dict[str, TrialRequest]
    methods: dict[str, MethodSpace]

    @property
    def first(self) -> TrialRequest:
        """A request of the search: backbone, dataset, fold, seed and protocol are those of all requests."""
        base = next(iter(self.bases.values()))
        return changed(base, dataset=base.dataset.model_copy(update={"manifest": self.split.manifest.digest}))

    @property
    def epochs(self) -> int:
        """Epochs of the longest training."""
        return max(request.recipe.epochs for request in self.bases.values())

    @property
    def marks(self) -> list[str]:
        """Reasons why the scores are not comparable with the paper."""
        marks = ["validation data, search", *self.first.marks]
        kind = self.source.manifest.kind if self.source.manifest else "complete"
        return [*marks, *{"synthetic": ["synthetic audio"], "partial": ["partial data"]}.get(kind, [])]

    def draw(self, trial: optuna.Trial) -> None:
        """Let Optuna choose a method, its hyper-parameters and, as the last one, the learning rate."""
        method = self.methods[trial.suggest_categorical(METHOD, list(self.methods))]
        for parameter in method.hyperparameters:
            parameter.draw(trial)
        trial.suggest_float(RATE, *RATE_FACTORS, log=True)

    def request(self, params: Mapping[str, Any]) -> tuple[str, TrialRequest]:
        """Return what Optuna chose as the method's text and as a request without test clips.

        The learning rate has three digits, so that a command can state it exactly.

        Raises:
            BenchmarkError: the method refuses the values.
        """
        chosen = self.methods[str(params[METHOD])]
        text, base = chosen.text(params), self.bases[chosen.name]
        [method] = resolve_methods(text, "search")
        recipe = recipe_of(self.grid, self.source, base.backbone, method, [])
        if recipe is None:
            raise BenchmarkError(f"{self.source.info.name}: its recipe depends on data that is not there")
        rate = float(f"{recipe.lr * float(params[RATE]):.3g}")
        request = changed(self.first, method=method.choice(), recipe=recipe.model_copy(update={"lr": rate}))
        request = changed(request, micro_batch_matters=micro_batch_matters(request))
        if reason := method.skip(request):
            raise BenchmarkError(reason)
        return text, request

    def settings(self, limits: Limits, seed: int) -> dict[str, Any]:
        """Return everything that decides what the search tries and how it scores, as JSON values."""
        return {
            "request": self.first.model_dump(mode="json", exclude={"method", "recipe", "micro_batch_matters"}),
            "recipes": {name: base.recipe.model_dump(mode="json") for name, base in self.bases.items()},
            "methods": {
                name: {parameter.label: list(parameter.values) for parameter in method.hyperparameters}
                for name, method in self.methods.items()
            },
            "limits": dataclasses.asdict(limits),
            "numerics_version": NUMERICS_VERSION,
            "seed": seed,
        }


def make_space(grid: Grid, expansion: Expansion, known: Mapping[str, MethodSpace]) -> Space:
    """Return the space of one dataset and backbone, without the methods that do not fit the model.

    Args:
        grid: the grid of the search.
        expansion: its trials, whose methods have their default hyper-parameters.
        known: the methods and combinations, by name.

    Raises:
        BenchmarkError: several datasets or backbones, too few clips, or no method is left.
    """
    backbones = {request.backbone.variant for request in expansion.requests}
    for kind, number in (("dataset", len(expansion.info)), ("backbone", len(backbones))):
        if number > 1:
            raise BenchmarkError(f"--{kind}: a search takes one {kind}, {number} were given")
    reasons, bases = list(expansion.skipped), {}
    for request in expansion.requests:
        if request.fold != expansion.requests[0].fold:
            continue
        try:
            count_parameters(request, request.classes)
            bases[request.method.name] = request
        except BenchmarkError as error:
            reasons.append(str(error))
    if not bases:
        raise BenchmarkError(f"no method is left to search: {reasons[0]}")
    [(name, manifest)] = expansion.manifests.items()
    dataset = get_dataset(name)
    source = Source(dataset, manifest.info, manifest, dataset.own_recipe(manifest.folder))
    split = hold_out(manifest, expansion.requests[0].fold)
    return Space(grid, source, split, bases, {name: method for name, method in known.items() if name in bases})


@dataclass(frozen=True)
class Limits:
    """Limits on a configuration; None for no limit.

    Attributes:
        trainable: most trainable parameters, head included.
        peak_bytes: most memory of one training step, in bytes.
    """

    trainable: int | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Size:
    """Trainable parameters and memory of one training step, None if not computed; `error` if it must not be trained."""

    trainable: int | None = None
    peak_bytes: int | None = None
    error: str | None = None


def compute_size(request: TrialRequest, limits: Limits) -> Size:
    """Compute parameters and memory on meta tensors and compare them with the limits; nothing is trained."""
    try:
        trainable = count_parameters(request, request.classes).trainable
    except Exception as error:  # whatever a method does
        return Size(error=fault_line(request, error))
    if limits.trainable is not None and trainable > limits.trainable:
        return Size(trainable, error=f"{trainable:,} trainable parameters, more than {limits.trainable:,}")
    counted = count_costs([request], Console(quiet=True))
    cost = counted.costs.get(request.step_key)
    if cost is None:
        return Size(trainable, error=counted.faults.get(request.step_key, "its memory cannot be counted"))
    if limits.peak_bytes is not None and cost.peak_bytes > limits.peak_bytes:
        most = data_size(limits.peak_bytes)
        return Size(trainable, cost.peak_bytes, f"{data_size(cost.peak_bytes)} for a step, more than {most}")
    return Size(trainable, cost.peak_bytes)

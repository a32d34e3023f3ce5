"""What a search chooses from: methods, combinations, their hyper-parameters and the learning rate; and what fits."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import ValidationSplit, hold_out
from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Composed
from benchmark.methods.registry import methods, resolve_methods
from benchmark.numerics import NUMERICS_VERSION
from benchmark.planning.expand import Expansion, Source, recipe_of
from benchmark.planning.flops import count_costs
from benchmark.search.history import Draw
from benchmark.spec.grammar import canonical, parse_refs, split_list
from benchmark.spec.grid import Grid
from benchmark.spec.request import DatasetChoice, TrialRequest
from benchmark.trial.build import count_parameters

if TYPE_CHECKING:
    import optuna

RATES = (0.1, 10.0)  # factors on the recipe's learning rate
METHOD, RATE = "method", "rate"


@dataclass(frozen=True)
class Dimension:
    """The values of one hyper-parameter of a candidate's part; `label` is its name in a draw, which holds positions."""

    label: str
    part: int
    key: str
    values: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """Numbers, of which neighbours are alike."""
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values)


@dataclass(frozen=True)
class Candidate:
    """A method or a combination; `places` is each part as it is written on the command line."""

    name: str
    places: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def text(self, draw: Mapping[str, Any]) -> str:
        """The method as a command takes it: `aat_m[bottleneck=0.5]+prompt`."""
        given: list[dict[str, Any]] = [{} for _ in self.places]
        for each in self.dimensions:
            given[each.part][each.key] = each.values[int(draw.get(each.label, 0))]
        written = "+".join(canonical(place, options) for place, options in zip(self.places, given, strict=True))
        [composed] = resolve_methods(written, "search")
        changed = [part.changed() for part in composed.parts]
        return "+".join(canonical(place, options) for place, options in zip(self.places, changed, strict=True))


def default_methods() -> list[str]:
    """Every parameter-efficient method of the suite, and every two of them that have something to choose."""
    known = {name: each for name, each in methods().items() if each.tuning == "peft" and not each.external}
    pairs = itertools.combinations([name for name, each in known.items() if each.search_space()], 2)
    return [*known, *("+".join(pair) for pair in pairs)]


def candidates(texts: Sequence[str]) -> list[Candidate]:
    """What method references stand for: options that are given have the given values, the others the method's.

    Raises:
        BenchmarkError: a reference that does not fit the grammar, or an unknown name or value.
    """
    groups: dict[str, tuple[Composed, tuple[str, ...], list[dict[str, list[Any]]]]] = {}
    for text in split_list(texts):
        for refs, composed in zip(parse_refs(text), resolve_methods(text, "--method"), strict=True):
            name = "+".join(part.name for part in composed.parts)
            places = tuple(ref.name for ref in refs)
            _, _, given = groups.setdefault(name, (composed, places, [{} for _ in refs]))
            for values, ref, part in zip(given, refs, composed.parts, strict=True):
                for key, _ in ref.options:
                    known = values.setdefault(key, [])
                    if (value := getattr(part, key)) not in known:
                        known.append(value)
    found, labels = [], dict[str, tuple[Any, ...]]()
    for name, (composed, places, given) in groups.items():
        dimensions = []
        for index, (part, values) in enumerate(zip(composed.parts, given, strict=True)):
            for key, choices in {**part.search_space(), **{key: tuple(each) for key, each in values.items()}}.items():
                label = f"{part.name}.{key}"
                if labels.setdefault(label, choices) != choices:  # Optuna wants the same choices under one name
                    label = f"{name}:{label}"
                dimensions.append(Dimension(label, index, key, choices))
        found.append(Candidate(name, places, tuple(dimensions)))
    return found


@dataclass(frozen=True)
class Space:
    """The space of a search on one dataset and backbone.

    Args:
        grid: of one dataset and backbone, with the recipe's changes.
        source: the dataset as it was found.
        held: its clips for the search.
        bases: a request of each candidate with its default settings, by name.
        candidates: by name.
    """

    grid: Grid
    source: Source
    held: ValidationSplit
    bases: dict[str, TrialRequest]
    candidates: dict[str, Candidate]

    @property
    def first(self) -> TrialRequest:
        """A request of the search, for what all of them share: backbone, dataset, fold, seed, protocol."""
        base = next(iter(self.bases.values()))
        choice = DatasetChoice(name=base.dataset.name, manifest=self.held.manifest.digest)
        return _changed(base, dataset=choice)

    @property
    def marks(self) -> list[str]:
        """Why no score of the search speaks for the paper."""
        marks = ["validation data, search", *self.first.marks]
        kind = self.source.manifest.kind if self.source.manifest else "complete"
        return [*marks, *{"synthetic": ["synthetic audio"], "partial": ["partial data"]}.get(kind, [])]

    def ask(self, trial: optuna.trial.Trial) -> None:
        """Draw a configuration; hyper-parameters are those of the method that was drawn."""
        candidate = self.candidates[trial.suggest_categorical(METHOD, list(self.candidates))]
        for each in candidate.dimensions:
            positions = range(len(each.values))
            if each.ordered:
                trial.suggest_int(each.label, positions[0], positions[-1])
            else:
                trial.suggest_categorical(each.label, list(positions))
        trial.suggest_float(RATE, *RATES, log=True)

    def request(self, draw: Draw) -> tuple[str, TrialRequest]:
        """A draw as a method's text and a request without test clips; the rate is rounded so that a command can say it.

        Raises:
            BenchmarkError: the method refuses the values.
        """
        candidate = self.candidates[str(draw[METHOD])]
        text, base = candidate.text(draw), self.bases[candidate.name]
        [method] = resolve_methods(text, "search")
        recipe = recipe_of(self.grid, self.source, base.backbone, method, [])
        if recipe is None:
            raise BenchmarkError(f"{self.source.info.name}: its recipe depends on data that is not there")
        rate = float(f"{recipe.lr * float(draw[RATE]):.3g}")
        request = _changed(self.first, method=method.choice(), recipe=recipe.model_copy(update={"lr": rate}))
        if reason := method.skip(request):
            raise BenchmarkError(reason)
        return text, request


def _changed(request: TrialRequest, **values: Any) -> TrialRequest:
    """A copy with other values; pydantic's own would keep the old id."""
    return TrialRequest(**{name: getattr(request, name) for name in TrialRequest.model_fields} | values)


def make_space(grid: Grid, expansion: Expansion, known: Mapping[str, Candidate]) -> Space:
    """The space of one dataset and backbone; candidates that cannot adapt the model, or that refuse it, are left out.

    Args:
        grid: as the command line chose it.
        expansion: of the grid, whose methods are the candidates with their default settings.
        known: candidates by name.

    Raises:
        BenchmarkError: several datasets or backbones, too few clips, or no candidate is left.
    """
    backbones = {each.backbone.variant for each in expansion.requests}
    for name, number in (("dataset", len(expansion.info)), ("backbone", len(backbones))):
        if number > 1:
            raise BenchmarkError(f"--{name}: a search takes one {name}, {number} were given")
    requests = [each for each in expansion.requests if each.fold == expansion.requests[0].fold]
    reasons, bases = list(expansion.skipped), {}
    for request in requests:
        try:
            count_parameters(request, len(expansion.info[request.dataset.name].classes))
            bases[request.method.name] = request
        except BenchmarkError as error:
            reasons.append(str(error))
    if not bases:
        raise BenchmarkError(f"no method is left to search: {reasons[0]}")
    [(name, manifest)] = expansion.manifests.items()
    dataset = get_dataset(name)
    source = Source(dataset, manifest.info, manifest, dataset.own_recipe(manifest.folder))
    held = hold_out(manifest, requests[0].fold)
    return Space(grid, source, held, bases, {name: each for name, each in known.items() if name in bases})


def settings_of(space: Space, limits: Limits) -> dict[str, Any]:
    """What decides which configurations a search draws and what they score, by name, as JSON."""
    bases = space.bases
    return {
        "request": space.first.model_dump(mode="json", exclude={"method", "recipe"}),
        "recipes": {name: base.recipe.model_dump(mode="json") for name, base in bases.items()},
        "methods": {
            name: {each.label: list(each.values) for each in candidate.dimensions}
            for name, candidate in space.candidates.items()
        },
        "limits": dataclasses.asdict(limits),
        "numerics_version": NUMERICS_VERSION,
    }


@dataclass(frozen=True)
class Limits:
    """The most parameters that may train, the head's included, and bytes that a training step may take; None: any."""

    trainable: int | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a configuration is worth a training: its counts as far as they were needed, and why it is not."""

    trainable: int | None = None
    peak_bytes: int | None = None
    reason: str | None = None


def judge(request: TrialRequest, info: DatasetInfo, limits: Limits) -> Verdict:
    """Count a configuration on tensors without content and hold it against the limits; nothing is trained."""
    try:
        trainable = count_parameters(request, len(info.classes)).trainable
    except BenchmarkError as error:
        return Verdict(reason=str(error))
    if limits.trainable is not None and trainable > limits.trainable:
        return Verdict(trainable, reason=f"{trainable:,} trainable parameters, more than {limits.trainable:,}")
    cost = count_costs([request], {info.name: info}, Console(quiet=True)).get(request.step_key)
    if cost is None:
        return Verdict(trainable, reason="does not fit the model")
    if limits.peak_bytes is not None and cost.peak_bytes > limits.peak_bytes:
        most = f"{limits.peak_bytes / 1e9:.3g} GB"
        return Verdict(trainable, cost.peak_bytes, f"{cost.peak_bytes / 1e9:.3g} GB for a step, more than {most}")
    return Verdict(trainable, cost.peak_bytes)

"""The contract of a fine-tuning method, and composition."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import BenchmarkError
from benchmark.places import External
from benchmark.spec.grammar import canonical
from benchmark.spec.recipe import Tuning
from benchmark.spec.request import MethodChoice, MethodPart, TrialRequest

if TYPE_CHECKING:
    from torch.nn import Parameter

    from benchmark.models.transformer import AudioTransformer


FACTORS = (0.25, 0.5, 1, 2, 4)
SHARES = (0.03125, 0.0625, 0.125, 0.25, 0.5)  # bottlenecks to search, as shares of the width


@dataclass(frozen=True)
class ParamGroup:
    """Parameters with another learning rate or weight decay than the recipe's.

    Attributes:
        names: as in `model.named_parameters()`.
        lr_scale: factor on the recipe's learning rate at every step.
        weight_decay: None for the recipe's.
    """

    names: tuple[str, ...]
    lr_scale: float = 1.0
    weight_decay: float | None = None


class Method(ABC):
    """Base class of methods. A method is a frozen dataclass whose fields are its hyper-parameters.

    Write one file with one class (imports as in any file of `baselines/`)::

        @register("bitfit", label="BitFit", source="arXiv:2106.10199")
        @dataclass(frozen=True, kw_only=True)
        class BitFit(Method):
            \"\"\"Train the biases only.\"\"\"

            norms: bool = True

            def adapt(self, model: AudioTransformer) -> Iterable[str]:
                names = (name for name, _ in model.named_parameters() if name.endswith("bias"))
                return (name for name in names if self.norms or "norm" not in name)

    Fields need a type and a default; bounds come from `Annotated[int, Field(ge=1)]` (pydantic). They are part of the
    trial's id. `show method NAME` shows them, `--method "bitfit[norms=false]"` sets them.

    The harness freezes every parameter that `adapt` does not name and trains the classification head. It owns
    optimizer, training loop, evaluation and profiling, so that methods differ in nothing else.

    Attributes:
        name: on the command line and in records; set by `register`, like label and source.
        label: in tables and figures.
        source: paper or code that describes the method.
        tuning: which of a recipe's learning rates applies, `full` or `peft`.
        identity_at_start: whether the adapted model gives the backbone's logits before training; `check` tests it.
        replaces_modules: whether `adapt` replaces modules of the model; such methods come first in a composition, so
            that others find and extend what is there in the end.
        mixes_clips: whether a clip's output depends on the other clips of its batch by other means than BatchNorm, so
            that a batch must not be split under the same trial id; `check` tests it.
        exclusive: hyper-parameters of which a user may give at most one.
        external: where a method from outside the suite comes from; None for the suite's.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str]
    tuning: ClassVar[Tuning] = "peft"
    identity_at_start: ClassVar[bool] = False
    replaces_modules: ClassVar[bool] = False
    mixes_clips: ClassVar[bool] = False
    exclusive: ClassVar[tuple[str, ...]] = ()
    external: ClassVar[External | None] = None

    @abstractmethod
    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert modules (`model.insert`, `model.attach`, `model.add_prompts`) and return what to train.

        Called once per model, after the pre-trained weights are loaded. torch's global generator is seeded from the
        trial's seed.

        Returns:
            Names of the parameters to train, as in `model.named_parameters()`. The harness adds the head's.

        Raises:
            ValueError: the model cannot be adapted; the message is shown.
        """

    def skip(self, request: TrialRequest) -> str | None:
        """Return one line why a trial cannot run with this method, or None if it can."""
        return None

    def param_groups(self, names: list[str]) -> Iterable[ParamGroup]:
        """Return groups of trained parameters with another learning rate or weight decay than the recipe's.

        Args:
            names: what `adapt` returned.
        """
        return []

    def recipe_overrides(self, dataset: str) -> Mapping[str, Any]:
        """Return recipe values that this method needs on a dataset; grid and command line override them.

        They are part of the trial's id. Tables name them, because the method is compared under another recipe.
        """
        return {}

    @classmethod
    def search_space(cls) -> Mapping[str, tuple[Any, ...]]:
        """Return the values that `search` tries, by hyper-parameter; one that is absent keeps its default.

        By default: true and false for a switch, every word of a `Literal`, and for a number its default times 1/4, 1/2,
        1, 2 and 4, within its bounds.
        """
        types = get_type_hints(cls)
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        candidates = {name: _around(default, types[name]) for name, default in defaults.items()}
        adapter = TypeAdapter(cls)

        def valid(name: str, value: Any) -> bool:
            try:
                adapter.validate_python({name: value})
            except ValidationError:
                return False
            return True

        return {
            name: tuple(value for value in values if valid(name, value))
            for name, values in candidates.items()
            if values
        }

    def options(self) -> dict[str, Any]:
        """Return every hyper-parameter with its value."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def changed(self) -> dict[str, Any]:
        """Return the hyper-parameters that differ from their defaults."""
        defaults = self.defaults()
        return {key: value for key, value in self.options().items() if value != defaults[key]}

    def defaults(self) -> dict[str, Any]:
        """Return the defaults of all hyper-parameters."""
        return {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def choice(self) -> MethodChoice:
        """Return this method as part of a trial request."""
        return MethodChoice(
            parts=(
                MethodPart(name=self.name, options=self.options(), source=self.external and self.external.identity),
            ),
            variant=canonical(self.name, self.changed()),
            tuning=self.tuning,
        )


def _around(default: Any, kind: Any) -> tuple[Any, ...]:
    """Return values around a default; none for types without obvious neighbours, such as text."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(default, bool):
        return (False, True)
    if isinstance(default, float):
        return tuple(factor * default for factor in FACTORS) if default else ()
    if isinstance(default, int):
        return tuple(dict.fromkeys(round(factor * default) for factor in FACTORS)) if default else ()
    return ()


def _checked_names(returned: object) -> list[str]:
    """Return what `adapt` returned as a list.

    Raises:
        ValueError: it is not an iterable of names.
    """
    advice = "return the names of the parameters to train"
    if returned is None:
        raise ValueError(f"adapt() returned None; {advice}")
    if isinstance(returned, str) or not isinstance(returned, Iterable):
        raise ValueError(f"adapt() returned {type(returned).__name__} {returned!r}; {advice}, as a list")
    names = list(returned)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"adapt() returned a {type(wrong[0]).__name__} among the names; {advice}")
    return names


class Composed:
    """Methods that are applied in order to one model; the parameters of all of them train.

    Args:
        parts: the methods, at least one, in the order in which they adapt the model.
    """

    def __init__(self, parts: tuple[Method, ...]) -> None:
        self.parts = parts
        self._names: list[dict[str, str]] = []  # of each part: the name in the end by the name that `adapt` returned

    def adapt(self, model: AudioTransformer) -> list[str]:
        """Apply every part; see `Method.adapt`.

        Returns:
            The names in the adapted model; names that the model never had stay as they are.

        Raises:
            ValueError: a part removes a parameter that an earlier part trains, or returns no names.
        """
        # A part that replaces modules renames parameters of earlier parts: follow the parameters, not their names.
        found: list[dict[str, Parameter | None]] = []
        for part in self.parts:
            names = _checked_names(part.adapt(model))
            parameters = dict(model.named_parameters())
            found.append({name: parameters.get(name) for name in names})
        final = {id(parameter): name for name, parameter in model.named_parameters()}
        known = set(final.values())
        self._names = []
        for part, trained in zip(self.parts, found, strict=True):
            now = {name: final.get(id(parameter), name) for name, parameter in trained.items()}
            existed = [name for name, parameter in trained.items() if parameter is not None]
            if lost := [name for name in existed if now[name] not in known]:
                raise ValueError(f"a later method removes '{lost[0]}', which {part.name} trains")
            self._names.append(now)
        return list(dict.fromkeys(name for now in self._names for name in now.values()))

    def param_groups(self) -> list[ParamGroup]:
        """Return the groups of all parts; call it after `adapt`. See `Method.param_groups`.

        Raises:
            ValueError: a parameter is in two groups, or the method does not train it.
        """
        groups, seen = [], set[str]()
        for part, now in zip(self.parts, self._names, strict=True):
            for group in part.param_groups(list(now)):
                for name in group.names:
                    if name not in now:
                        raise ValueError(f"param_groups() names '{name}', which adapt() does not")
                    if now[name] in seen:
                        raise ValueError(f"param_groups() names '{name}' twice")
                    seen.add(now[name])
                groups.append(dataclasses.replace(group, names=tuple(now[name] for name in group.names)))
        return groups

    def skip(self, request: TrialRequest) -> str | None:
        """Return the reason of the first part that has one; see `Method.skip`."""
        return next((reason for part in self.parts if (reason := part.skip(request))), None)

    def recipe_overrides(self, dataset: str) -> dict[str, Any]:
        """Return the values of all parts; see `Method.recipe_overrides`.

        Raises:
            BenchmarkError: two parts need different values of a key.
        """
        values: dict[str, Any] = {}
        needed_by: dict[str, str] = {}
        for part in self.parts:
            for key, value in part.recipe_overrides(dataset).items():
                if values.setdefault(key, value) != value:
                    raise BenchmarkError(
                        f"methods {needed_by[key]} and {part.name} cannot be composed on {dataset}: they need "
                        f"recipe.{key}={values[key]} and {value}"
                    )
                needed_by.setdefault(key, part.name)
        return values

    def choice(self) -> MethodChoice:
        """Return the composition as part of a trial request; its tuning is `full` if that of any part is."""
        choices = [part.choice() for part in self.parts]
        return MethodChoice(
            parts=tuple(part for choice in choices for part in choice.parts),
            variant="+".join(choice.variant for choice in choices),
            tuning="full" if any(choice.tuning == "full" for choice in choices) else "peft",
        )

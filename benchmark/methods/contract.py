"""What a fine-tuning method is."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from benchmark.spec.grammar import canonical
from benchmark.spec.recipe import Tuning
from benchmark.spec.request import MethodChoice, MethodPart, TrialRequest

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


FACTORS = (0.25, 0.5, 1, 2, 4)
SHARES = (0.03125, 0.0625, 0.125, 0.25, 0.5)  # to try of a bottleneck, which from 1 on would be in units


@dataclass(frozen=True)
class External:
    """Where a method from outside the suite was found.

    `place` is FILE:CLASS or MODULE:CLASS, `digest` the first 12 hex digits of its file's sha256, None where the
    version says it all; distribution and version are those of an installed package.
    """

    place: str
    digest: str | None
    distribution: str | None = None
    version: str | None = None

    @property
    def identity(self) -> str:
        """What enters the trial's id: the file's digest, or distribution and version."""
        return self.digest or f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that train at another rate, or with another weight decay, than the recipe says.

    `lr_scale` is a factor on the recipe's learning rate at every step; `weight_decay` is None for the recipe's.
    """

    names: tuple[str, ...]
    lr_scale: float = 1.0
    weight_decay: float | None = None


class Method(ABC):
    """Base of every method: a frozen dataclass whose fields are its hyper-parameters.

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
    trial's id, shown by `show method NAME` and set with `--method "bitfit[norms=false]"`.

    The harness freezes every parameter that `adapt` does not name, trains the classification head, and owns
    optimiser, loop, evaluation and profiling, so that methods differ in nothing else.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str]
    tuning: ClassVar[Tuning] = "peft"
    """Which of a recipe's learning rates applies."""
    identity_at_start: ClassVar[bool] = False
    """Whether the model computes what it computed before, until the first step; `check` holds the method to it."""
    external: ClassVar[External | None] = None
    """Where a method from outside the suite comes from; set when it is found."""

    @abstractmethod
    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert modules at the model's sites (`model.insert`, `model.add_prompts`) and name what trains.

        Called once, with pre-trained weights in place and a random generator seeded from the trial's seed.

        Returns:
            Names of parameters as in `model.named_parameters()`; the head's are added by the harness.
        """

    def skip(self, request: TrialRequest) -> str | None:
        """Why a trial cannot be run with this method, in a line that is shown; None where it can."""
        return None

    def param_groups(self, names: list[str]) -> Iterable[ParamGroup]:
        """Parameters with their own learning rate or weight decay, among those that this method trains.

        Args:
            names: what `adapt` returned.
        """
        return []

    def recipe_overrides(self, dataset: str) -> Mapping[str, Any]:
        """Recipe values that this method needs on a dataset; grid and command line win over them.

        They are part of the trial's id, and tables name them: the comparison is not with the recipe of the others.
        """
        return {}

    @classmethod
    def search_space(cls) -> Mapping[str, tuple[Any, ...]]:
        """Values that `search` tries, by hyper-parameter; one that is left out keeps its default.

        Unless a method says otherwise: a switch on and off, every word of a `Literal`, and a number's default times
        1/4, 1/2, 1, 2 and 4 within its bounds.
        """
        types = get_type_hints(cls)
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        tried = {name: _around(default, types[name]) for name, default in defaults.items()}
        fits = TypeAdapter(cls)

        def valid(name: str, value: Any) -> bool:
            try:
                fits.validate_python({name: value})
            except ValidationError:
                return False
            return True

        return {name: tuple(each for each in values if valid(name, each)) for name, values in tried.items() if values}

    def options(self) -> dict[str, Any]:
        """Every hyper-parameter with its value."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def changed(self) -> dict[str, Any]:
        """The hyper-parameters that differ from their defaults."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {key: value for key, value in self.options().items() if value != defaults[key]}

    def choice(self) -> MethodChoice:
        """This method as part of a trial request."""
        return MethodChoice(
            parts=(
                MethodPart(name=self.name, options=self.options(), source=self.external and self.external.identity),
            ),
            variant=canonical(self.name, self.changed()),
            tuning=self.tuning,
        )


def _around(default: Any, kind: Any) -> tuple[Any, ...]:
    """Values around a default; none where nothing is known of what else there is."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(default, bool):
        return (False, True)
    if isinstance(default, float):
        return tuple(factor * default for factor in FACTORS) if default else ()
    if isinstance(default, int):
        return tuple(dict.fromkeys(round(factor * default) for factor in FACTORS)) if default else ()
    return ()


class Composed:
    """Several methods applied in order to one model; what trains is the union."""

    def __init__(self, parts: tuple[Method, ...]) -> None:
        self.parts = parts
        self._names: list[list[str]] = []

    def adapt(self, model: AudioTransformer) -> list[str]:
        """Apply every part; see `Method.adapt`."""
        self._names = [list(part.adapt(model)) for part in self.parts]
        return list(dict.fromkeys(name for names in self._names for name in names))

    def param_groups(self) -> list[ParamGroup]:
        """Of all parts, behind `adapt`; see `Method.param_groups`.

        Raises:
            ValueError: a parameter in two groups, or one that the method does not train.
        """
        groups, seen = [], set[str]()
        for part, names in zip(self.parts, self._names, strict=True):
            for group in part.param_groups(names):
                for name in group.names:
                    if name not in names:
                        raise ValueError(f"param_groups() names '{name}', which adapt() does not")
                    if name in seen:
                        raise ValueError(f"param_groups() names '{name}' twice")
                    seen.add(name)
                groups.append(group)
        return groups

    def skip(self, request: TrialRequest) -> str | None:
        """The first part's reason; see `Method.skip`."""
        return next((reason for part in self.parts if (reason := part.skip(request))), None)

    def recipe_overrides(self, dataset: str) -> dict[str, Any]:
        """Of all parts, later ones win; see `Method.recipe_overrides`."""
        return {key: value for part in self.parts for key, value in part.recipe_overrides(dataset).items()}

    def choice(self) -> MethodChoice:
        """The composition as part of a trial request; trained like full fine-tuning if any part is."""
        choices = [part.choice() for part in self.parts]
        return MethodChoice(
            parts=tuple(part for choice in choices for part in choice.parts),
            variant="+".join(choice.variant for choice in choices),
            tuning="full" if any(choice.tuning == "full" for choice in choices) else "peft",
        )

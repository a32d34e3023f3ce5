"""What a fine-tuning method is."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.spec.grammar import canonical
from benchmark.spec.recipe import Tuning
from benchmark.spec.request import MethodChoice, MethodPart

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


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

    @abstractmethod
    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert modules at the model's sites (`model.insert`, `model.add_prompts`) and name what trains.

        Called once, with pre-trained weights in place and a random generator seeded from the trial's seed.

        Returns:
            Names of parameters as in `model.named_parameters()`; the head's are added by the harness.
        """

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
            parts=(MethodPart(name=self.name, options=self.options()),),
            variant=canonical(self.name, self.changed()),
            tuning=self.tuning,
        )


class Composed:
    """Several methods applied in order to one model; what trains is the union."""

    def __init__(self, parts: tuple[Method, ...]) -> None:
        self.parts = parts

    def adapt(self, model: AudioTransformer) -> list[str]:
        """Apply every part; see `Method.adapt`."""
        return list(dict.fromkeys(name for part in self.parts for name in part.adapt(model)))

    def choice(self) -> MethodChoice:
        """The composition as part of a trial request; trained like full fine-tuning if any part is."""
        choices = [part.choice() for part in self.parts]
        return MethodChoice(
            parts=tuple(part for choice in choices for part in choice.parts),
            variant="+".join(choice.variant for choice in choices),
            tuning="full" if any(choice.tuning == "full" for choice in choices) else "peft",
        )

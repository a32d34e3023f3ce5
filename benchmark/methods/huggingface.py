"""Methods `peft/NAME`: the tuners of Hugging Face PEFT for linear layers. They need the package `peft`."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import External, Method

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer

PREFIX = "peft/"
LAYERS = {
    "attention": ["attn.qkv", "attn.proj"],
    "mlp": ["mlp.fc1", "mlp.fc2"],
    "all": ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"],
}
NORM_TUNER = "ln_tuning"
NORMS = r"blocks\.\d+\.norm[12]|norm"  # peft takes a text as a regular expression
BOOKKEEPING = {"task_type", "inference_mode", "revision", "peft_version"}
# tuners that the suite's training loop or model cannot support, and why
UNFIT = {
    "adalora": "needs the number of training steps and a call after every step",
    "adaption_prompt": "works with a few kinds of language models only",
    "glora": "some of its parameters never get a gradient",
    "poly": "needs a task id for every clip",
    "shadow": "runs a second model beside the first",
    "trainable_tokens": "trains embeddings of words",
    "xlora": "mixes trained adapters",
}
MIXING = {"lily"}  # its router averages over the batch
# values without which a tuner's defaults fail on layers of these sizes
NEEDED: dict[str, dict[str, Any]] = {"c3a": {"block_size": 64}, "vblora": {"vector_length": 64}}


class HuggingFaceMethod(Method):
    """A tuner of the installed peft, with the hyper-parameters of its configuration under peft's names."""

    replaces_modules: ClassVar[bool] = True
    kind: ClassVar[str]

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Let peft replace layers, and return the names of what it trains."""
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
        from peft.utils import PeftType

        options = self.options()
        layers = options.pop("layers", None)
        targets: dict[str, Any] = {"target_modules": NORMS if layers is None else LAYERS[layers]}
        if self.kind == "ia3":
            targets["feedforward_modules"] = [path for path in targets["target_modules"] if path == "mlp.fc2"]
        kind = PeftType(self.kind.upper())
        config = PEFT_TYPE_TO_CONFIG_MAPPING[kind](**targets, **options)
        PEFT_TYPE_TO_TUNER_MAPPING[kind](model.v, config, "default")  # changes the model in place
        return [f"v.{name}" for name, parameter in model.v.named_parameters() if parameter.requires_grad]


def installed() -> bool:
    """Return whether the package peft is installed."""
    return importlib.util.find_spec("peft") is not None


def names() -> list[str]:
    """Return the names of the installed peft's tuners; none without peft.

    They are read from its files, because importing peft takes seconds.
    """
    spec = importlib.util.find_spec("peft")
    places = (spec and spec.submodule_search_locations) or []
    configs = [path for place in places for path in sorted(Path(place).glob("tuners/*/config.py"))]
    return [
        PREFIX + path.parent.name
        for path in configs
        if path.parent.name not in UNFIT and re.search(r"^    target_modules\b", path.read_text(), re.MULTILINE)
    ]


def describe(kind: str) -> str:
    """Return a one-line description of a tuner."""
    where = "LayerNorms" if kind == NORM_TUNER else "linear layers"
    return f"{kind.upper()} of Hugging Face PEFT, on the {where} of every block; hyper-parameters have peft's names."


def find(name: str) -> type[Method]:
    """Return the method `peft/NAME`.

    Raises:
        BenchmarkError: peft is not installed, has no such tuner, or the tuner does not fit.
    """
    kind = name.removeprefix(PREFIX)
    if not installed():
        raise BenchmarkError(f"'{name}' needs the package peft: pip install -e '.[peft]'")
    if kind in UNFIT:
        raise BenchmarkError(f"'{name}' cannot be used in this suite: {UNFIT[kind]}")
    known = tuners()
    if name not in known:
        raise BenchmarkError(f"the installed peft has no tuner '{kind}' for linear layers (it has {', '.join(known)})")
    return known[name]


@functools.cache
def tuners() -> dict[str, type[Method]]:
    """Return the installed peft's tuners for linear layers or LayerNorms, by name; none without peft."""
    if not installed():
        return {}
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    configs = {kind.value.lower(): PEFT_TYPE_TO_CONFIG_MAPPING[kind] for kind in PEFT_TYPE_TO_TUNER_MAPPING}
    usable = {kind: config for kind, config in sorted(configs.items()) if _takes_layers(config) and kind not in UNFIT}
    return {PREFIX + kind: _method(kind, config) for kind, config in usable.items()}


def _takes_layers(config: Any) -> bool:
    return "target_modules" in {field.name for field in dataclasses.fields(config)}


def _method(kind: str, config: Any) -> type[Method]:
    """Return a method class whose hyper-parameters are the configuration's plain values."""
    fields: list[Any] = []
    if kind != NORM_TUNER:
        fields.append(("layers", Literal[tuple(LAYERS)], "attention"))
    for field in dataclasses.fields(config):
        default = NEEDED.get(kind, {}).get(field.name, field.default)
        if field.init and field.name not in BOOKKEEPING and isinstance(default, (bool, int, float, str)):
            fields.append((field.name, type(default), default))
    version = importlib.metadata.version("peft")
    members = {
        "__module__": __name__,
        "__doc__": describe(kind),
        "kind": kind,
        "mixes_clips": kind in MIXING,
        "name": PREFIX + kind,
        "label": f"{kind} (peft)",
        "source": f"github.com/huggingface/peft src/peft/tuners/{kind}",
        "external": External(place=PREFIX + kind, digest=None, distribution="peft", version=version),
    }
    title = f"Peft{kind.title().replace('_', '')}"
    made = dataclasses.make_dataclass(
        title, fields, bases=(HuggingFaceMethod,), namespace=members, frozen=True, kw_only=True
    )
    globals()[title] = made  # pickle looks for the class here
    return made

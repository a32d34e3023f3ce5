"""Methods `peft/NAME`: the tuners of Hugging Face PEFT for linear layers. They need the package `peft`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib.metadata
import importlib.util
import operator
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from benchmark.commands import install
from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Method
from benchmark.places import External

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer

PREFIX = "peft/"
LAYERS = ("attention", "mlp", "all")
ALL_LINEAR = "all-linear"  # peft's word for all linear layers, which it takes for models of transformers only
DEFAULT_LAYERS = "attention"
NORM_TUNER = "ln_tuning"
# fields of peft's configurations that say nothing about the tuner, or that only its wrapper of whole models reads
BOOKKEEPING = {
    *(
        "task_type",
        "inference_mode",
        "revision",
        "peft_version",
        "peft_type",
        "auto_mapping",
        "base_model_name_or_path",
    ),
    *("modules_to_save", "trainable_token_indices", "layer_replication", "alora_invocation_tokens", "megatron_config"),
    *("loftq_config", "velora_config"),
}
# initializations of LoRA that peft makes in calls of its own, before and after it adapts the model
UNFIT_STARTS = {"eva": "data", "corda": "data", "lora_ga": "gradients", "loftq": "quantized weights"}
PLAIN = (bool, int, float, str, type(None))  # types of values that the command line can write, beside lists and dicts
# what people look for under peft/ and find elsewhere
ELSEWHERE = {
    "dora": "peft/lora[use_dora=true]",
    "rslora": "peft/lora[use_rslora=true]",
    "pissa": "peft/lora[init_lora_weights=pissa]",
    "olora": "peft/lora[init_lora_weights=olora]",
    "prompt_tuning": "vpt_shallow",
    "p_tuning": "vpt_shallow",
    "multitask_prompt_tuning": "vpt_shallow",
    "prefix_tuning": "prefix",
    "bitfit": "bitfit",
    "adapter": "houlsby",
    "ssf": "ssf",
}
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
    exclusive: ClassVar[tuple[str, ...]] = ("layers", "target_modules")
    kind: ClassVar[str]

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Let peft replace layers, and return the names of what it trains."""
        import torch
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
        from peft.utils import PeftType

        options = {**self._targets(model), **self.options()}
        options.pop("layers", None)
        if options["target_modules"] == ALL_LINEAR:
            options["target_modules"] = model.linear_layers("all")
        _require_known_layers(model, options)
        if self.kind == "ia3" and "feedforward_modules" not in options:
            down = model.SLOTS["down"].path
            options["feedforward_modules"] = [path for path in options["target_modules"] if path == down]
        kind = PeftType(self.kind.upper())
        config = PEFT_TYPE_TO_CONFIG_MAPPING[kind](**options)
        named = torch.nn.Module()  # peft sees the names that the suite's model has, such as v.blocks.0.attn.qkv
        named.v = model.v
        PEFT_TYPE_TO_TUNER_MAPPING[kind](named, config, "default")  # changes the model in place
        return [f"v.{name}" for name, parameter in model.v.named_parameters() if parameter.requires_grad]

    def options(self) -> dict[str, Any]:
        """Return the hyper-parameters, without those that peft leaves open and nobody has set."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {key: value for key, value in super().options().items() if not (value is None is defaults[key])}

    def _targets(self, model: AudioTransformer) -> dict[str, Any]:
        """Return which layers to adapt, unless `target_modules` names them.

        Raises:
            ValueError: the tuner starts from what is not there.
        """
        layers = getattr(self, "layers", None)
        start = getattr(self, "init_lora_weights", None)
        if isinstance(start, str) and start in UNFIT_STARTS:
            raise ValueError(
                f"init_lora_weights={start} needs {UNFIT_STARTS[start]}, which this suite does not give it"
            )
        if layers is not None:
            return {"target_modules": model.linear_layers(layers)}
        return {"target_modules": "|".join(map(re.escape, model.all_norms()))}  # a text is a regular expression to peft


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
        raise BenchmarkError(f"'{name}' needs the package peft: {install('peft')}")
    if kind in UNFIT:
        raise BenchmarkError(f"'{name}' cannot be used in this suite: {UNFIT[kind]}")
    known = tuners()
    if name not in known:
        plain = kind.lower().replace("-", "_")
        if plain in UNFIT:
            return find(PREFIX + plain)
        if found := ELSEWHERE.get(plain):
            raise BenchmarkError(f"'{name}' is not a tuner of peft for linear layers; use {found}")
        near = difflib.get_close_matches(plain, [tuner.removeprefix(PREFIX) for tuner in known], n=1)
        hint = f"did you mean '{PREFIX}{near[0]}'?" if near else f"it has {', '.join(known)}"
        raise BenchmarkError(f"the installed peft has no tuner '{kind}' for linear layers ({hint})")
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


def _require_known_layers(model: AudioTransformer, options: Mapping[str, Any]) -> None:
    """Check that each layer that an option names exists: peft ignores unknown ones beside known ones.

    Raises:
        ValueError: names the first that does not exist.
    """
    known = [name for name, _ in model.named_modules() if name]
    for key, value in options.items():
        listed = key in {"target_modules", "exclude_modules", "feedforward_modules"} and isinstance(value, list)
        if not listed and not (key.endswith("_pattern") and isinstance(value, dict)):
            continue
        for wanted in value:
            pattern = re.escape(wanted) if listed else wanted
            if not any(re.search(rf"(^|\.)({pattern})$", name) for name in known):
                layers = ", ".join(model.linear_layers("all"))
                raise ValueError(f"{key}: no layer is called '{wanted}'; those of a block are {layers}")
    blocks = options.get("layers_to_transform") or []
    for block in [blocks] if isinstance(blocks, int) else blocks:
        if block not in model.layers:
            raise ValueError(f"layers_to_transform: no block {block}; blocks are 0 to {model.layers[-1]}")


def _plain_types(hint: Any) -> set[Any]:
    """Return the types of a hint whose values the command line can write; the words of a `Literal` are any text."""
    if get_origin(hint) in {Union, types.UnionType}:
        return {kind for part in get_args(hint) for kind in _plain_types(part)}
    if get_origin(hint) is Literal:
        return {type(word) for word in get_args(hint)}
    if hint in PLAIN:
        return {hint}
    return {hint} if hint in {list, dict} or get_origin(hint) in {list, dict} else set()


def _union(kinds: set[Any]) -> Any:
    """Return the union of types; in a fixed order, which decides how a value is shown."""
    return functools.reduce(operator.or_, sorted(kinds, key=str))


def _takes_layers(config: Any) -> bool:
    return "target_modules" in {field.name for field in dataclasses.fields(config)}


def _method(kind: str, config: Any) -> type[Method]:
    """Return a method class whose hyper-parameters are those of the configuration that can be written as text."""
    fields: list[Any] = []
    if kind != NORM_TUNER:
        fields.append(("layers", Literal[LAYERS], DEFAULT_LAYERS))
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        given = NEEDED.get(kind, {}).get(field.name, field.default)
        default = given if isinstance(given, PLAIN) else None  # peft makes its own dictionaries and objects
        kinds = _plain_types(hints[field.name]) | ({type(default)} - {type(None)})
        if field.init and field.name not in BOOKKEEPING and kinds - {type(None)}:
            fields.append((field.name, _union(kinds | ({type(None)} if default is None else set())), default))
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

"""Protocols: which evaluation rules apply and which known defects of the official code are reproduced.

`reference` does what the official code (MichaelLynn1996/AAT@dc406ad) does, `corrected` does what is right. Set one
switch with `--set protocol.SWITCH=VALUE`; this renames the protocol, so that no table mixes the two.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.errors import BenchmarkError, closest
from benchmark.spec.declared import declared, find
from benchmark.spec.yaml import Spec, read_yaml, validate

OFFICIAL_DATASETS = ("esc50", "urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic")
LATER = {"eval_precision": "float32_ssast", "eval_tf32": "no"}  # switches that were added later, with their defaults


def _switch(defect: str, text: str, phrases: dict[str, str], default: Any = ...) -> Any:
    """Return the field of a switch.

    Args:
        defect: the defects of the official code that it is about.
        text: what its values mean.
        phrases: each value in a few words, for tables.
        default: its value in requests that do not have it.
    """
    return Field(default, description=text, json_schema_extra={"defect": defect, "phrases": dict(phrases)})


class Protocol(Spec):
    """The name of a protocol and the value of every switch."""

    name: str
    prompts: Literal["overwrite", "insert"] = _switch(
        "D1, D2",
        "overwrite: deep prompts replace the first patch tokens and the first layer's prompts are unused; "
        "insert: prompt tokens are inserted after the class tokens",
        phrases={"overwrite": "prompts overwrite patches", "insert": "prompts inserted"},
    )
    ssast_pooling: Literal["cls", "patches"] = _switch(
        "D3",
        "tokens whose mean the head of a self-supervised backbone reads: cls and dist tokens, or patch tokens",
        phrases={"cls": "SSAST pooled by class token", "patches": "SSAST pooled over patches"},
    )
    openmic_test: Literal["train_list", "test_list"] = _switch(
        "D4",
        "test clips of OpenMIC; the official script wrote the training clips into its test list",
        phrases={"train_list": "OpenMIC tested on its training list", "test_list": "OpenMIC tested on its test list"},
    )
    openmic_labels: Literal["annotated", "relevance_masked"] = _switch(
        "D5",
        "annotated: every annotated instrument counts as present, all others as absent; "
        "relevance_masked: present if the relevance is 0.5 or more; loss and precision use annotated instruments only",
        phrases={
            "annotated": "OpenMIC: annotated counts as present",
            "relevance_masked": "OpenMIC labels by relevance",
        },
    )
    eval_logits: Literal["fp16_sigmoid", "float32"] = _switch(
        "D8",
        "fp16_sigmoid: the supervised backbone is scored on half-precision sigmoids, which tie confident clips; "
        "float32: on the logits",
        phrases={"fp16_sigmoid": "scored on half-precision sigmoids", "float32": "scored on float32 logits"},
    )
    eval_precision: Literal["float32_ssast", "training"] = _switch(
        "D8",
        "precision of evaluation. float32_ssast: that of training for the supervised backbone, and float32 for the "
        "self-supervised one, whose official class has no autocast of its own (src/models/ast_models.py:448); "
        "training: that of training for both, but with a head in float32, so that logits are not rounded",
        phrases={"float32_ssast": "SSAST evaluated in float32", "training": "evaluated in training's precision"},
        default=LATER["eval_precision"],
    )
    eval_tf32: Literal["no", "yes"] = _switch(
        "D8",
        "whether float32 matrix products of an evaluation on a GPU may use TF32, as torch 1.7 to 1.11 did by default. "
        "What the official runs did is not known: requirements.txt names torch 1.8.1, but its timm 0.4.5 cannot run "
        "the code (defect D15); the timm that can is of 2023, when torch 2.0 had it off",
        phrases={"no": "evaluated without TF32", "yes": "evaluated with TF32"},
        default=LATER["eval_tf32"],
    )
    us8k_epoch_folds: Literal["9", "10"] = _switch(
        "D12",
        "number of UrbanSound8K folds whose mean score chooses the epoch; the official script omits the tenth",
        phrases={"9": "UrbanSound8K epoch by 9 folds", "10": "UrbanSound8K epoch by 10 folds"},
    )
    selection: Literal["best_on_test", "last"] = _switch(
        "D13",
        "epoch of a dataset without validation list: the one with the best test score over all folds, or the last",
        phrases={"best_on_test": "epoch chosen on test clips", "last": "last epoch"},
    )
    warmup: Literal["stepwise", "linear"] = _switch(
        "D19",
        "stepwise: every 50 steps up to step 1000 the learning rate is set to step/1000 of its base, 0 at first; "
        "linear: it rises at every step, and the decay applies as well",
        phrases={"stepwise": "stepwise warm-up", "linear": "linear warm-up"},
    )
    padding: Literal["raw_zero", "silence"] = _switch(
        "D20",
        "value of padded and masked filter-bank cells before normalisation: 0, which is a loud sound, or silence",
        phrases={"raw_zero": "padded with zeros", "silence": "padded with silence"},
    )
    norm_stats: Literal["published", "training_clips"] = _switch(
        "D22",
        "mean and standard deviation: published with the recipe, or computed from the trial's training clips",
        phrases={"published": "published normalisation", "training_clips": "normalised by training clips"},
    )
    count_unused_heads: Literal["yes", "no"] = _switch(
        "D23",
        "whether reported parameter counts include the two ImageNet heads, which the forward pass never uses",
        phrases={"yes": "unused heads counted", "no": "unused heads not counted"},
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later switches at their defaults: the ids of most requests were defined without them."""
        return {key: value for key, value in serialize(self).items() if value != LATER.get(key)}

    @property
    def switches(self) -> dict[str, str]:
        """Return the value of every switch."""
        return {name: getattr(self, name) for name in SWITCHES}


def phrase(switch: str, value: str) -> str:
    """Return the value of a switch in a few words; `SWITCH=VALUE` for one that is not known."""
    field = Protocol.model_fields.get(switch)
    extra = field.json_schema_extra if field and isinstance(field.json_schema_extra, dict) else {}
    phrases = extra.get("phrases")
    return str(phrases.get(value, f"{switch}={value}")) if isinstance(phrases, dict) else f"{switch}={value}"


SWITCHES = tuple(name for name in Protocol.model_fields if name != "name")


def load_protocol(name: str) -> Protocol:
    """Return a declared protocol or read a user's YAML file with the same keys.

    Raises:
        BenchmarkError: unknown name or an error in the file.
    """
    path = find("protocols", name)
    loaded = validate(Protocol, {"name": path.stem, **read_yaml(path)}, str(path))
    namesake = declared("protocols").get(path.stem)
    if namesake is not None and namesake != path and load_protocol(path.stem) != loaded:
        raise BenchmarkError(f"{path}: differs from the suite's protocol '{path.stem}'; give the file another name")
    return loaded


def override(protocol: Protocol, switches: dict[str, Any], where: str) -> Protocol:
    """Return a protocol with changed switches; its new name lists them: `reference+prompts=insert`.

    Args:
        protocol: the protocol to change.
        switches: new values by switch.
        where: an option or a grid, for messages.

    Raises:
        BenchmarkError: unknown switch or value.
    """
    # YAML reads a bare yes or no as a boolean
    words = {key: {True: "yes", False: "no"}.get(value, str(value)) for key, value in switches.items()}
    if "name" in switches:
        raise BenchmarkError(f"{where}: name is no switch{closest('name', SWITCHES)}")
    changed = validate(Protocol, {**protocol.model_dump(), **words}, where)
    parts = [f"{key}={words[key]}" for key in sorted(words) if words[key] != getattr(protocol, key, None)]
    return changed.model_copy(update={"name": "+".join([protocol.name, *parts])})

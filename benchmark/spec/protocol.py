"""Protocols: which evaluation rules apply and which known defects of the official code are reproduced.

`reference` does what the official code (MichaelLynn1996/AAT@dc406ad) does, `corrected` what is right; each switch can
be set alone with `--set protocol.SWITCH=VALUE`, which renames the protocol so that no table mixes the two.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from benchmark.errors import BenchmarkError, closest
from benchmark.spec.yaml import Spec, declared, find, read_yaml, validate


def _switch(defect: str, text: str) -> Any:
    return Field(description=text, json_schema_extra={"defect": defect})


class Protocol(Spec):
    """A name and the value of every switch."""

    name: str
    prompts: Literal["overwrite", "insert"] = _switch(
        "D1, D2",
        "overwrite: deep prompts replace the first patch tokens and the first layer's prompts are unused; "
        "insert: prompt tokens are added behind the prefix tokens",
    )
    ssast_pooling: Literal["cls", "patches"] = _switch(
        "D3",
        "tokens that a self-supervised backbone's head reads: cls and dist, or the mean over patch tokens",
    )
    openmic_test: Literal["train_list", "test_list"] = _switch(
        "D4", "clips that OpenMIC is tested on; the official script wrote the training clips into its test list"
    )
    openmic_labels: Literal["annotated", "relevance_masked"] = _switch(
        "D5",
        "annotated: every instrument that was asked about counts as present, all others as absent; "
        "relevance_masked: present from relevance 0.5 on, and loss and precision over annotated instruments only",
    )
    eval_logits: Literal["fp16_sigmoid", "float32"] = _switch(
        "D8",
        "fp16_sigmoid: the supervised backbone is scored on half-precision sigmoids, which tie confident clips; "
        "float32: on the logits",
    )
    us8k_epoch_folds: Literal["9", "10"] = _switch(
        "D12", "folds of UrbanSound8K whose mean chooses the epoch: the official script leaves out the tenth"
    )
    selection: Literal["best_on_test", "last"] = _switch(
        "D13",
        "where a dataset has no validation list: the epoch with the best test score over all folds, or the last one",
    )
    warmup: Literal["stepwise", "linear"] = _switch(
        "D19",
        "stepwise: every 50 steps up to step 1000 the learning rate is set to step/1000 of its base, 0 at first; "
        "linear: it rises at every step and keeps the decay",
    )
    padding: Literal["raw_zero", "silence"] = _switch(
        "D20",
        "value of padded and masked filter-bank cells before normalisation: 0, which is loud, or the log floor",
    )
    norm_stats: Literal["published", "training_clips"] = _switch(
        "D22",
        "mean and standard deviation: the recipe's published ones, or computed from the trial's training clips",
    )
    count_unused_heads: Literal["yes", "no"] = _switch(
        "D23", "whether the reported counts include the two ImageNet heads, which the forward pass never uses"
    )


SWITCHES = tuple(name for name in Protocol.model_fields if name != "name")


def load_protocol(name: str) -> Protocol:
    """A declared protocol or the user's own YAML file with the same keys.

    Raises:
        BenchmarkError: unknown name or a mistake in the file.
    """
    path = find("protocols", name)
    loaded = validate(Protocol, {"name": path.stem, **read_yaml(path)}, str(path))
    own = declared("protocols").get(path.stem)
    if own is not None and own != path and load_protocol(path.stem) != loaded:
        raise BenchmarkError(f"{path}: is not the protocol '{path.stem}'; give the file another name")
    return loaded


def override(protocol: Protocol, switches: dict[str, Any], where: str) -> Protocol:
    """The protocol with some switches set otherwise; its new name lists them: `reference+prompts=insert`.

    Raises:
        BenchmarkError: unknown switch or value, led by `where`.
    """
    # YAML reads a bare yes or no as a truth value
    words = {key: {True: "yes", False: "no"}.get(value, str(value)) for key, value in switches.items()}
    if "name" in switches:
        raise BenchmarkError(f"{where}: name is no switch{closest('name', SWITCHES)}")
    changed = validate(Protocol, {**protocol.model_dump(), **words}, where)
    parts = [f"{key}={words[key]}" for key in sorted(words) if words[key] != getattr(protocol, key, None)]
    return changed.model_copy(update={"name": "+".join([protocol.name, *parts])})

"""Build models for golden cases: weights and inputs by the file's rules, architecture by the reference's arguments."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import resolve_methods
from benchmark.models.build import from_checkpoint
from benchmark.models.checkpoint import Checkpoint, interpret
from benchmark.models.checkpoint_layout import Evidence
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import HEAD_WIDTH, SHAPES, Shape
from benchmark.tools.parity.case import Content
from benchmark.tools.parity.rules import by_rule
from benchmark.trial.build import freeze_others

ADAPTERS = {"head", "partial", "prompt", "mlp", "spatial"}
REFERENCE_PROMPTS = 12
INPUT_SIZES = {"p_input_fdim": 128, "p_input_tdim": 1024}


def build_case(case: Content, content: Content) -> AudioTransformer:
    """Build the model of a model or train case, in float32; trained parameters require gradients.

    Args:
        case: one case.
        content: the whole golden file.

    Raises:
        BenchmarkError: unknown family, size or adapter.
    """
    family = case["family"]
    if family == "hf_ast":
        return _hugging_face(case, content)
    if family not in {"official_ast", "official_ssast", "aat_ast", "aat_ssast"}:
        raise BenchmarkError(f"unknown family '{family}'")
    ctor = case["ctor"]
    adapters = ctor.get("adapter", [])
    shape = _shape(ctor["model_size"])
    mean_of_patches = case.get("task") == "ft_avgtok"
    config = ModelConfig(
        shape=shape,
        mels=ctor["input_fdim"],
        frames=ctor["input_tdim"],
        stride=(ctor["fstride"], ctor["tstride"]),
        classes=ctor["label_dim"],
        pooling="patches" if mean_of_patches else "cls",
        class_tokens=1 if ctor["model_size"].endswith("_nokd") else 2,
    )
    checkpoint = _checkpoint(case["checkpoint"], content) if case.get("checkpoint") else None
    model = AudioTransformer(config) if checkpoint is None else from_checkpoint(config, checkpoint)
    # without AudioSet weights the official AST creates as many deep prompts as there are patches in time (defect D9)
    scratch = family == "aat_ast" and not ctor["audioset_pretrain"]
    trainable = _adapt(model, adapters, config.grid[1] if scratch else REFERENCE_PROMPTS)
    freeze_others(model, set(trainable), "+".join(adapters) or "full")
    fill_by_rule(model, fresh_only=checkpoint is not None)
    if mean_of_patches:
        model.prompt_tokens = 0  # the official pooling over patches leaves prompts unused (defect D3)
    return model


def fill_by_rule(model: AudioTransformer, *, fresh_only: bool) -> None:
    """Set parameters by the rule: all of them, or only those that are not in the checkpoint."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not fresh_only or re.search("mlp_head|adapter|prompt", name):
                parameter.copy_(by_rule(name, tuple(parameter.shape)))


def _adapt(model: AudioTransformer, adapters: list[str], deep_prompts: int) -> list[str]:
    """Apply a list of the official `--finetune` option with this suite's methods; return the names that train."""
    if unknown := set(adapters) - ADAPTERS:
        raise BenchmarkError(f"unknown adapter '{min(unknown)}' (known: {', '.join(sorted(ADAPTERS))})")
    if not adapters:
        return [name for name, _ in model.named_parameters()]
    chosen = ["partial"] if "partial" in adapters else []
    both = {"mlp", "spatial"} <= set(adapters)
    chosen += (
        ["aat_ms"] if both else [{"mlp": "aat_m", "spatial": "aat_s"}[a] for a in adapters if a in {"mlp", "spatial"}]
    )
    [method] = resolve_methods("+".join(chosen) or "linear", "parity")
    names = list(method.adapt(model))
    return names + (model.add_prompts(REFERENCE_PROMPTS, deep_prompts) if "prompt" in adapters else [])


def _checkpoint(name: str, content: Content) -> Checkpoint:
    """Return an official checkpoint with the file's layout and weights by the rule, read as any checkpoint."""
    return _filled(name, json.dumps(content["checkpoints"][name]))


@functools.lru_cache(maxsize=1)  # consecutive cases share a checkpoint, and filling it takes seconds
def _filled(name: str, description: str) -> Checkpoint:
    layout = json.loads(description)
    sizes = {f"p_{key}": value for key, value in layout.get("ctor", {}).items() if f"p_{key}" in INPUT_SIZES}
    tensors = {}
    for key, shape, *_ in layout["keys"]:
        bare = key.removeprefix("module.")
        integer = {**INPUT_SIZES, **sizes}.get(bare)
        tensors[key] = by_rule(bare, tuple(shape)) if integer is None else torch.tensor(integer)
    return interpret(tensors, Evidence(f"checkpoint {name}"))


def _hugging_face(case: Content, content: Content) -> AudioTransformer:
    """Build the model of a Hugging Face case."""
    ctor: dict[str, Any] = {"layer_norm_eps": 1e-12, "num_labels": 2, **case["ctor"]}  # transformers' defaults
    tensors = {name: by_rule(name, tuple(shape)) for name, shape in content["param_lists"][case["params"]]}
    settings = {"model_type": "audio-spectrogram-transformer", **ctor}
    checkpoint = interpret(tensors, Evidence("Hugging Face case", settings=settings))
    config = ModelConfig(
        shape=checkpoint.shape,
        mels=ctor.get("num_mel_bins", 128),
        frames=ctor.get("max_length", 1024),
        stride=(ctor.get("frequency_stride", 10), ctor.get("time_stride", 10)),
        classes=checkpoint.head["mlp_head.1.weight"].shape[0],
    )
    model = from_checkpoint(config, checkpoint)
    model.mlp_head.load_state_dict({key.removeprefix("mlp_head."): value for key, value in checkpoint.head.items()})
    return model


def _shape(size: str) -> Shape:
    """Return the shape for an official name of a size: `base384`, `tiny224`, `small`, `base_nokd`."""
    match = re.fullmatch(r"(tiny|small|base)(?:224|384|_nokd)?", size)
    if match is None:
        raise BenchmarkError(f"unknown model size '{size}' (in all known sizes, heads are {HEAD_WIDTH} wide)")
    return SHAPES[match[1]]  # type: ignore[index]  # one of the sizes by the pattern

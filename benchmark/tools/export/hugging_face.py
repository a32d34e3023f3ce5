"""A trained model as a folder for transformers' `ASTForAudioClassification` and `ASTFeatureExtractor`."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmark.commands import install
from benchmark.data.audio import RATE
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.models.transformer import AudioTransformer
from benchmark.models.vit import EXPANSION, PATCH
from benchmark.tools.export.card import HuggingFaceFolder
from benchmark.tools.export.merging import merged
from benchmark.tools.export.onnx_file import larger, quiet, tolerance_for
from benchmark.tools.export.sample_sounds import full_and_padded
from benchmark.tools.export.trained import TrainedModel

PACKAGE = "transformers"
MODEL, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
MODEL_TYPE = "audio-spectrogram-transformer"
LAYER = r"audio_spectrogram_transformer.encoder.layer.\1"
# names in the model, and in files on the Hugging Face hub, which all versions of transformers read
NAMES = (
    (r"v\.cls_token", "audio_spectrogram_transformer.embeddings.cls_token"),
    (r"v\.dist_token", "audio_spectrogram_transformer.embeddings.distillation_token"),
    (r"v\.pos_embed", "audio_spectrogram_transformer.embeddings.position_embeddings"),
    (r"v\.patch_embed\.proj\.(\w+)", r"audio_spectrogram_transformer.embeddings.patch_embeddings.projection.\1"),
    (r"v\.blocks\.(\d+)\.attn\.(query|key|value)\.(\w+)", rf"{LAYER}.attention.attention.\2.\3"),
    (r"v\.blocks\.(\d+)\.attn\.proj\.(\w+)", rf"{LAYER}.attention.output.dense.\2"),
    (r"v\.blocks\.(\d+)\.norm1\.(\w+)", rf"{LAYER}.layernorm_before.\2"),
    (r"v\.blocks\.(\d+)\.norm2\.(\w+)", rf"{LAYER}.layernorm_after.\2"),
    (r"v\.blocks\.(\d+)\.mlp\.fc1\.(\w+)", rf"{LAYER}.intermediate.dense.\2"),
    (r"v\.blocks\.(\d+)\.mlp\.fc2\.(\w+)", rf"{LAYER}.output.dense.\2"),
    (r"v\.norm\.(\w+)", r"audio_spectrogram_transformer.layernorm.\1"),
    (r"mlp_head\.0\.(\w+)", r"classifier.layernorm.\1"),
    (r"mlp_head\.1\.(\w+)", r"classifier.dense.\1"),
)


def check_package() -> None:
    """Check that transformers is installed, which loads the folder for a comparison.

    Raises:
        BenchmarkError: it is not.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise BenchmarkError(f"--format hf needs {PACKAGE}: {install('export')}")


def write_hugging_face(trained: TrainedModel, folder: Path, name: str) -> HuggingFaceFolder:
    """Write the folder, load it with transformers, and compare its logits with those of the trained model.

    Args:
        trained: the model.
        folder: where to write; it exists.
        name: of the method, for messages.

    Raises:
        BenchmarkError: the model has no equal among transformers' models, or a logit differs by more than the
            tolerance.
    """
    try:
        tensors, config = _convert(trained)
    except ValueError as error:
        raise BenchmarkError(
            f"{name}: {error}; the AST of transformers has no place for that: export it without --format hf"
        ) from None
    write_atomic(folder / CONFIG, _json(config))
    write_atomic(folder / PREPROCESSOR, _json(_preprocessor(trained)))
    write_atomic(folder / MODEL, safetensors.torch.save(tensors, metadata={"format": "pt"}))
    largest, tolerance, clips = _compare(trained, folder)
    if not largest <= tolerance:  # a difference that is not a number is refused too
        raise BenchmarkError(
            f"{name}: transformers differs by {largest:.1e}, more than {tolerance:.1e}; nothing was written"
        )
    return HuggingFaceFolder(
        bytes=(folder / MODEL).stat().st_size,
        library=f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
        largest_error=largest,
        tolerance=tolerance,
        inputs=clips,
    )


def _convert(trained: TrainedModel) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return tensors by transformers' names, and the configuration.

    Raises:
        ValueError: the model cannot be expressed; the message says what it has.
    """
    level = trained.adapter.normalisation
    if trained.model.config.pooling != "cls":
        raise ValueError("its head reads the mean of all patches")
    if level.fill:
        raise ValueError(f"short clips are padded with {level.fill:g} (protocol switch `padding`), not with 0")
    model = merged(trained.model)
    tensors = dict(_split(model.state_dict()))
    found = {name: _renamed(name) for name in tensors}
    if unknown := [name for name, known in found.items() if known is None]:
        raise ValueError(f"it has '{unknown[0]}'")
    if "v.dist_token" not in tensors:
        raise ValueError("it has one class token, not two")
    biased = any(".query.bias" in name for name in tensors)
    if biased:  # a method may have added biases to some blocks
        for name in [name for name in tensors if re.search(r"attn\.(query|key|value)\.weight$", name)]:
            tensors.setdefault(name.replace("weight", "bias"), torch.zeros(model.width))
    content = {str(_renamed(name)): tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    return content, _config(trained, model, biased=biased)


def _renamed(name: str) -> str | None:
    """Return transformers' name of a tensor; None if it has none."""
    return next((match.expand(new) for pattern, new in NAMES if (match := re.fullmatch(pattern, name))), None)


def _split(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors with separate query, key and value."""
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                yield name.replace(".qkv.", f".{part}."), third
        else:
            yield name, tensor


def _config(trained: TrainedModel, model: AudioTransformer, *, biased: bool) -> dict[str, Any]:
    shape = model.config.shape
    return {
        "architectures": ["ASTForAudioClassification"],
        "model_type": MODEL_TYPE,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "intermediate_size": EXPANSION * shape.width,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": model.config.norm_eps,  # transformers has one for the head, too: a difference of rounding
        "patch_size": PATCH,
        "qkv_bias": biased,
        "frequency_stride": model.config.stride[0],
        "time_stride": model.config.stride[1],
        "max_length": model.config.frames,
        "num_mel_bins": model.config.mels,
        "id2label": {str(number): name for number, name in enumerate(trained.classes)},
        "label2id": {name: number for number, name in enumerate(trained.classes)},
        "problem_type": f"{'multi' if trained.score == 'sigmoid' else 'single'}_label_classification",
        "torch_dtype": "float32",
    }


def _preprocessor(trained: TrainedModel) -> dict[str, Any]:
    level, config = trained.adapter.normalisation, trained.model.config
    return {
        "feature_extractor_type": "ASTFeatureExtractor",
        "feature_size": 1,
        "sampling_rate": RATE,
        "num_mel_bins": config.mels,
        "max_length": config.frames,
        "do_normalize": True,
        "mean": level.mean,
        "std": level.std,
        "padding_value": 0.0,
        "padding_side": "right",
        "return_attention_mask": False,
    }


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def _compare(trained: TrainedModel, folder: Path) -> tuple[float, float, int]:
    """Return the largest difference of a logit from waveforms on, the tolerance, and the number of waveforms."""
    with quiet():
        library: Any = importlib.import_module(PACKAGE)
        with _no_progress(library.utils.logging):
            extractor = library.ASTFeatureExtractor.from_pretrained(folder)
            model, report = library.ASTForAudioClassification.from_pretrained(
                folder, output_loading_info=True, local_files_only=True
            )
        if wrong := [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]:
            raise BenchmarkError(f"transformers reads '{wrong[0]}' otherwise than this version writes it")
        largest, tolerance, clips = 0.0, 0.0, 0
        for wave in full_and_padded(trained.model.config.frames):
            inputs = extractor(wave, sampling_rate=RATE, return_tensors="pt")["input_values"]
            with torch.inference_mode():
                found, expected = model(inputs).logits, trained(trained.features(wave))
            largest = larger(largest, float((found - expected).abs().max()))
            tolerance = max(tolerance, tolerance_for(expected))
            clips += 1
    return largest, tolerance, clips


@contextmanager
def _no_progress(bars: Any) -> Iterator[None]:
    """Draw none of transformers' progress bars inside; the caller's setting comes back."""
    drawn = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            bars.enable_progress_bar()

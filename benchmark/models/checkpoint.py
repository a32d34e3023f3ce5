"""Read pre-trained weights from every format in which AST and SSAST are published; write two formats.

Source: AST@31088be, SSAST@a1a3eec, transformers.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.models.checkpoint_formats import LAYOUTS, OWN_KEY, backbone_tensors, imagenet_heads
from benchmark.models.masked import MaskedPatches
from benchmark.models.transformer import AudioTransformer
from benchmark.models.weights import checkpoint_files
from benchmark.spec.backbone import Shape

Tensors = dict[str, torch.Tensor]
LISTED = 12  # wrong tensors named in a message
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A backbone's weights under the official names (`v.*`).

    Attributes:
        layout: name of the file's format.
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches of pre-training in frequency and time.
        norm_eps: epsilon of LayerNorms in the backbone.
        head_norm_eps: epsilon of the head's LayerNorm.
        tensors: the backbone's tensors, float32.
        head: the tensors of a trained head, float32; empty if the file has none.
        dropped: names of tensors that fine-tuning does not use.
    """

    layout: str
    shape: Shape
    distilled: bool
    grid: tuple[int, int]
    norm_eps: float
    head_norm_eps: float
    tensors: Tensors
    head: Tensors
    dropped: tuple[str, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file or a Hugging Face folder; the names of the tensors show its format.

    The `config.json` next to a Hugging Face file is used. Nothing in the file is executed.

    Raises:
        BenchmarkError: the file is not a checkpoint, its format is unknown, or tensors are missing, surplus or of the
            wrong shape.
    """
    file, config = checkpoint_files(path)
    try:
        settings = json.loads(config.read_text()) if config else {}
        if file.suffix == ".safetensors":
            with safetensors.safe_open(file, framework="pt") as handle:
                metadata = handle.metadata() or {}
            tensors = safetensors.torch.load_file(file)
        else:
            metadata, tensors = {}, torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds of errors for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchmarkError(f"{file}: cannot be read as a checkpoint: {reason}") from None
    checkpoint = interpret(tensors, f"{file}", settings=settings, metadata=metadata)
    logger.info("read %s: %s, %s, dropped tensors: %s", file, checkpoint.layout, checkpoint.shape, checkpoint.dropped)
    return checkpoint


def interpret(
    content: object, where: str, *, settings: Mapping[str, Any] | None = None, metadata: Mapping[str, str] | None = None
) -> Checkpoint:
    """Find the format of tensors and check them; see `read_checkpoint`.

    Args:
        content: what was read from the file.
        where: the file, for messages.
        settings: a Hugging Face `config.json`.
        metadata: of a safetensors file.

    Raises:
        BenchmarkError: as `read_checkpoint`.
    """
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise BenchmarkError(f"{where}: not a plain dictionary of tensors")
    tensors: Tensors = {str(name).removeprefix("module."): value for name, value in content.items()}
    layout = next((layout for layout in LAYOUTS if layout.matches(tensors, metadata or {})), None)
    if layout is None:
        known = ", ".join(layout.name for layout in LAYOUTS)
        raise BenchmarkError(f"{where}: no known format ({known}); its tensors begin {', '.join(sorted(tensors)[:3])}")
    tensors = layout.rename(tensors, where)
    proj = tensors.get("v.patch_embed.proj.weight")
    if proj is None or proj.dim() != 4:
        raise BenchmarkError(f"{where}: {layout.name}: the patch projection is missing")
    _require_square_patches(proj, where)
    found = layout.geometry(tensors, settings or {}, metadata or {}, where)
    expected = backbone_tensors(found.shape, found.distilled, found.grid)
    _check(tensors, {**expected, **layout.extras(found, tensors)}, f"{where}: {layout.name}")
    head = {name: tensor.float() for name, tensor in tensors.items() if name.startswith("mlp_head.")}
    return Checkpoint(
        layout=layout.name,
        shape=found.shape,
        distilled=found.distilled,
        grid=found.grid,
        norm_eps=found.norm_eps,
        head_norm_eps=found.head_norm_eps,
        tensors={name: tensors[name].float() for name in expected},
        head=head,
        dropped=tuple(sorted(set(tensors) - set(expected) - set(head))),
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path, *, half: bool) -> None:
    """Write a backbone in this suite's format: safetensors, the geometry in the metadata.

    Args:
        checkpoint: what to write.
        path: the new file.
        half: write float16 instead of float32.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    geometry = {
        **checkpoint.shape.model_dump(),
        "distilled": checkpoint.distilled,
        "grid": checkpoint.grid,
        "norm_eps": checkpoint.norm_eps,
        "head_norm_eps": checkpoint.head_norm_eps,
    }
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: tensor.to(dtype).contiguous() for name, tensor in {**checkpoint.tensors, **checkpoint.head}.items()
    }
    _write(path, safetensors.torch.save(tensors, metadata={OWN_KEY: json.dumps(geometry, sort_keys=True)}))


def save_official(model: AudioTransformer, path: Path, masked: MaskedPatches | None, frames: int) -> None:
    """Write a model in the official format of SSAST, with mask vector and prediction heads, or of AST.

    The two unused ImageNet heads of these formats are zeros.

    Args:
        model: the backbone; of AST with its tagging head.
        path: the new file.
        masked: SSAST's other parts; None writes AST's format.
        frames: input length in pre-training.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    tensors = model.state_dict()
    tensors |= {name: torch.zeros(shape) for name, shape in imagenet_heads(model.width, model.config.distilled).items()}
    if masked is not None:
        tensors = {name: value for name, value in tensors.items() if not name.startswith("mlp_head.")}
        ssast_parts = {name: value for name, value in masked.state_dict().items() if not name.startswith("model.")}
        sizes = {"p_input_fdim": torch.tensor(model.config.mels), "p_input_tdim": torch.tensor(frames)}
        tensors |= {**ssast_parts, **sizes}
    buffer = io.BytesIO()
    torch.save({f"module.{name}": value.contiguous() for name, value in tensors.items()}, buffer)
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be written: {error.strerror or error}") from None


def _require_square_patches(proj: torch.Tensor, where: str) -> None:
    height, width = proj.shape[2:]
    if (height, width) == (16, 16):
        return
    kind = "frame-based SSAST" if height > width else "a Transformer"
    raise BenchmarkError(
        f"{where}: {kind} with patches of {height} mel bands x {width} frames; this suite's backbones have 16x16 "
        "patches: use a patch-based checkpoint such as SSAST-Base-Patch-400.pth"
    )


def _check(tensors: Tensors, expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"extra {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise BenchmarkError(f"{where}: {', '.join(problems[:LISTED])}{more}")

"""Read pre-trained weights from every format in which AST, SSAST and AudioMAE are published; write two formats.

Source: AST@31088be, SSAST@a1a3eec, transformers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmark.errors import BenchmarkError, first_line
from benchmark.files import write_atomic
from benchmark.models.checkpoint_file import read_content
from benchmark.models.checkpoint_formats import LAYOUTS, OWN_KEY
from benchmark.models.checkpoint_layout import Evidence, backbone_tensors, imagenet_heads
from benchmark.models.checkpoint_search import find_tensors
from benchmark.models.masked import MaskedPatches
from benchmark.models.transformer import AudioTransformer
from benchmark.models.weights import MODEL_FILES, CheckpointFiles, checkpoint_files
from benchmark.spec.backbone import Shape, Stated

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
        family: whose weights they are; None if the file does not say.
        mels: mel bands of pre-training; None if not known.
        normalisation: mean and standard deviation of pre-training's input; None if the checkpoint does not say.
        qkv_bias: whether query, key and value have biases.
        final_norm: whether a LayerNorm follows the last block.
        assumed: what was concluded without a statement or a stored value, one line each.
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
    family: str | None = None
    mels: int | None = None
    normalisation: tuple[float, float] | None = None
    qkv_bias: bool = True
    final_norm: bool = True
    assumed: tuple[str, ...] = ()


def read_checkpoint(path: Path, stated: Stated | None = None) -> Checkpoint:
    """Read a checkpoint file or a Hugging Face folder; the names of the tensors show its format.

    The configurations next to a Hugging Face file are used. Nothing in the file is executed.

    Args:
        path: a file, a folder, or the index of a sharded model.
        stated: what the user states about pre-training, for files that do not show it.

    Raises:
        BenchmarkError: the file is not a checkpoint, its format is unknown, its geometry cannot be known, or tensors
            are missing, surplus or of the wrong shape.
    """
    files = checkpoint_files(path)
    values, evidence = _content(path, files, stated or Stated())
    try:
        checkpoint = interpret(values, evidence)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # whatever a file may hold
        logger.debug("%s cannot be interpreted", path, exc_info=True)
        raise BenchmarkError(f"{path}: damaged: {first_line(error)}") from None
    logger.info("read %s: %s, %s, dropped tensors: %s", path, checkpoint.layout, checkpoint.shape, checkpoint.dropped)
    return dataclasses.replace(checkpoint, normalisation=_normalisation(_json(files.preprocessing)))


def needed_statements(path: Path, stated: Stated, found: Checkpoint) -> Stated:
    """Return what of a statement changes how a checkpoint is read: the rest says what the file itself shows.

    Args:
        path: as for `read_checkpoint`.
        stated: what the user states.
        found: what was read with it.
    """
    given = stated.model_dump(exclude_none=True)
    if not given:
        return stated
    values, evidence = _content(path, checkpoint_files(path), stated)
    for key in given:
        fewer = dataclasses.replace(evidence, stated=evidence.stated.model_copy(update={key: None}))
        with contextlib.suppress(BenchmarkError):
            same = interpret(values, fewer)
            if (same.shape, same.grid) == (found.shape, found.grid):
                evidence = fewer
    return evidence.stated


def _content(path: Path, files: CheckpointFiles, stated: Stated) -> tuple[object, Evidence]:
    """Return what the files of a checkpoint hold, and what else is known of it."""
    values, metadata = _read_parts(files.tensors)
    evidence = Evidence(
        where=f"{path}",
        names=_names(files.tensors[0]),
        settings=_json(files.config),
        metadata=metadata,
        stated=stated,
    )
    return values, evidence


def interpret(content: object, evidence: Evidence) -> Checkpoint:
    """Find the model in the content of a file, and check it; see `read_checkpoint`.

    Args:
        content: what was read from the file: tensors by name, in any nesting of dictionaries and name prefixes.
        evidence: what else is known.

    Raises:
        BenchmarkError: as `read_checkpoint`.
    """
    where = evidence.where
    tensors, others = find_tensors(content, where)
    layout = next((layout for layout in LAYOUTS if layout.matches(tensors, evidence.metadata)), None)
    if layout is None:
        known = ", ".join(layout.name for layout in LAYOUTS)
        raise BenchmarkError(f"{where}: no known format ({known}); its tensors begin {', '.join(sorted(tensors)[:3])}")
    tensors = layout.rename(tensors)
    proj = tensors.get("v.patch_embed.proj.weight")
    if proj is None or proj.dim() != 4:
        raise BenchmarkError(f"{where}: {layout.name}: the patch projection is missing")
    _require_square_patches(proj, where)
    found = layout.geometry(tensors, evidence)
    expected = backbone_tensors(
        found.shape, found.distilled, found.grid, qkv_bias=found.qkv_bias, final_norm=found.final_norm
    )
    check_tensors(tensors, {**expected, **layout.extras(found, tensors)}, f"{where}: {layout.name}")
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
        dropped=tuple(sorted({*tensors, *others} - set(expected) - set(head))),
        family=layout.family or found.family,
        mels=found.mels,
        qkv_bias=found.qkv_bias,
        final_norm=found.final_norm,
        assumed=found.assumed,
    )


def _read_parts(files: tuple[Path, ...]) -> tuple[object, Mapping[str, str]]:
    """Return the content of a file, or of all parts of a sharded model together."""
    first, *others = (read_content(file) for file in files)
    if not others:
        return first
    together: Tensors = {}
    for file, part in zip(files, (first, *others), strict=True):
        if not isinstance(part.values, Mapping):
            raise BenchmarkError(f"{file}: a part of a sharded checkpoint, but not a dictionary of tensors")
        together |= part.values
    return together, first.metadata


def _names(file: Path) -> tuple[str, ...]:
    """Return the names that may show which published model a file is: its own, or its folders' in Hugging Face form."""
    hugging_face = file.stem.partition("-")[0] in {Path(name).stem for name in MODEL_FILES}
    return tuple(parent.name for parent in file.absolute().parents[:3]) if hugging_face else (file.name,)


def _json(file: Path | None) -> Mapping[str, Any]:
    """Return the settings in a Hugging Face configuration; empty without one."""
    if file is None:
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{file}: cannot be read: {first_line(error)}") from None
    if not isinstance(settings, dict):
        raise BenchmarkError(f"{file}: expected keys and values, found {type(settings).__name__}")
    return settings


def _normalisation(settings: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return mean and standard deviation of a Hugging Face feature extractor's input."""
    if not settings or not settings.get("do_normalize", True):
        return None
    found = [settings.get(name) for name in ("mean", "std")]
    numbers = [float(value) for value in found if isinstance(value, (int, float))]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


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
        "family": checkpoint.family,
        "mels": checkpoint.mels,
        "qkv_bias": checkpoint.qkv_bias,
        "final_norm": checkpoint.final_norm,
    }
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: tensor.to(dtype).contiguous() for name, tensor in {**checkpoint.tensors, **checkpoint.head}.items()
    }
    _write(path, safetensors.torch.save(tensors, metadata={OWN_KEY: json.dumps(geometry, sort_keys=True)}))


def save_official(model: AudioTransformer, path: Path, masked: MaskedPatches | None, frames: int) -> None:
    """Write a model in the official format of SSAST, with mask vector and prediction heads, or of AST.

    The two unused ImageNet heads of these formats are zeros. The input size of pre-training is stored in both, because
    the number of positions alone does not show the patch grid; AST's own code ignores it.

    Args:
        model: the backbone; of AST with its tagging head.
        path: the new file.
        masked: SSAST's other parts; None writes AST's format.
        frames: input length in pre-training.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    tensors = model.state_dict()
    heads = imagenet_heads(model.width, model.config.class_tokens > 1)
    tensors |= {name: torch.zeros(shape) for name, shape in heads.items()}
    if masked is not None:
        tensors = {name: value for name, value in tensors.items() if not name.startswith("mlp_head.")}
        ssast_parts = {name: value for name, value in masked.state_dict().items() if not name.startswith("model.")}
        tensors |= ssast_parts
    tensors |= {"p_input_fdim": torch.tensor(model.config.mels), "p_input_tdim": torch.tensor(frames)}
    buffer = io.BytesIO()
    torch.save({f"module.{name}": value.contiguous() for name, value in tensors.items()}, buffer)
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be written: {error.strerror or error}") from None


def _require_square_patches(proj: torch.Tensor, where: str) -> None:
    channels, height, width = proj.shape[1:]
    if channels != 1:
        raise BenchmarkError(f"{where}: a Transformer for images ({channels} input channels), not for audio")
    if (height, width) == (16, 16):
        return
    kind = "frame-based SSAST" if height > width else "a Transformer"
    raise BenchmarkError(
        f"{where}: {kind} with patches of {height} mel bands x {width} frames; this suite's backbones have 16x16 "
        "patches: use a patch-based checkpoint such as SSAST-Base-Patch-400.pth"
    )


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of the only model in a checkpoint by name, without wrappers such as `module.`.

    Args:
        path: as for `read_checkpoint`.

    Raises:
        BenchmarkError: the file is not a checkpoint, or holds several models.
    """
    values, _ = _read_parts(checkpoint_files(path).tensors)
    return find_tensors(values, f"{path}")[0]


def check_tensors(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Check that tensors are those of a model: names, shapes, floating-point values.

    Raises:
        BenchmarkError: names the first that are missing, surplus or wrong.
    """
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"extra {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    problems += [
        f"{name} holds {str(tensors[name].dtype).removeprefix('torch.')} instead of floating-point numbers"
        for name, shape in expected.items()
        if name in tensors and shape and not tensors[name].is_floating_point()
    ]
    problems += [
        f"{name} holds no plain values"
        for name in expected
        if name in tensors and (tensors[name].is_meta or tensors[name].layout != torch.strided)
    ]
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise BenchmarkError(f"{where}: {', '.join(problems[:LISTED])}{more}")

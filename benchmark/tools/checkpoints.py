"""Inspect, check and download checkpoint files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.models.build import from_checkpoint, require_fit
from benchmark.models.checkpoint import Checkpoint, read_checkpoint
from benchmark.models.fit import require_finite
from benchmark.models.transformer import ModelConfig
from benchmark.models.weights import checkpoint_files, digest
from benchmark.spec.backbone import (
    SHAPES,
    Architecture,
    BackboneChoice,
    CheckpointSource,
    Stated,
    backbone_names,
    load_backbone,
    published_family,
)
from benchmark.tools.download import DownloadFailedError, fetch

CHECK_FRAMES = (128, 1024)


def describe(path: Path, stated: Stated | None = None) -> dict[str, Any]:
    """Return format, size, geometry and digest of a checkpoint.

    Args:
        path: file or folder.
        stated: what the user states about pre-training, for files that do not show it.

    Raises:
        BenchmarkError: it cannot be read, or has an unknown format.
    """
    checkpoint, sha256 = read_checkpoint(path, stated), digest(path)
    files = checkpoint_files(path)
    head = checkpoint.head.get("mlp_head.1.weight")
    return {
        "path": str(path),
        "format": checkpoint.layout,
        "family": checkpoint.family or published_family(sha256),
        "sha256": sha256,
        "bytes": sum(file.stat().st_size for file in files.tensors),
        "config": str(files.config) if files.config else None,
        "size": size_name(checkpoint),
        "width": checkpoint.shape.width,
        "blocks": checkpoint.shape.depth,
        "heads": checkpoint.shape.heads,
        "class_tokens": 2 if checkpoint.distilled else 1,
        "grid": {"frequency": checkpoint.grid[0], "time": checkpoint.grid[1]},
        "mels": checkpoint.mels,
        "assumed": list(checkpoint.assumed),
        "normalisation": checkpoint.normalisation,
        "norm_eps": {"blocks": checkpoint.norm_eps, "head": checkpoint.head_norm_eps},
        "backbone_parameters": sum(tensor.numel() for tensor in checkpoint.tensors.values()),
        "head_classes": None if head is None else head.shape[0],
        "not_used": list(checkpoint.dropped),
    }


def verify(path: Path, source: CheckpointSource | None, stated: Stated | None = None) -> str:
    """Check a checkpoint: its hash if one is published, finite tensors, a forward pass.

    Args:
        path: file or folder.
        source: the declared checkpoint that it is; None for another one.
        stated: what the user states about pre-training, for files that do not show it.

    Returns:
        The result in one line.

    Raises:
        BenchmarkError: the checkpoint is damaged, or another file.
    """
    sha256 = digest(path)
    if source is not None and source.sha256 is not None and sha256 != source.sha256:
        raise BenchmarkError(f"{path}: sha256 {sha256} instead of {source.sha256}; fetch it again")
    checkpoint = read_checkpoint(path, stated)
    require_finite(checkpoint, path)
    known = checkpoint.family in backbone_names()
    stated_by = load_backbone(checkpoint.family).architecture if known and checkpoint.family else Architecture()
    for frames in CHECK_FRAMES:
        config = ModelConfig(
            checkpoint.shape, mels=128, frames=frames, stride=(10, 10), classes=1, **stated_by.of_model()
        )
        logits = from_checkpoint(config, checkpoint).eval()(torch.zeros(1, frames, 128))
        if not torch.isfinite(logits).all():
            raise BenchmarkError(f"{path}: the model's output on {frames} frames is not finite")
    hashed = "sha256 as published" if source is not None and source.sha256 else "no published sha256 to compare with"
    return f"{path}: {checkpoint.layout}, {size_name(checkpoint) or 'another size'}, complete; {hashed}: {sha256}"


def fetch_backbone(choice: BackboneChoice, folder: Path, console: Console) -> Path:
    """Download a declared checkpoint into the checkpoint folder and check that it can be read.

    Raises:
        BenchmarkError: it cannot be downloaded; the message says what to do by hand.
    """
    source = load_backbone(choice.name).checkpoints[choice.size]
    if not source.urls:
        raise BenchmarkError(f"{choice.name} is part of the suite: there is nothing to download")
    target = folder / source.file
    try:
        fetch(source.urls, target, source.sha256, console)
    except DownloadFailedError as error:
        raise BenchmarkError(f"{error}; by hand: {source.by_hand}, and put it at {target}") from None
    try:
        require_fit(choice, read_checkpoint(target))
    except BenchmarkError as error:
        target.unlink()  # a dead link may return a web page, or another model
        raise BenchmarkError(
            f"{source.urls[0]} is not a checkpoint of {choice.name} ({error}); {source.by_hand}"
        ) from None
    return target


def size_name(checkpoint: Checkpoint) -> str | None:
    """Return the name of the size with this shape; None if there is none."""
    return next((name for name, shape in SHAPES.items() if shape == checkpoint.shape), None)

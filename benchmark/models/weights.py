"""Find a backbone's checkpoint and its digest; without torch, so that planning stays quick."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from benchmark.commands import command
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.backbone import BackboneChoice, load_backbone

OWN_FOLDER = Path(__file__).parent / "demo"  # checkpoints that come with the suite


def default_folder() -> Path:
    """Return the default checkpoint folder: `aat-benchmark` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "aat-benchmark"


def locate(choice: BackboneChoice, folder: Path) -> tuple[BackboneChoice, Path | None]:
    """Find a backbone's checkpoint and add its digest to the choice.

    Args:
        choice: `pretrained`, `random:SEED`, or `file:PATH`, which becomes `file:NAME`.
        folder: the checkpoint folder.

    Returns:
        The choice for a trial request, and the checkpoint's path, None for random weights.

    Raises:
        MissingInputError: there is no such file; the message says how to get it.
    """
    if choice.random_weights:
        return choice, None
    if choice.weights == "pretrained":
        source = load_backbone(choice.name).checkpoints[choice.size]
        path = (folder if source.urls else OWN_FOLDER) / source.file
        if not path.exists():
            raise MissingInputError(
                f"{choice.name}: no checkpoint {path}; fetch it with "
                f"`{command('checkpoint', 'fetch', choice.variant)}`, or {source.by_hand}"
            )
        return choice.model_copy(update={"sha256": digest(path)}), path
    path = Path(choice.weights.removeprefix("file:")).expanduser()
    if not path.exists():
        raise MissingInputError(f"{choice.name}: no checkpoint {path}")
    return choice.model_copy(update={"weights": f"file:{path.name}", "sha256": digest(path)}), path.absolute()


def checkpoint_files(path: Path) -> tuple[Path, Path | None]:
    """Return the file of tensors and, if there is one, its Hugging Face configuration.

    Raises:
        BenchmarkError: there is no such file, or the folder holds none.
    """
    if path.is_dir():
        names = ("model.safetensors", "pytorch_model.bin")
        found = next((path / name for name in names if (path / name).is_file()), None)
        if found is None:
            raise BenchmarkError(f"{path}: contains neither {names[0]} nor {names[1]}")
        path = found
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such checkpoint")
    config = path.parent / "config.json"
    return path, config if path.suffix in {".safetensors", ".bin"} and config.is_file() else None


def digest(path: Path) -> str:
    """Return the sha256 of a checkpoint; with a Hugging Face configuration, over the digests of both files."""
    file, config = checkpoint_files(path)
    if config is None:
        return _sha256(file, file.stat().st_mtime_ns)
    parts = [_sha256(part, part.stat().st_mtime_ns) for part in (file, config)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


@functools.cache
def _sha256(path: Path, _changed: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

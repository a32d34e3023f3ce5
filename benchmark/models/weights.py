"""Find a backbone's checkpoint and its digest; without torch, so that planning stays quick."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.commands import command
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.backbone import HUB, BackboneChoice, Pretrained, load_backbone

OWN_FOLDER = Path(__file__).parent / "demo"  # checkpoints that come with the suite
MODEL_FILES = ("model.safetensors", "pytorch_model.bin")  # of a Hugging Face folder
INDEX = ".index.json"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "adapter.safetensors")


def default_folder() -> Path:
    """Return the default checkpoint folder: `aat-benchmark` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "aat-benchmark"


def locate(choice: BackboneChoice, folder: Path) -> tuple[BackboneChoice, Path | None]:
    """Find a backbone's checkpoint and add its digest to the choice.

    Args:
        choice: `pretrained`, `random:SEED`, `file:PATH`, which becomes `file:NAME`, or `hf:REPOSITORY@REVISION`, which
            is downloaded and becomes `hf:REPOSITORY`.
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
    if choice.weights.startswith(HUB):
        from benchmark.models.hub import fetch  # imports the hub's client

        found = fetch(choice.weights)
        named = {"weights": found.name, "sha256": digest(found.folder), "pretrained": Pretrained(commit=found.commit)}
        return choice.model_copy(update=named), found.folder
    path = Path(choice.weights.removeprefix("file:")).expanduser()
    if not path.exists():
        raise MissingInputError(f"{choice.name}: no checkpoint {path}")
    return choice.model_copy(update={"weights": f"file:{path.name}", "sha256": digest(path)}), path.absolute()


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of a checkpoint.

    Attributes:
        tensors: the file of tensors, or all parts of a sharded one.
        config: a Hugging Face `config.json` beside it.
        preprocessing: a Hugging Face `preprocessor_config.json` beside it.
    """

    tensors: tuple[Path, ...]
    config: Path | None
    preprocessing: Path | None


def checkpoint_files(path: Path) -> CheckpointFiles:
    """Return the files of a checkpoint.

    Args:
        path: a file, a Hugging Face folder, or the index of a sharded model.

    Raises:
        BenchmarkError: there is no such file, the folder holds no model, or a part of it is missing.
    """
    if path.is_dir():
        path = _model_in(path)
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such checkpoint")
    if part := re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(\.\w+)", path.name):
        raise BenchmarkError(f"{path}: one of {int(part[2])} parts of a checkpoint; name the folder {path.parent}")
    parts = _shards(path) if path.name.endswith(INDEX) else (path,)
    hugging_face = parts[0].suffix in {".safetensors", ".bin"}
    config, preprocessing = (
        beside if hugging_face and (beside := path.parent / name).is_file() else None
        for name in ("config.json", "preprocessor_config.json")
    )
    return CheckpointFiles(parts, config, preprocessing)


def _model_in(folder: Path) -> Path:
    """Return the file, or the index of files, of a Hugging Face folder."""
    for name in MODEL_FILES:
        for candidate in (folder / name, folder / f"{name}{INDEX}"):
            if candidate.is_file():
                return candidate
    if adapter := next((name for name in ADAPTER_FILES if (folder / name).is_file()), None):
        raise BenchmarkError(
            f"{folder}: an adapter without its backbone ({adapter}); merge it into the model and save the whole model"
        )
    reason = f"contains neither {MODEL_FILES[0]} nor {MODEL_FILES[1]}"
    if (folder / "snapshots").is_dir():
        raise BenchmarkError(f"{folder}: {reason}; name one of the folders in {folder / 'snapshots'}")
    raise BenchmarkError(f"{folder}: {reason}")


def _shards(index: Path) -> tuple[Path, ...]:
    """Return the parts of a sharded model, each once, sorted."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        parts = tuple(index.parent / name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BenchmarkError(f"{index}: not an index of a sharded checkpoint") from None
    if wrong := [name for name in names if Path(name).name != name]:
        raise BenchmarkError(f"{index}: names '{wrong[0]}', expected the name of a file beside it")
    if not parts:
        raise BenchmarkError(f"{index}: names no file")
    if missing := [part.name for part in parts if not part.is_file()]:
        raise BenchmarkError(
            f"{index}: {len(missing)} of {len(parts)} parts are missing, the first is {missing[0]}; get them all"
        )
    return parts


def digest(path: Path) -> str:
    """Return the sha256 of a checkpoint; of several files (parts, a configuration) over the digests of all of them."""
    files = checkpoint_files(path)
    digests = [_sha256(part, part.stat().st_mtime_ns) for part in (*files.tensors, files.config) if part is not None]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@functools.cache
def _sha256(path: Path, _changed: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

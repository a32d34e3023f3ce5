"""Declared entries: the YAML files of backbones, recipes, grids and protocols, also those of installed packages."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError, closest
from benchmark.plugins import load_installed

SPEC_DIR = Path(__file__).parent
ENTERED = "backbone_name"  # attribute of a class that `register_backbone` has entered


@functools.cache
def declared(folder: str) -> dict[str, Path]:
    """Return the YAML files of a kind (backbones, recipes, grids, protocols): path by name, sorted.

    They are in this package's folder or come from installed packages: an entry point of the group
    `aat_benchmark.FOLDER` is the path of a file `NAME.yaml`, or the class of a backbone, which has entered itself when
    it was imported. An entry point that cannot be used is reported and left out.
    """
    found = suite_names(folder)

    def accept(name: str, given: Any) -> None:
        if getattr(given, ENTERED, None) == name:
            return
        if not isinstance(given, (str, os.PathLike)):
            raise ValueError(f"{given!r} is neither the path of {name}.yaml nor a class registered as '{name}'")
        path = Path(given)
        if path.stem != name or path.stem in found:
            raise ValueError("its name is taken" if path.stem in found else f"{path} is not {name}.yaml")
        found[path.stem] = path

    load_installed(folder, accept)
    return dict(sorted(found.items()))


def suite_names(folder: str) -> dict[str, Path]:
    """Return the suite's own YAML files of a kind: path by name, sorted."""
    return {path.stem: path for path in sorted((SPEC_DIR / folder).glob("*.yaml"))}


def find(folder: str, name: str) -> Path:
    """Return the path of a declared entry or of a user's YAML file.

    Raises:
        BenchmarkError: there is no such entry or file.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise BenchmarkError(f"{name}: no such {folder.rstrip('s')} file")
        return path
    entries = declared(folder)
    if name not in entries:
        raise BenchmarkError(f"unknown {folder.rstrip('s')} '{name}'{closest(name, entries)}")
    return entries[name]

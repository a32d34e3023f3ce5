"""Backbones that are classes from outside the suite, and the class of every backbone.

Write one file with one class (`SLOTS`, `NORMS` and the like only where the class differs from `Backbone`)::

    from torch import nn

    from benchmark.models.registry import AudioTransformer, register_backbone


    @register_backbone(
        "mine", label="Mine", source="arXiv:2104.01778", pretraining="supervised", grid=(12, 101), pooling="cls"
    )
    class Mine(AudioTransformer):
        \"\"\"AST with ReLU in its MLPs.\"\"\"

        def make_block(self, config):
            block = super().make_block(config)
            block.mlp.act = nn.ReLU()
            return block

`--backbone "./mine.py[weights=random:0]"` uses it, `check backbone ./mine.py` checks it. A package gives it a name by
an entry point of the group `aat_benchmark.backbones`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeGuard, TypeVar

from benchmark.errors import BenchmarkError
from benchmark.models.transformer import AudioTransformer
from benchmark.places import (
    FILE_MODULE,
    SUITE,
    External,
    UserFile,
    choose_class,
    describe,
    import_or_explain,
    parse_place,
    run_file,
)
from benchmark.spec.backbone import BackboneEntry, enter_backbone, load_backbone, validate_entry
from benchmark.spec.declared import ENTERED

__all__ = ["AudioTransformer", "load_class", "model_class", "register_backbone"]

DECORATOR = 'put @register_backbone("NAME", label=..., ...) above class {name}'
C = TypeVar("C", bound=type[AudioTransformer])

_classes: dict[str, type[AudioTransformer]] = {}
_files: dict[Path, UserFile] = {}


class _Registered(AudioTransformer):
    """What `register_backbone` adds to a class; for annotations only."""

    backbone_name: ClassVar[str]
    backbone_entry: ClassVar[BackboneEntry]


def register_backbone(
    name: str,
    *,
    label: str,
    source: str,
    pretraining: Literal["supervised", "self-supervised"],
    grid: tuple[int, int],
    pooling: Literal["cls", "patches"],
    **more: Any,
) -> Callable[[C], C]:
    """Class decorator that makes a backbone known under `name`.

    Args:
        name: lower-case word, as written on the command line.
        label: as written in tables and figures.
        source: paper or code that describes it.
        pretraining: whether its published weights were trained with labels.
        grid: patches in frequency and time, in pre-training.
        pooling: tokens whose mean the head reads.
        more: other fields of `BackboneEntry`: `size`, `checkpoints`, `input`, `architecture`, `parameters`, `recipe`.
            The family of the architecture is `name` unless it says otherwise: `{"family": "ast"}` takes AST's
            checkpoints.

    Raises:
        BenchmarkError: a field does not fit, or another backbone has the name.
    """

    def enter(kind: C) -> C:
        if not (inspect.isclass(kind) and issubclass(kind, AudioTransformer)):
            raise BenchmarkError(f"{name}: a backbone is a class derived from AudioTransformer")
        architecture: Mapping[str, Any] = {"family": name, **more.get("architecture", {})}
        stated = {
            "name": name, "label": label, "source": source, "pretraining": pretraining, "grid": grid,
            "pooling": pooling, "size": "base", "weights": "pretrained",
            "description": (kind.__doc__ or label).partition("\n")[0], **more, "architecture": architecture,
        }  # fmt: skip
        entry = validate_entry(stated, f"backbone '{name}'")
        setattr(kind, ENTERED, name)
        kind.backbone_entry = entry  # type: ignore[attr-defined]
        if not kind.__module__.startswith(FILE_MODULE) and (external := describe(kind)) is not None:
            _enter(kind, external)
        return kind

    return enter


def load_class(text: str) -> str:
    """Enter the class at a place, such as `./mine.py:Mine` or `package.module:Mine`, and return its name.

    A file whose content has changed is run again.

    Raises:
        BenchmarkError: no such file, it does not import, or it has no such class.
    """
    place = parse_place(text)
    if place.file is None:
        module = import_or_explain(text, functools.partial(importlib.import_module, place.module or ""))
    else:
        path = place.file
        _files[path] = import_or_explain(text, functools.partial(run_file, path, _files.get(path)))
        module = _files[path].module
    kind = choose_class(module, place, AudioTransformer, _is_registered, DECORATOR)
    assert _is_registered(kind)
    if place.file is not None:
        _enter(kind, External(f"{place.file}:{kind.__qualname__}", _files[place.file].digest))
    return kind.backbone_name


def model_class(name: str) -> type[AudioTransformer]:
    """Return the class of a backbone's models.

    Raises:
        BenchmarkError: there is no such backbone in this process.
    """
    load_backbone(name)  # imports installed packages, whose classes enter themselves
    return _classes.get(name, AudioTransformer)


def _enter(kind: type[AudioTransformer], external: External) -> None:
    assert _is_registered(kind)
    enter_backbone(kind.backbone_entry, external)
    _classes[kind.backbone_name] = kind


def _is_registered(kind: object) -> TypeGuard[type[_Registered]]:
    is_own = inspect.isclass(kind) and issubclass(kind, AudioTransformer) and ENTERED in vars(kind)
    return is_own and kind.__module__.partition(".")[0] not in SUITE

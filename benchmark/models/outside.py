"""Backbones by name or place; without torch, unless a class from outside is named."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.places import is_place
from benchmark.spec.backbone import (
    YAML,
    BackboneChoice,
    backbone_refs,
    enter_backbone_file,
    load_backbone,
    outside_backbone,
    resolve_backbone,
)
from benchmark.spec.grammar import Ref


def resolve_backbones(text: str, where: str) -> list[BackboneChoice]:
    """Parse `ast[size=demo]`, `./mine.py:Mine[weights=random:0]`, `package.module:Mine` or `./mine.yaml`.

    Args:
        text: as written on the command line or in a grid.
        where: an option or a grid, for messages.

    Raises:
        BenchmarkError: unknown name or option, or a file that does not import.
    """
    choices = []
    for ref in backbone_refs(text, where):
        try:
            named = Ref(enter_backbone(ref.name), ref.options)
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: {error}") from None
        choices.append(resolve_backbone(named, text, where))
    return choices


def enter_backbone(text: str) -> str:
    """Return the name of a backbone, which is entered if the text is a place, such as `./mine.py` or `./mine.yaml`.

    Raises:
        BenchmarkError: unknown name, or a file that cannot be read.
    """
    if is_place(text):
        from benchmark.models.registry import load_class  # imports torch

        return load_class(text)
    return enter_backbone_file(Path(text)) if text.endswith(YAML) else load_backbone(text).name


def enter_place(name: str, place: str) -> None:
    """Enter a backbone from outside in another process than the one that planned its trials.

    Args:
        name: of the backbone; one that is known already is left alone.
        place: `External.place`.

    Raises:
        BenchmarkError: its file is missing here, or does not import.
    """
    if outside_backbone(name) is not None:
        return
    if place.endswith(YAML):
        enter_backbone_file(Path(place))
    else:
        from benchmark.models.registry import load_class  # imports torch

        load_class(place)


def require_same(choice: BackboneChoice) -> None:
    """Check that a backbone is the one that a trial was planned with.

    Raises:
        BenchmarkError: it is unknown here, or another version.
    """
    present = load_backbone(choice.name).outside
    if present == choice.outside:
        return
    external = outside_backbone(choice.name)
    if external is None or choice.outside is None:
        reason = "where it comes from has changed since this trial was planned; plan again"
    else:
        reason = (
            f"{external.place} has digest {present}, but this trial was planned with {choice.outside}; restore the "
            "file or plan again"
        )
    raise BenchmarkError(f"backbone '{choice.name}': {reason}")

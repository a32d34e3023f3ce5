"""Backbones: one Transformer with different sizes, pre-training, positional grids and pooling.

Source: AST@31088be, SSAST@a1a3eec src/models/ast_models.py.
"""

from __future__ import annotations

import functools
import re
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from benchmark.errors import BenchmarkError, closest
from benchmark.spec.choices import Size
from benchmark.spec.declared import declared, find
from benchmark.spec.grammar import canonical, parse_refs, path_name
from benchmark.spec.yaml import Spec, read_yaml, validate


class Shape(Spec):
    """Width, depth and heads of a size."""

    width: int
    depth: int
    heads: int


Family = Literal["ast", "ssast"]


class Stated(Spec):
    """What a user states about a checkpoint because its tensors alone do not show it."""

    stride: int | None = None
    mels: int | None = None
    heads: int | None = None


class Pretrained(Spec):
    """What a checkpoint says about its pre-training's input and its architecture, and what was assumed."""

    mels: int | None = Field(default=None, description="mel bands")
    normalisation: tuple[float, float] | None = Field(default=None, description="mean and standard deviation")
    qkv_bias: bool = Field(default=True, description="whether query, key and value have biases")
    distilled: bool = Field(default=True, description="whether there is a dist token")
    assumed: tuple[str, ...] = Field(default=(), description="what neither a user's file nor the user states")


HEAD_WIDTH = 64
DEMO = "-demo"  # suffix of the names of the small backbones that come with the suite
SHAPES: dict[Size, Shape] = {
    "demo": Shape(width=64, depth=4, heads=2),
    "tiny": Shape(width=192, depth=12, heads=3),
    "small": Shape(width=384, depth=12, heads=6),
    "base": Shape(width=768, depth=12, heads=12),
}


Count = Annotated[int, Field(ge=1)]


class BackboneChoice(Spec):
    """The backbone in a trial request. Fields that are null were not given, and are left out of the request."""

    name: str
    size: Size = Field(description="demo, tiny, small or base: width, depth and heads")
    weights: str = Field(description="`pretrained`, `random:SEED` or `file:NAME`")
    sha256: str | None = Field(default=None, description="digest of the checkpoint; null until the file is found")
    pretraining: Literal["supervised", "self-supervised"]
    grid: tuple[int, int] = Field(description="patches of the pre-training grid (frequency, time)")
    pooling: Literal["cls", "patches"] = Field(description="tokens that pre-training supervises")
    width: Count | None = Field(default=None, description="size of a token, if it is not that of the size")
    depth: Count | None = Field(default=None, description="number of blocks, if it is not that of the size")
    heads: Count | None = Field(default=None, description="attention heads, if it is not that of the size")
    stride: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None, description="patch stride of the checkpoint's pre-training, if the file does not show it"
    )
    mels: Annotated[int, Field(ge=16)] | None = Field(
        default=None, description="mel bands of the checkpoint's pre-training, if the file does not show it"
    )
    weights_of: Family | None = Field(
        default=None, description="family of the checkpoint, if it is on purpose not the backbone's"
    )
    pretrained: Pretrained | None = Field(
        default=None, description="what the checkpoint says of itself; its digest, not this, is part of the id"
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not given: most requests were defined without these fields."""
        return {key: value for key, value in serialize(self).items() if key not in LATER or value is not None}

    @field_validator("weights")
    @classmethod
    def _weights_form(cls, value: str) -> str:
        if not re.fullmatch(r"pretrained|random:[0-9]{1,18}|file:.+", value):
            raise ValueError("expected pretrained, random:SEED or the path of a checkpoint")
        return value

    @property
    def shape(self) -> Shape:
        """Width, depth and heads."""
        of_size = SHAPES[self.size]
        return Shape(
            width=self.width or of_size.width, depth=self.depth or of_size.depth, heads=self.heads or of_size.heads
        )

    @property
    def size_text(self) -> str:
        """The name of the size, or `WIDTHxDEPTH, HEADS heads` if no size has this shape."""
        shape = self.shape
        named = next((name for name, known in SHAPES.items() if known == shape), None)
        return named or f"{shape.width}x{shape.depth}, {shape.heads} heads"

    @property
    def stated(self) -> Stated:
        """What the user states about the checkpoint."""
        return Stated(stride=self.stride, mels=self.mels, heads=self.heads)

    @property
    def family(self) -> str:
        """`ast` or `ssast`; demo backbones use the recipes of their family."""
        return self.name.removesuffix(DEMO)

    @property
    def weights_family(self) -> Family:
        """Whose weights are expected: `weights_of` where it is given, else by the pre-training."""
        return self.weights_of or ("ssast" if self.pretraining == "self-supervised" else "ast")

    @property
    def random_weights(self) -> bool:
        """True if nothing was pre-trained; such a record is never compared with the paper."""
        return self.weights.startswith("random:")

    @property
    def checkpoint_status(self) -> str:
        """What is known of the weights: whose file they are."""
        if self.random_weights:
            return "random weights"
        for source in load_backbone(self.name).checkpoints.values():
            if source.sha256 is not None and source.sha256 == self.sha256:
                return "the publisher's file" if source.urls else "comes with this suite"
        return "unknown: no digest is published" if self.weights == "pretrained" else "a file of the user"

    @property
    def variant(self) -> str:
        """The name, with size and weights if they are not the declared ones: `ast[size=demo;weights=random:0]`."""
        return canonical(self.name, self._special())

    @property
    def path_name(self) -> str:
        """Folder name in a results folder; depends on this request only."""
        return path_name("-".join([self.name, *map(str, self._special().values())]), "")

    def _special(self) -> dict[str, Any]:
        values: dict[str, str] = {"size": self.size, "weights": self.weights}
        defaults = {"demo" if self.name.endswith(DEMO) else "base", "pretrained"}
        special = {key: value for key, value in values.items() if value not in defaults}
        stated = {key: getattr(self, key) for key in STATED}
        return {**special, **{key: value for key, value in stated.items() if value is not None}}


STATED = ("width", "depth", "heads", "stride", "mels", "weights_of")
OPTIONS = ("size", "weights", *STATED)
LATER = {*STATED, "pretrained"}


class CheckpointSource(Spec):
    """The source of a declared checkpoint."""

    file: str = Field(description="file name in the checkpoint folder")
    urls: list[str] = Field(description="addresses to try; none if it comes with the suite")
    sha256: str | None = Field(description="null if none is published")
    by_hand: str = Field(description="what to do if no address answers")


class BackboneEntry(BackboneChoice):
    """A declared backbone: one YAML file in `benchmark/spec/backbones/`."""

    checkpoints: dict[Size, CheckpointSource] = Field(default_factory=dict)

    label: str
    description: str
    source: str


@functools.cache
def load_backbone(name: str) -> BackboneEntry:
    """Return the declared backbone of a name.

    Raises:
        BenchmarkError: unknown name, or an error in its file.
    """
    path = find("backbones", name)
    return validate(BackboneEntry, {"name": path.stem, **read_yaml(path)}, str(path))


def published_family(sha256: str | None) -> Family | None:
    """Return the family of a declared checkpoint by its digest; None if no declared one has it."""
    for name in declared("backbones"):
        entry = load_backbone(name)
        if sha256 is not None and any(source.sha256 == sha256 for source in entry.checkpoints.values()):
            return entry.weights_family
    return None


def resolve_backbones(text: str, where: str) -> list[BackboneChoice]:
    """Parse `ast` or `ast[size=demo;weights=random:0]`; commas inside the brackets sweep.

    A user's checkpoint is `file:PATH` in the result, until it is located.

    Args:
        text: as written on the command line or in a grid.
        where: an option or a grid, for messages.

    Raises:
        BenchmarkError: unknown name or option.
    """
    choices = []
    for refs in parse_refs(text):
        if len(refs) != 1:
            raise BenchmarkError(f"{where}: backbones cannot be composed: '{text}'")
        ref = refs[0]
        try:
            entry = load_backbone(ref.name)
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: {error}") from None
        fields = BackboneChoice.model_fields
        values = {key: value for key, value in entry.model_dump().items() if key in fields}
        options = dict(ref.options)
        if extra := set(options) - set(OPTIONS):
            raise BenchmarkError(f"{where}: {ref.name}: unknown option '{min(extra)}'{closest(min(extra), OPTIONS)}")
        weights = str(options.get("weights", entry.weights))
        if weights != "pretrained" and not weights.startswith("random:"):
            options["weights"] = f"file:{weights}"
        choice = validate(BackboneChoice, {**values, **options}, f"{where}: {text}")
        _require_file(choice, text, where)
        if not choice.weights.startswith("file:") and choice.shape.width % choice.shape.heads:
            raise BenchmarkError(f"{where}: {text}: {choice.shape.heads} heads do not divide {choice.shape.width}")
        if choice.weights == "pretrained" and choice.size not in entry.checkpoints:
            raise BenchmarkError(
                f"{where}: {text}: no pre-trained {ref.name} of size {choice.size} is published; "
                "add weights=random:0 or weights=FILE"
            )
        choices.append(choice)
    return choices


def _require_file(choice: BackboneChoice, text: str, where: str) -> None:
    """Refuse options of a user's file where none is named.

    Raises:
        BenchmarkError: they are given with published or random weights.
    """
    if choice.weights.startswith("file:"):
        return
    shape = ("width", "depth", "heads")
    about_file = [key for key in STATED if key not in shape or choice.weights == "pretrained"]
    if given := [key for key in about_file if getattr(choice, key) is not None]:
        kinds = "weights=FILE and weights=random:SEED" if given[0] in shape else "weights=FILE"
        raise BenchmarkError(f"{where}: {text}: {given[0]} is an option of {kinds} only")

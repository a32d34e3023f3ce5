"""Backbones: what a backbone states of itself, and the backbone in a trial request.

Source: AST@31088be, SSAST@a1a3eec src/models/ast_models.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from benchmark.errors import BenchmarkError, closest
from benchmark.places import External, content_digest
from benchmark.spec.choices import Size
from benchmark.spec.declared import declared, suite_names
from benchmark.spec.grammar import Ref, canonical, parse_refs, path_name
from benchmark.spec.recipe import Layer, check_layers, read_layers
from benchmark.spec.yaml import Spec, read_yaml, validate


class Shape(Spec):
    """Width, depth and heads of a size."""

    width: int
    depth: int
    heads: int


class Input(Spec):
    """The input of pre-training. The suite has one front end, so that rate, window and hop have one valid value."""

    rate: Literal[16000] = Field(default=16000, description="samples per second")
    window: Literal[400] = Field(default=400, description="samples per frame, Hann window")
    hop: Literal[160] = Field(default=160, description="samples between frames")
    scaling: Literal["(log mel - mean) / (2 std)"] = Field(
        default="(log mel - mean) / (2 std)", description="how filter banks are normalised"
    )
    mels: Annotated[int, Field(ge=16)] = Field(default=128, description="mel bands")
    frames: Annotated[int, Field(ge=16)] = Field(default=1024, description="frames of a clip")
    mean: float | None = Field(default=None, description="mean of the filter banks; null if none is published")
    std: Annotated[float, Field(gt=0)] | None = Field(default=None, description="their standard deviation")


class Positions(Spec):
    """The positional embedding, and how it is fitted to another grid than that of pre-training."""

    kind: Literal["learned", "fixed"] = Field(
        default="learned", description="fixed: sines that no method trains; learned: parameters of the model"
    )
    rows: Literal["frequency", "time"] = Field(
        default="frequency", description="axis that varies slowest in the embedding"
    )
    shorter: Literal["middle", "first"] = Field(default="middle", description="which part of a longer axis is cut out")
    longer: Literal["bilinear", "bicubic"] = Field(default="bilinear", description="how a shorter axis is interpolated")


class Architecture(Spec):
    """In what backbones of the suite's Transformer differ. The defaults are AST's."""

    family: str | None = Field(
        default=None, description="family of the weights; null: ast if supervised, ssast if self-supervised"
    )
    patch: Literal[16] = Field(default=16, description="side of a patch, in mel bands and frames")
    class_tokens: Literal[0, 1, 2] = Field(default=2, description="tokens before the patches")
    tokens: Literal["frequency", "time"] = Field(
        default="frequency", description="axis of the patch grid that varies slowest in the sequence of patch tokens"
    )
    positions: Positions = Positions()
    final_norm: bool = Field(default=True, description="whether a LayerNorm follows the last block, before pooling")
    norm_eps: Annotated[float, Field(gt=0)] = Field(default=1e-6, description="epsilon of the backbone's LayerNorms")
    head_norm_eps: Annotated[float, Field(gt=0)] = Field(default=1e-5, description="epsilon of the head's LayerNorm")
    unused_heads: Annotated[int, Field(ge=0)] = Field(
        default=2, description="1000-way heads that the official model has and never uses (defect D23)"
    )

    def of_model(self) -> dict[str, Any]:
        """Return the fields that the configuration of a model has, too."""
        return {name: getattr(self, name) for name in OF_MODEL}


OF_MODEL = ("class_tokens", "tokens", "positions", "final_norm", "norm_eps", "head_norm_eps")


Family = Literal["ast", "ssast"]  # families whose weights fit into each other's backbone


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
    commit: str | None = Field(default=None, description="commit of the hub's repository that the checkpoint is from")

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `commit` where there is none: most requests were written without it."""
        return {key: value for key, value in serialize(self).items() if key != "commit" or value is not None}


HEAD_WIDTH = 64
DEMO = "-demo"  # suffix of the names of the small backbones that come with the suite
DEMO_SIZES = {"demo", "mini"}  # that they were released with; those of records made before stay
FINE_TUNED = "-ft"  # suffix of backbones whose self-supervised pre-training was followed by a supervised one
SHAPES: dict[Size, Shape] = {
    "demo": Shape(width=64, depth=4, heads=2),
    "mini": Shape(width=192, depth=4, heads=3),
    "tiny": Shape(width=192, depth=12, heads=3),
    "small": Shape(width=384, depth=12, heads=6),
    "base": Shape(width=768, depth=12, heads=12),
}
PUBLISHED_SIZES: tuple[Size, ...] = ("tiny", "small", "base")


Count = Annotated[int, Field(ge=1)]


class BackboneChoice(Spec):
    """The backbone in a trial request. Fields that are null were not given, and are left out of the request."""

    name: str
    size: Size = Field(description="demo, mini, tiny, small or base: width, depth and heads")
    weights: str = Field(description="`pretrained`, `random:SEED`, `file:NAME` or `hf:REPOSITORY`")
    sha256: str | None = Field(default=None, description="digest of the checkpoint; null until the file is found")
    pretraining: Literal["supervised", "self-supervised"] = Field(description="whether it used labels")
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
    outside: str | None = Field(
        default=None, description="digest of the file of a backbone from outside; null for the suite's own"
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not given: most requests were defined without these fields."""
        return {key: value for key, value in serialize(self).items() if key not in LATER or value is not None}

    @field_validator("weights")
    @classmethod
    def _weights_form(cls, value: str) -> str:
        if value.startswith(HUB) and not re.fullmatch(HUB_FORM, value):
            raise ValueError("expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
        if not re.fullmatch(rf"pretrained|random:[0-9]{{1,18}}|file:.+|{HUB}.+", value):
            raise ValueError("expected pretrained, random:SEED, hf:OWNER/NAME or the path of a checkpoint")
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
        """The name whose recipes are used: `ast` for `ast-demo`, `audiomae` for `audiomae-ft`."""
        return self.name.removesuffix(DEMO).removesuffix(FINE_TUNED)

    @property
    def weights_family(self) -> str:
        """Whose weights are expected: `weights_of` where it is given, else as declared, else by the pre-training."""
        by_pretraining = SSAST if self.pretraining == "self-supervised" else AST
        return self.weights_of or self.stated_architecture.family or by_pretraining

    @property
    def stated_architecture(self) -> Architecture:
        """What the declared backbone states; AST's for one from outside that is not loaded."""
        try:
            return load_backbone(self.name).architecture
        except BenchmarkError:
            return Architecture()

    @property
    def own_recipe(self) -> list[Layer]:
        """Recipe layers that the backbone declares; none of one from outside that is not loaded."""
        try:
            return load_backbone(self.name).recipe_layers
        except BenchmarkError:
            return []

    @property
    def other_architecture(self) -> dict[str, str]:
        """What distinguishes steps of this backbone from those of AST and SSAST; nothing for these two."""
        if self.outside is None and self.stated_architecture == Architecture():
            return {}
        return {"backbone": f"{self.family} {self.outside or ''}".rstrip()}

    def pooled_tokens(self, ssast_pooling: Literal["cls", "patches"]) -> Literal["cls", "patches"]:
        """Return the tokens that are pooled under a protocol; its switch is about SSAST alone (defect D3)."""
        return "cls" if self.family == SSAST and ssast_pooling == "cls" else self.pooling

    @property
    def chosen_weights(self) -> bool:
        """True if the user names the checkpoint: a file, or a repository of the hub."""
        return self.weights.startswith(("file:", HUB))

    @property
    def random_weights(self) -> bool:
        """True if nothing was pre-trained; such a record is never compared with the paper."""
        return self.weights.startswith("random:")

    @property
    def checkpoint_status(self) -> str:
        """What is known of the weights: whose file they are."""
        if self.random_weights:
            return "random weights"
        for source in _checkpoints(self.name).values():
            if source.sha256 is not None and source.sha256 == self.sha256:
                return "the publisher's file" if source.urls else "comes with this suite"
        if self.weights.startswith(HUB):
            commit = self.pretrained.commit if self.pretrained else None
            return f"from the hub, commit {commit}" if commit else "from the hub"
        return "unknown: no digest is published" if self.weights == "pretrained" else "a file of the user"

    @property
    def variant(self) -> str:
        """The name, with size and weights if they are not the declared ones: `ast[size=demo;weights=random:0]`."""
        return canonical(self.name, self._special())

    @property
    def path_name(self) -> str:
        """Folder name in a results folder; depends on this request only, as records must be found by later releases."""
        special = self._special()
        if self.name.endswith(DEMO) and self.size in DEMO_SIZES:
            special.pop("size", None)
        return path_name("-".join([self.name, *map(str, special.values())]), "")

    def _special(self) -> dict[str, Any]:
        values: dict[str, str] = {"size": self.size, "weights": self.weights}
        defaults = {load_backbone(self.name).size if self.name.endswith(DEMO) else "base", "pretrained"}
        special = {key: value for key, value in values.items() if value not in defaults}
        stated = {key: getattr(self, key) for key in STATED}
        return {**special, **{key: value for key, value in stated.items() if value is not None}}


NAME = r"[a-z][a-z0-9_-]*"  # of a backbone
YAML = (".yaml", ".yml")
HUB = "hf:"  # before the name of a repository of Hugging Face's hub
HUB_FORM = r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.][\w./-]*))?"
STATED = ("width", "depth", "heads", "stride", "mels", "weights_of")
OPTIONS = ("size", "weights", *STATED)
LATER = {*STATED, "pretrained", "outside"}
AST, SSAST = "ast", "ssast"


class CheckpointSource(Spec):
    """The source of a declared checkpoint."""

    file: str = Field(description="file name in the checkpoint folder")
    urls: list[str] = Field(description="addresses to try; none if it comes with the suite")
    sha256: str | None = Field(description="null if none is published")
    by_hand: str = Field(description="what to do if no address answers")


class BackboneEntry(BackboneChoice):
    """What a backbone states: a YAML file in `benchmark/spec/backbones/`, a user's file, or a registered class.

    `input`, `architecture`, `parameters` and `recipe` are not part of requests: the name stands for the first three,
    and the recipe is resolved.
    """

    label: str = Field(description="as written in tables and figures")
    description: str = Field(description="one line for lists")
    source: str = Field(description="paper and code that describe it")
    checkpoints: dict[Size, CheckpointSource] = Field(
        default_factory=dict, description="by size, the published file: `file`, `urls`, `sha256`, `by_hand`"
    )
    input: Input = Input()
    architecture: Architecture = Architecture()
    parameters: dict[Size, int] = Field(
        default_factory=dict, description="official number of parameters without the head, on the pre-training grid"
    )
    recipe: list[Layer] = Field(
        default=[],
        description="recipe values that replace those of each dataset's recipe: layers, in a file also the name of a "
        "recipe; mean and std are then those of `input`; empty if the datasets' recipes are used",
    )

    @property
    def recipe_layers(self) -> list[Layer]:
        """The declared recipe, after mean and standard deviation of the input that the weights were trained with."""
        if not self.recipe:
            return []
        level = {key: value for key in ("mean", "std") if (value := getattr(self.input, key)) is not None}
        return [Layer(source=f"input of {self.name}'s pre-training", values=level), *self.recipe]


def validate_entry(stated: Mapping[str, Any], where: str) -> BackboneEntry:
    """Return what a backbone states.

    Args:
        stated: as read from YAML, or given to `register_backbone`.
        where: file or backbone, for messages.

    Raises:
        BenchmarkError: a field does not fit.
    """
    if isinstance(name := stated.get("recipe"), str):
        try:
            stated = {**stated, "recipe": read_layers(name)}
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: recipe: {error}") from None
    entry = validate(BackboneEntry, stated, where)
    check_layers(entry.recipe, where)
    return entry


class _Entered(NamedTuple):
    """A backbone from outside: what it states, and where it comes from."""

    entry: BackboneEntry
    external: External


_entered: dict[str, _Entered] = {}  # by name: a user's YAML files, and registered classes


def enter_backbone(entry: BackboneEntry, external: External) -> None:
    """Make a backbone from outside known under its name; the latest version of it counts.

    Args:
        entry: what it states.
        external: where it comes from.

    Raises:
        BenchmarkError: the suite has a backbone of this name, or another file has entered one.
    """
    name = entry.name
    if not re.fullmatch(NAME, name):
        raise BenchmarkError(f"backbone name '{name}': lower-case letters, digits, _ and - only, a letter first")
    namesake = _entered.get(name)
    if name in suite_names("backbones") or (namesake is not None and namesake.external.place != external.place):
        other = namesake.external.place if namesake is not None else "the suite"
        raise BenchmarkError(f"backbone '{name}' is registered twice: {other} and {external.place}")
    _entered[name] = _Entered(entry.model_copy(update={"outside": external.identity}), external)


def enter_backbone_file(path: Path) -> str:
    """Read a user's YAML file and enter the backbone, whose name is the file's.

    Returns:
        The name.

    Raises:
        BenchmarkError: the file cannot be read, or as `enter_backbone`.
    """
    place = path.absolute()
    entry = _entry_of(place)
    enter_backbone(entry, External(str(place), content_digest(place.read_bytes())))
    return entry.name


def forget_backbone(name: str) -> None:
    """Remove a backbone from outside."""
    _entered.pop(name, None)


def outside_backbone(name: str) -> External | None:
    """Return where a backbone from outside comes from; None for the suite's, and YAML files of packages."""
    return _entered[name].external if name in _entered else None


def backbone_names() -> list[str]:
    """Return the names of all known backbones, sorted."""
    return sorted({*declared("backbones"), *_entered})


def load_backbone(name: str) -> BackboneEntry:
    """Return what the backbone of a name states.

    Raises:
        BenchmarkError: unknown name, or an error in its file.
    """
    known = declared("backbones")  # first: this imports installed packages, whose classes enter themselves
    if name in _entered:
        return _entered[name].entry
    if name not in known:
        raise BenchmarkError(f"unknown backbone '{name}'{closest(name, backbone_names())}")
    return _declared_entry(known[name])


@functools.cache
def _declared_entry(path: Path) -> BackboneEntry:
    return _entry_of(path)


def _entry_of(path: Path) -> BackboneEntry:
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such backbone file")
    return validate_entry({"name": path.stem, **read_yaml(path)}, str(path))


def _checkpoints(name: str) -> dict[Size, CheckpointSource]:
    """Return the published checkpoints; none of a backbone from outside that is not loaded."""
    try:
        return load_backbone(name).checkpoints
    except BenchmarkError:
        return {}


def published_family(sha256: str | None) -> str | None:
    """Return the family of a declared checkpoint by its digest; None if no declared one has it."""
    for name in backbone_names():
        entry = load_backbone(name)
        if sha256 is not None and any(source.sha256 == sha256 for source in entry.checkpoints.values()):
            return entry.weights_family
    return None


def resolve_backbones(text: str, where: str) -> list[BackboneChoice]:
    """Parse `ast`, `ast[size=demo;weights=random:0]` or `./mine.yaml`; commas inside the brackets sweep.

    A user's checkpoint is `file:PATH` in the result, until it is located. Classes (`./mine.py:Mine`) must be entered
    before: `benchmark.models.registry` does that.

    Args:
        text: as written on the command line or in a grid.
        where: an option or a grid, for messages.

    Raises:
        BenchmarkError: unknown name or option.
    """
    return [resolve_backbone(ref, text, where) for ref in backbone_refs(text, where)]


def backbone_refs(text: str, where: str) -> list[Ref]:
    """Return the backbones that a text names, with their options; see `resolve_backbones`."""
    found = parse_refs(text)
    if any(len(refs) != 1 for refs in found):
        raise BenchmarkError(f"{where}: backbones cannot be composed: '{text}'")
    return [ref for refs in found for ref in refs]


def resolve_backbone(ref: Ref, text: str, where: str) -> BackboneChoice:
    """Return the backbone of a name or a YAML file with its options; see `resolve_backbones`."""
    try:
        entry = load_backbone(enter_backbone_file(Path(ref.name)) if ref.name.endswith(YAML) else ref.name)
    except BenchmarkError as error:
        raise BenchmarkError(f"{where}: {error}") from None
    fields = BackboneChoice.model_fields
    values = {key: value for key, value in entry.model_dump().items() if key in fields}
    options = dict(ref.options)
    if extra := set(options) - set(OPTIONS):
        raise BenchmarkError(f"{where}: {ref.name}: unknown option '{min(extra)}'{closest(min(extra), OPTIONS)}")
    weights = str(options.get("weights", entry.weights))
    if weights != "pretrained" and not weights.startswith(("random:", HUB)):
        options["weights"] = f"file:{weights}"
    choice = validate(BackboneChoice, {**values, **options}, f"{where}: {text}")
    _require_file(choice, text, where)
    if not choice.chosen_weights and choice.shape.width % choice.shape.heads:
        raise BenchmarkError(f"{where}: {text}: {choice.shape.heads} heads do not divide {choice.shape.width}")
    if choice.weights == "pretrained" and choice.size not in entry.checkpoints:
        raise BenchmarkError(
            f"{where}: {text}: no pre-trained {ref.name} of size {choice.size} is published; "
            "add weights=random:0 or weights=FILE"
        )
    return choice


def _require_file(choice: BackboneChoice, text: str, where: str) -> None:
    """Refuse options of a user's file where none is named.

    Raises:
        BenchmarkError: they are given with published or random weights.
    """
    if choice.chosen_weights:
        return
    shape = ("width", "depth", "heads")
    about_file = [key for key in STATED if key not in shape or choice.weights == "pretrained"]
    if given := [key for key in about_file if getattr(choice, key) is not None]:
        kinds = "weights=FILE and weights=random:SEED" if given[0] in shape else "weights=FILE"
        raise BenchmarkError(f"{where}: {text}: {given[0]} is an option of {kinds} only")

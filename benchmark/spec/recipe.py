"""Recipes: optimizer, schedule, augmentation and lengths of a dataset, resolved for a backbone and a method.

A recipe file is a list of layers, each with the source of its numbers and an optional condition; later layers win. A
backbone may declare layers, too: they are above the dataset's and below those of the grid and the command line.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from benchmark.errors import BenchmarkError, closest
from benchmark.spec.declared import find
from benchmark.spec.grammar import unordered
from benchmark.spec.yaml import Spec, read_yaml, validate

Tuning = Literal["full", "peft"]
MEASURED = ("frames", "mean", "std", "time_mask", "loss")  # what `data prepare` writes into the recipe of a folder
TrainingPrecision = Literal["amp", "bf16", "float32"]
EVAL_FACTOR = 2  # the reference evaluates with twice the training batch
Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
# keys that were added later, with the values that change nothing: the ids of most requests were defined without them
OFF: dict[str, Any] = {
    "schedule": "step", "min_lr_share": 0.0, "class_weights": "none", "sampling": "shuffle", "label_smoothing": 0.0,
    "clip_norm": None, "layer_decay": 1.0, "head_dropout": 0.0, "early_stop": None, "windows": "first",
}  # fmt: skip


def _later(name: str, text: str) -> Any:
    return Field(OFF[name], description=text)


class Recipe(Spec):
    """Every setting of a trial that is neither backbone, method nor protocol. Part of the trial's id."""

    frames: Annotated[int, Field(ge=16)] = Field(description="filter-bank frames of a padded or cut clip (10 ms each)")
    mels: Annotated[int, Field(ge=16)] = Field(description="mel bands")
    stride: tuple[Count, Count] = Field(description="patch stride in (mel bands, frames); patches are 16x16")
    mean: float = Field(description="filter-bank mean for normalisation (log mel)")
    std: Annotated[float, Field(gt=0)] = Field(description="standard deviation; inputs become (x - mean) / (2 std)")
    freq_mask: Annotated[int, Field(ge=0)] = Field(description="SpecAugment: upper bound of the masked mel bands")
    time_mask: Annotated[int, Field(ge=0)] = Field(description="SpecAugment: upper bound of the masked frames")
    mixup: Share = Field(description="probability that a training clip is mixed with another")
    noise: bool = Field(description="add uniform noise to the features and roll them in time")
    loss: Literal["cross_entropy", "bce"]
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0)] = Field(description="learning rate")
    weight_decay: Annotated[float, Field(ge=0)]
    decay_start: Count = Field(description="epochs before the first decay of the learning rate")
    decay_step: Count = Field(description="epochs between decays")
    decay_gamma: Annotated[float, Field(gt=0, le=1)] = Field(description="factor of each decay")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(description="optimizer steps of warm-up; 0 for none")
    precision: TrainingPrecision = Field(
        description="amp: float16 autocast on CUDA, float32 elsewhere; bf16: bfloat16 autocast on every device, with "
        "the head of an evaluation in float32"
    )
    micro_batch: Count | None = Field(
        default=None,
        description="micro-batch size in clips, for gradient accumulation; part of the trial id only if the model has "
        "BatchNorm or dropout, whose results depend on it",
    )
    limit_clips: Count | None = Field(description="use at most this many training clips, and as many evaluation clips")
    on_bad_audio: Literal["stop", "skip"] = Field(
        description="if a file is empty, truncated or not audio: stop, or skip and record it"
    )

    schedule: Literal["step", "cosine"] = _later(
        "schedule",
        "step: the decays above; cosine: at every step, after a linear warm-up, down to min_lr_share; the "
        "decay keys and the protocol's switch `warmup` then have no effect",
    )
    min_lr_share: Share = _later(
        "min_lr_share", "learning rate at the end of a cosine schedule, as a share of lr, so that it fits a swept lr"
    )
    class_weights: Literal["none", "balanced"] = _later(
        "class_weights",
        "balanced, counted over the training inputs: with cross_entropy a clip weighs labels / (classes x labels of "
        "its class); with bce positive targets weigh negatives / positives of their class, so that both weigh the same",
    )
    sampling: Literal["shuffle", "balanced"] = _later(
        "sampling",
        "shuffle: each training clip once per epoch; balanced: as many draws with replacement, of a clip with the "
        "probability 1 / clips of its class, summed over its labels; partners of mixup are drawn as always",
    )
    label_smoothing: Part = _later("label_smoothing", "s: a target y becomes (1 - s) y + s / classes, in both losses")
    clip_norm: Annotated[float, Field(gt=0)] | None = _later(
        "clip_norm", "largest 2-norm of the gradient of all trained parameters; null for no clipping"
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = _later(
        "layer_decay",
        "factor on the learning rate per block, counted from the head down (BEiT): head and last LayerNorm 1, the last "
        "block layer_decay, the first tokens layer_decay^(blocks + 1); prompts, which belong to no block, 1",
    )
    head_dropout: Part = _later("head_dropout", "dropout between the head's LayerNorm and its linear layer")
    early_stop: Count | None = _later(
        "early_stop",
        "end training after this many epochs without a better score on the validation clips, which the dataset must "
        "list; null trains all epochs",
    )
    windows: Literal["first", "all", "random"] = _later(
        "windows",
        "clips longer than `frames`: first: only their beginning; random: training sees one random window of a clip "
        "per epoch; all: every window is a training example; random and all average the logits of all windows in an "
        "evaluation",
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later keys that are off."""
        return {key: value for key, value in serialize(self).items() if key not in OFF or value != OFF[key]}

    @property
    def values(self) -> dict[str, Any]:
        """Return every key with its value in the form of JSON, also those that are off."""
        given = self.model_dump(mode="json")
        return {name: given.get(name, OFF.get(name)) for name in type(self).model_fields}

    @model_validator(mode="after")
    def _is_possible(self) -> Recipe:
        if self.freq_mask > self.mels or self.time_mask > self.frames:
            raise ValueError("a SpecAugment mask is larger than the filter bank")
        if self.min_lr_share and self.schedule != "cosine":
            raise ValueError("min_lr_share is for the cosine schedule (use schedule cosine)")
        if self.loss == "cross_entropy" and self.mixup > 0:
            raise ValueError("cross_entropy needs one label per clip and cannot take mixup > 0 (use loss bce)")
        return self


class Condition(Spec):
    """When a layer applies: all given fields must match; a composed method in any order of its parts."""

    dataset: str | None = None
    backbone: str | None = None
    method: str | None = None
    tuning: Tuning | None = None
    backbone_recipe: bool | None = Field(default=None, description="whether the backbone declares a recipe")

    def holds(self, context: Mapping[str, Any]) -> bool:
        """Return whether the context (datasets, backbone, method, tuning, backbone_recipe) matches.

        The context has two names of a dataset where its recipe has another name, as for `folder:NAME`.
        """
        if self.method is not None and unordered(self.method) != unordered(context["method"]):
            return False
        if self.dataset is not None and self.dataset not in context["datasets"]:
            return False
        given = self.model_dump(exclude={"method", "dataset"}, exclude_none=True)
        return all(context[key] == value for key, value in given.items())


class Layer(Spec):
    """Recipe values with their source."""

    source: str
    when: Condition = Condition()
    values: dict[str, Any]
    open: str | None = Field(default=None, description="what the source does not say, and what was chosen")


class RecipeFile(Spec):
    """The content of `benchmark/spec/recipes/NAME.yaml`."""

    description: str
    layers: list[Layer]


class Resolved(Spec):
    """A recipe.

    Attributes:
        recipe: the values.
        sources: the source of every value.
        open: by value, what its source does not say.
    """

    recipe: Recipe
    sources: dict[str, str]
    open: dict[str, str]


def read_layers(name: str) -> list[Layer]:
    """Return the layers of a declared recipe, or of a user's YAML file.

    Raises:
        BenchmarkError: there is no such recipe, or its file has a mistake.
    """
    return _layers(find("recipes", name))


@functools.cache
def _layers(path: Path) -> list[Layer]:
    return validate(RecipeFile, read_yaml(path), str(path)).layers


def check_layers(layers: Iterable[Layer], where: str) -> None:
    """Check every value by itself; whether the values fit each other shows when a recipe is resolved.

    Args:
        layers: as they are declared.
        where: the file, for messages.

    Raises:
        BenchmarkError: an unknown key, or a bad value.
    """
    for layer in layers:
        for key, value in layer.values.items():
            _check_key(key, where)
            field = Recipe.model_fields[key]
            kind: Any = Annotated[field.annotation, field]
            try:
                TypeAdapter(kind).validate_python(value)
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"]
                raise BenchmarkError(f"{where}: recipe.{key}: {reason}, got {value!r}") from None


def _check_key(key: str, where: object) -> None:
    if key not in Recipe.model_fields:
        raise BenchmarkError(f"{where}: recipe.{key}: unknown key{closest(key, Recipe.model_fields)}")


def resolve_recipe(
    dataset: str,
    *,
    backbone: str,
    method: str,
    tuning: Tuning,
    overrides: Sequence[Layer],
    of_backbone: Sequence[Layer] = (),
    of_folder: Sequence[Layer] = (),
    name: str | None = None,
) -> Resolved:
    """Apply layers, weakest first.

    The order is: defaults, dataset, what was measured of a folder, backbone, what else its owner wrote into the folder,
    `overrides`.

    Args:
        dataset: the name of the recipe file.
        backbone: bare name, for conditions.
        method: bare name, for conditions.
        tuning: `full` or `peft`, as the method declares; chooses the learning rate.
        overrides: from the method, the grid and the command line, weakest first.
        of_backbone: what the backbone declares.
        of_folder: the recipe in the folder of a dataset whose recipe is measured.
        name: name of the dataset, for conditions, if it is another one.

    Raises:
        BenchmarkError: there is no recipe for the dataset, or a value is not valid.
    """
    path = find("recipes", dataset)
    context = {
        "datasets": {dataset, name}, "backbone": backbone, "method": method, "tuning": tuning,
        "backbone_recipe": bool(of_backbone),
    }  # fmt: skip
    layers: list[tuple[Path | None, Layer]] = [
        (place, layer) for place in (find("recipes", "defaults"), path) for layer in _layers(place)
    ]
    above = [
        *(_part(layer, measured=True) for layer in of_folder),
        *of_backbone,
        *(_part(layer, measured=False) for layer in of_folder),
        *overrides,
    ]
    layers += [(None, layer) for layer in above]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for place, layer in layers:
        if not layer.when.holds(context):
            continue
        for key, value in layer.values.items():
            _check_key(key, place or layer.source)
            values[key] = value
            sources[key] = layer.source
            remarks.pop(key, None)
            if layer.open:
                remarks[key] = layer.open
    where = above[-1].source if above else str(path)
    recipe = validate(Recipe, values, f"{where}: recipe for {dataset}")
    return Resolved(recipe=recipe, sources=sources, open=remarks)


def _part(layer: Layer, *, measured: bool) -> Layer:
    """Return a folder's layer with the values that were measured only, or with the others only."""
    values = {key: value for key, value in layer.values.items() if (key in MEASURED) == measured}
    return layer.model_copy(update={"values": values})

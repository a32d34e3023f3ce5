"""The complete description of a trial: everything that can change its result, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import DEMO, BackboneChoice
from benchmark.spec.grammar import path_name
from benchmark.spec.protocol import LATER, Protocol
from benchmark.spec.recipe import Layer, Recipe, TrainingPrecision, Tuning, resolve_recipe
from benchmark.spec.yaml import Spec
from benchmark.units import plural

# Left out of the id: `variant` is a name whose form depends on the defaults of its time; `pretrained` follows from the
# checkpoint, `classes` from the manifest; `micro_batch` changes no result, except where `micro_batch_matters`.
NOT_IN_ID: dict[str, Any] = {
    "method": {"variant": True},
    "backbone": {"pretrained": True},
    "dataset": {"classes": True},
    "recipe": {"micro_batch": True},
    "micro_batch_matters": True,
}
ADDED = {"micro_batch_matters", "held_out", "shots"}  # keys of a request that are left out at their defaults
AUDIOSET_NORMALISATION = (-4.2677393, 4.5689974)  # mean and std of AST's pre-training, AST@31088be egs/audioset/run.sh
SAME_NORMALISATION = 0.01
# datasets of these prefixes are folders whose content decides: their name does not fix the classes
MEASURED_DATASETS = ("folder:", "hear:", "xares:", "hf:")


class DatasetChoice(Spec):
    """A dataset, and the clips of it that are in use."""

    name: str
    manifest: str | None = Field(description="digest of the clips in use; null when the data is not at hand")
    classes: int | None = Field(
        default=None, description="outputs of the model's head; null in requests that were written before this field"
    )


class MethodPart(Spec):
    """One registered method with every hyper-parameter."""

    name: str
    options: dict[str, Any]
    source: str | None = Field(
        default=None, description="digest of its file, or package and version; null for the suite's own methods"
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `source` for the suite's own methods: their ids were defined without it."""
        return {key: value for key, value in serialize(self).items() if key != "source" or value is not None}


class MethodChoice(Spec):
    """One method, or several methods composed in order."""

    parts: Annotated[tuple[MethodPart, ...], Field(min_length=1)]
    variant: str = Field(description="names and the hyper-parameters that differ from the defaults")
    tuning: Tuning

    @property
    def name(self) -> str:
        """Return the name used in tables: `aat_ms`, `aat_m+prompt`."""
        return "+".join(part.name for part in self.parts)

    @property
    def path_name(self) -> str:
        """Return the name of the method's folder in a results folder."""
        return path_name(self.name, "" if self.variant == self.name else self.variant)


class Shots(Spec):
    """The training clips of a few-shot trial."""

    per_class: Annotated[int, Field(ge=1)] = Field(
        description="training clips per class; at least this many where clips have several labels"
    )
    draw: Annotated[int, Field(ge=0)] = Field(description="number of the draw; a draw of more shots contains this one")


class TrialRequest(Spec):
    """Backbone x dataset x method x fold x seed under one protocol."""

    backbone: BackboneChoice
    dataset: DatasetChoice
    method: MethodChoice
    fold: int = Field(description="0 where the dataset has no folds")
    seed: int
    recipe: Recipe
    protocol: Protocol
    micro_batch_matters: bool = Field(
        default=False,
        description="the recipe splits batches, and the model has BatchNorm or draws (dropout): `recipe.micro_batch` "
        "changes results and is part of the id",
    )

    held_out: bool = Field(
        default=False,
        description="trained without its test clips and scored on validation clips, to choose a setting",
    )
    shots: Shots | None = Field(default=None, description="few-shot: the training clips; null for all of them")

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what most requests were defined without, where it has its default."""
        return {name: value for name, value in serialize(self).items() if name not in ADDED or value}

    @functools.cached_property
    def id(self) -> str:
        """Return the first 12 hex digits of the sha256 of the canonical JSON."""
        return _digest(self.model_dump(mode="json", exclude=self._not_in_id))

    @property
    def _not_in_id(self) -> dict[str, Any]:
        return {key: value for key, value in NOT_IN_ID.items() if key != "recipe" or not self.micro_batch_matters}

    @property
    def splits_batches(self) -> bool:
        """Return True when a batch is trained in several parts."""
        return self.recipe.micro_batch is not None and self.recipe.micro_batch < self.recipe.batch_size

    @functools.cached_property
    def step_key(self) -> str:
        """Return a digest of everything that decides time and memory of a training step.

        Trials that share it cost the same.
        """
        backbone, protocol, dataset = self.backbone, self.protocol, self.dataset
        # how the self-supervised backbone is evaluated; keys were defined without it, for the official way
        switches = protocol.switches if backbone.pretraining != "supervised" else {}
        evaluation = {name: switches[name] for name, default in LATER.items() if switches.get(name, default) != default}
        head = dataset.name  # decides the size of the head
        if dataset.name.startswith(MEASURED_DATASETS):  # except for a folder's name; its manifest does
            head = f"{dataset.classes} classes" if dataset.classes is not None else f"{head} {dataset.manifest}"
        return _digest(
            {
                "shape": backbone.shape.model_dump(),
                "pooling": backbone.pooled_tokens(protocol.ssast_pooling),
                "prompts": protocol.prompts,
                "dataset": head,
                "method": [part.model_dump(mode="json") for part in self.method.parts],
                "recipe": self.recipe.model_dump(mode="json", exclude=NOT_IN_STEP),
                **evaluation,
                **backbone.other_architecture,
            }
        )

    @functools.cached_property
    def batches_key(self) -> str:
        """Return a digest of all but what only the optimizer sees: trials that share it train on the same batches.

        If they train nothing but the head, the input of the head is the same, too.
        """
        ignored = {key: value for key, value in NOT_IN_ID.items() if key != "recipe"}
        return _digest(self.model_dump(mode="json", exclude={**ignored, "recipe": FOR_OPTIMIZER}))

    @property
    def classes(self) -> int:
        """Return the number of outputs of the model's head.

        Raises:
            BenchmarkError: the request was written before requests held this number.
        """
        if self.dataset.classes is None:
            raise BenchmarkError(f"{self.label}: the number of classes is not known; expand the grid again")
        return self.dataset.classes

    @property
    def complete(self) -> bool:
        """Return True when the digests of data and checkpoint are known; only then is the id the final one."""
        return self.dataset.manifest is not None and (self.backbone.random_weights or self.backbone.sha256 is not None)

    @functools.cached_property
    def cell(self) -> str:
        """Return a digest of the request without fold, seed and draw: trials that may be averaged share it."""
        left_out: dict[str, Any] = {**self._not_in_id, "fold": True, "seed": True, "shots": {"draw": True}}
        return _digest(self.model_dump(mode="json", exclude=left_out))

    @property
    def draw(self) -> int:
        """Return the number of the draw of training clips; 0 without shots."""
        return self.shots.draw if self.shots else 0

    @property
    def unit(self) -> int:
        """Return what an error between trained models is counted over: the seed, in few-shot trials the draw.

        The seeds of one draw share their training clips. They are not independent, and their mean counts once.
        """
        return self.shots.draw if self.shots else self.seed

    @property
    def task(self) -> str:
        """Return the dataset, with the shots if there are any: `esc50`, `esc50[shots=4]`. Tables compare within it."""
        return f"{self.dataset.name}[shots={self.shots.per_class}]" if self.shots else self.dataset.name

    @property
    def ranking(self) -> Literal["fp16_sigmoid", "float32"]:
        """Return what clips are ranked by: the official evaluation uses autocast for AST only (defect D8)."""
        return self.protocol.eval_logits if self.backbone.pretraining == "supervised" else "float32"

    @property
    def eval_precision(self) -> TrainingPrecision:
        """Return the precision of evaluation: the official code uses autocast for AST only (defect D8)."""
        official = self.protocol.eval_precision == "float32_ssast"
        return "float32" if official and self.backbone.pretraining != "supervised" else self.recipe.precision

    @property
    def marks(self) -> list[str]:
        """Return the reasons, known from the request, why a record is not comparable with the paper."""
        marks = []
        if self.backbone.random_weights:
            marks.append("random weights")
        elif self.backbone.weights != "pretrained":
            family = f" ({self.backbone.weights_of})" if self.backbone.weights_of else ""
            marks.append(f"weights of {self.backbone.weights.removeprefix('file:')}{family}")
        if self.backbone.name.endswith(DEMO):
            marks.append("demo backbone")
        elif self.backbone.size_text != "base":
            marks.append(f"{self.backbone.size_text} backbone")
        if self.backbone.own_recipe:
            marks.append("recipe of the backbone")
        marks += self.input_changes
        if mark := recipe_mark(self.recipe_changes):
            marks.append(mark)
        if self.shots:
            marks.append(f"few-shot ({plural(self.shots.per_class, 'training clip')} per class)")
        if self.held_out:
            marks.append("validation clips, to choose a setting")
        return marks

    @property
    def input_changes(self) -> list[str]:
        """Return how the recipe's input differs from the input that the checkpoint was trained with, where it says so.

        The paper itself uses AudioSet's weights with the mean and standard deviation of each dataset.
        """
        known = self.backbone.pretrained
        if known is None:
            return []
        changes = []
        if known.mels is not None and known.mels != self.recipe.mels:
            changes.append(f"weights of {known.mels} mel bands, input of {self.recipe.mels}")
        used = (self.recipe.mean, self.recipe.std)
        if known.normalisation is not None and not any(
            all(abs(one - other) < SAME_NORMALISATION for one, other in zip(known.normalisation, usual, strict=True))
            for usual in (used, AUDIOSET_NORMALISATION)
        ):
            mean, std = known.normalisation
            changes.append(f"the checkpoint's normalisation ({mean:g}, {std:g}) is not used")
        return changes

    @functools.cached_property
    def recipe_changes(self) -> dict[str, Any]:
        """Return the recipe's values that differ from `declared_recipe`; empty if the dataset has none."""
        return self.changes_from([])

    def changes_from(self, layers: list[Layer]) -> dict[str, Any]:
        """Return the recipe's values that differ from `declared_recipe` with more layers, such as a grid's.

        It is empty if the dataset has no recipe. `on_bad_audio` is left out because the record says whether files were
        skipped, `micro_batch` where it changes no result.

        Args:
            layers: recipe layers, weakest first.
        """
        published = self.declared_recipe(layers)
        if published is None:
            return {}
        used, original = self.recipe.values, published.values
        ignored = {"on_bad_audio"} if self.micro_batch_matters else {"on_bad_audio", "micro_batch"}
        return {key: value for key, value in used.items() if value != original[key] and key not in ignored}

    def declared_recipe(self, layers: list[Layer]) -> Recipe | None:
        """Return the dataset's own recipe for this method, with what the backbone declares; None if it has none.

        Args:
            layers: more layers of the recipe, such as a grid's, weakest first.
        """
        try:
            return resolve_recipe(
                self.dataset.name,
                backbone=self.backbone.family,
                method=self.method.name,
                tuning=self.method.tuning,
                of_backbone=self.backbone.own_recipe,
                overrides=layers,
            ).recipe
        except BenchmarkError:
            return None

    @property
    def label(self) -> str:
        """Return one readable line: `reference ast[size=demo] esc50 aat_ms f1 s0`."""
        parts = (self.protocol.name, self.backbone.variant, self.task, self.method.variant)
        draw = f" draw {self.draw}" if self.shots else ""
        choice = f" choice lr={self.recipe.lr:g}" if self.held_out else ""
        return f"{' '.join(parts)} f{self.fold} s{self.seed}{draw}{choice}"

    @property
    def path_stem(self) -> str:
        """Return the path of the record under `trials/`, without its suffix."""
        name = f"f{self.fold}-s{self.seed}-{self.id}"
        return f"{self.backbone.path_name}/{dataset_path_name(self.dataset.name)}/{self.method.path_name}/{name}"


# keys of a recipe that do not change the time and memory of a step
NOT_IN_STEP = {
    *("lr", "weight_decay", "epochs", "decay_start", "decay_step", "decay_gamma", "warmup_steps", "mixup", "noise"),
    *("freq_mask", "time_mask", "mean", "std", "limit_clips", "on_bad_audio"),
    *("schedule", "min_lr_share", "class_weights", "sampling", "label_smoothing", "layer_decay", "early_stop"),
    "windows",
}

# keys of a recipe that only the loss, the optimizer and its schedule see
FOR_OPTIMIZER = {
    *("lr", "weight_decay", "decay_start", "decay_step", "decay_gamma", "warmup_steps", "schedule", "min_lr_share"),
    *("class_weights", "label_smoothing", "clip_norm", "layer_decay"),
}


def dataset_path_name(name: str) -> str:
    """Return the name of a dataset's folder in a results folder: `folder-NAME`, `hf-OWNER_NAME-HASH`."""
    base = name.partition("[")[0].replace(":./", "-").replace(":", "-")
    return path_name(base, name) if set(name) & set("/@[") else base


def recipe_mark(changes: dict[str, Any]) -> str:
    """Return the mark of a trial whose recipe differs from a paper's in these values; empty without a difference."""
    values = ", ".join(f"{key}={value}" for key, value in changes.items())
    return f"recipe changed ({values})" if values else ""


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def changed(request: TrialRequest, **values: Any) -> TrialRequest:
    """Return a copy with other values; pydantic's own copy would keep the old id."""
    return TrialRequest(**{name: getattr(request, name) for name in TrialRequest.model_fields} | values)

"""A trial, described completely: everything in a request can change the result, and nothing else is in it."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import BackboneChoice
from benchmark.spec.grammar import path_name
from benchmark.spec.protocol import Protocol
from benchmark.spec.recipe import Recipe, Tuning, resolve_recipe
from benchmark.spec.yaml import Spec

# what cannot change a result: a name of what other fields say, by the defaults of its day; how a batch is split
NOT_IN_ID: dict[str, Any] = {"method": {"variant": True}, "recipe": {"micro_batch": True}}


class DatasetChoice(Spec):
    """Dataset and the digest of the clips in use; None when the data is not at hand."""

    name: str
    manifest: str | None


class MethodPart(Spec):
    """One registered method with every hyper-parameter."""

    name: str
    options: dict[str, Any]
    source: str | None = Field(
        default=None, description="digest of its file, or package and version, where it comes from outside the suite"
    )

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The suite's own methods have no source, and their ids never had one."""
        return {key: value for key, value in serialize(self).items() if key != "source" or value is not None}


class MethodChoice(Spec):
    """A method, or several composed in order."""

    parts: Annotated[tuple[MethodPart, ...], Field(min_length=1)]
    variant: str = Field(description="names and the hyper-parameters that differ from the defaults")
    tuning: Tuning

    @property
    def name(self) -> str:
        """As written in tables: `aat_ms`, `aat_m+prompt`."""
        return "+".join(part.name for part in self.parts)

    @property
    def path_name(self) -> str:
        """Folder name in a results folder."""
        return path_name(self.name, "" if self.variant == self.name else self.variant)


class TrialRequest(Spec):
    """backbone x dataset x method x fold x seed under one protocol."""

    backbone: BackboneChoice
    dataset: DatasetChoice
    method: MethodChoice
    fold: int = Field(description="0 where the dataset has no folds")
    seed: int
    recipe: Recipe
    protocol: Protocol

    @functools.cached_property
    def id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON."""
        return _digest(self.model_dump(mode="json", exclude=NOT_IN_ID))

    @functools.cached_property
    def step_key(self) -> str:
        """Digest of what decides the time and memory of a training step: trials that share it cost the same."""
        backbone, protocol = self.backbone, self.protocol
        return _digest(
            {
                "shape": backbone.shape.model_dump(),
                "pooling": backbone.pooling if protocol.ssast_pooling == "patches" else "cls",
                "prompts": protocol.prompts,
                "dataset": self.dataset.name,  # number of classes
                "method": [part.model_dump(mode="json") for part in self.method.parts],
                "recipe": self.recipe.model_dump(mode="json", exclude=NOT_IN_STEP),
            }
        )

    @property
    def complete(self) -> bool:
        """True when the digests of data and checkpoint are known; only then the id is the trial's."""
        return self.dataset.manifest is not None and (self.backbone.random_weights or self.backbone.sha256 is not None)

    @functools.cached_property
    def cell(self) -> str:
        """Digest of the request without fold and seed: trials that may be averaged share it."""
        return _digest(self.model_dump(mode="json", exclude={**NOT_IN_ID, "fold": True, "seed": True}))

    @property
    def marks(self) -> list[str]:
        """Why a record of this request does not speak for the paper, as far as the request tells."""
        marks = []
        if self.backbone.random_weights:
            marks.append("random weights")
        elif self.backbone.weights != "pretrained":
            marks.append(f"weights of {self.backbone.weights.removeprefix('file:')}")
        if self.backbone.size != "base":
            marks.append(f"{self.backbone.size} backbone")
        if changes := self.recipe_changes:
            values = ", ".join(f"{key}={value}" for key, value in changes.items())
            marks.append(f"recipe changed ({values})")
        return marks

    @functools.cached_property
    def recipe_changes(self) -> dict[str, Any]:
        """The recipe's values that differ from the dataset's own recipe; nothing where it has none.

        Left out are `on_bad_audio`, as the record says whether files were skipped, and `micro_batch`, which changes no
        result.
        """
        try:
            own = resolve_recipe(
                self.dataset.name,
                backbone=self.backbone.family,
                method=self.method.name,
                tuning=self.method.tuning,
                overrides=[],
            ).recipe
        except BenchmarkError:
            return {}
        mine, theirs = self.recipe.model_dump(mode="json"), own.model_dump(mode="json")
        silent = {"on_bad_audio", "micro_batch"}
        return {key: value for key, value in mine.items() if value != theirs[key] and key not in silent}

    @property
    def label(self) -> str:
        """One line for people: `reference ast[size=demo] esc50 aat_ms f1 s0`."""
        parts = (self.protocol.name, self.backbone.variant, self.dataset.name, self.method.variant)
        return f"{' '.join(parts)} f{self.fold} s{self.seed}"

    @property
    def path_stem(self) -> str:
        """Path of the record under `trials/`, without its ending."""
        name = f"f{self.fold}-s{self.seed}-{self.id}"
        dataset = self.dataset.name.replace(":", "-")  # folder:NAME
        return f"{self.backbone.path_name}/{dataset}/{self.method.path_name}/{name}"


# of a recipe: what the time and memory of a step do not depend on
NOT_IN_STEP = {
    *("lr", "weight_decay", "epochs", "decay_start", "decay_step", "decay_gamma", "warmup_steps", "mixup", "noise"),
    *("freq_mask", "time_mask", "mean", "std", "limit_clips", "on_bad_audio"),
}


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]

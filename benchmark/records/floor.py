"""Floors: scores that need no backbone, which every method should beat. One file per dataset, fold and choice of clips.

A floor depends on the dataset alone, so that all methods, backbones and seeds share it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmark.files import write_atomic
from benchmark.spec.request import TrialRequest, dataset_path_name
from benchmark.spec.yaml import Spec

FLOORS = "floors"  # a folder of a results folder
CHANCE, MAJORITY, REGRESSION = "chance", "majority class", "log-mel regression"
NAMES = (CHANCE, MAJORITY, REGRESSION)


class Floor(Spec):
    """Scores without a backbone on one fold."""

    schema_version: int = 1
    settings: dict[str, Any] = Field(description="what chooses the clips and their length, see `floor_settings`")
    metric: Literal["accuracy", "map"] = Field(description="the dataset's metric")
    scores: dict[str, float] = Field(description="test score in [0, 1] by name: chance, majority class, regression")
    clips: dict[str, int] = Field(description="clips of the training and the test split")
    regression: str = Field(description="the program that fitted the regression, and its settings")
    computed: str = Field(description="UTC, ISO 8601")


def floor_settings(request: TrialRequest, fold: int | None = None) -> dict[str, Any]:
    """Return what of a request decides its floor.

    Args:
        request: a trial.
        fold: another fold than the request's.
    """
    recipe, protocol = request.recipe, request.protocol
    switches = {"openmic_test": protocol.openmic_test, "openmic_labels": protocol.openmic_labels}
    return {
        "dataset": request.dataset.name,
        "manifest": request.dataset.manifest,
        "fold": request.fold if fold is None else fold,
        "mels": recipe.mels,
        "frames": recipe.frames,
        "limit_clips": recipe.limit_clips,
        "on_bad_audio": recipe.on_bad_audio,
        **({} if recipe.windows == "first" else {"whole_clips": True}),
        **(switches if request.dataset.name == "openmic" else {}),
    }


def floor_key(settings: dict[str, Any]) -> str:
    """Return a digest of settings: the key of a floor."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def write_floor(results: Path, floor: Floor) -> None:
    """Write a floor into a results folder."""
    settings = floor.settings
    name = f"f{settings['fold']}-{floor_key(settings)}.json"
    path = results / FLOORS / dataset_path_name(str(settings["dataset"])) / name
    write_atomic(path, floor.model_dump_json(indent=1).encode() + b"\n")


def read_floors(results: Path) -> dict[str, Floor]:
    """Return the floors of a results folder by key; a damaged one is skipped with a warning."""
    found = {}
    for path in sorted((results / FLOORS).glob("*/*.json")):
        try:
            floor = Floor.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            warnings.warn(f"{path}: damaged floor; it is skipped, `floor` computes it again", stacklevel=2)
        else:
            found[floor_key(floor.settings)] = floor
    return found

"""The choice of a setting for one method, backbone and dataset, on validation clips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from benchmark.spec.grammar import path_name
from benchmark.spec.yaml import Spec


class Candidate(Spec):
    """A setting that was tried."""

    method: str = Field(description="the method as the command line takes it")
    lr: float = Field(description="learning rate")
    trial: str = Field(description="id of the trial on validation clips")
    cell: str = Field(description="digest of the final trials with this setting, without fold and seed")
    state: Literal["completed", "diverged", "failed", "missing"] = Field(
        description="failed: so often that it is not tried again; missing: not finished yet"
    )
    score: float | None = Field(description="validation score, in [0, 1]; null if not completed")
    attempts: int = Field(default=0, description="failed attempts, if there is no record")
    error: str | None = Field(default=None, description="error of the last of them, in one line; null without one")

    @property
    def label(self) -> str:
        """Return the setting in a few words: `lora[rank=4], lr 0.001`."""
        return f"{self.method}, lr {self.lr:g}"


class Choice(Spec):
    """The choice of a setting among candidates, of which the first is the default setting."""

    schema_version: int = 1
    protocol: str = Field(description="name of the protocol, with its switches")
    backbone: str = Field(description="backbone, with its options")
    dataset: str = Field(description="name of the dataset")
    method: str = Field(description="name of the method, without options")
    fold: int = Field(description="test fold of the trials, which they do not read; 0 if the dataset has no folds")
    has_folds: bool = Field(description="whether clips of the choice are test clips of other folds")
    seed: int = Field(description="seed of the trials")
    validation: str = Field(description="where the validation clips come from")
    final_trials: int = Field(description="number of final trials of one setting")
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)] = Field(description="the default first")
    chosen: int | None = Field(description="place of the chosen candidate, from 0; null while trials are missing")

    @property
    def id(self) -> str:
        """Return a digest of the candidates' trials."""
        return hashlib.sha256(" ".join(one.trial for one in self.candidates).encode()).hexdigest()[:12]

    @property
    def path_stem(self) -> str:
        """Return the path of the file in the folder of choices, without its suffix."""
        return path_name(f"{self.backbone}-{self.dataset}-{self.method}-{self.id}", "")

    @property
    def winner(self) -> Candidate | None:
        """Return the chosen candidate; None while trials are missing."""
        return None if self.chosen is None else self.candidates[self.chosen]

    def mark(self, folds: Iterable[int]) -> str:
        """Return the mark of the chosen setting's scores.

        Args:
            folds: the test folds that the scores are of.
        """
        seen = self.has_folds and any(fold != self.fold for fold in folds)
        clips = "clips of other test folds" if seen else "validation clips"
        return f"setting chosen on {clips} (of {len(self.candidates)})"

    @property
    def default_name(self) -> str:
        """Return what the first candidate is called: the default, unless values are given that lack it."""
        return "first given setting" if "[" in self.candidates[0].method else "default"

    @property
    def failed(self) -> list[Candidate]:
        """Return the candidates that failed too often."""
        return [one for one in self.candidates if one.state == "failed"]

    @property
    def finished(self) -> int:
        """Return how many candidates have a record, or failed too often."""
        return sum(one.state != "missing" for one in self.candidates)


def best_candidate(candidates: tuple[Candidate, ...]) -> int | None:
    """Return the place of the highest validation score, the first of equals.

    A diverged or failed candidate is never chosen. None while a trial is missing, or if all diverged or failed.
    """
    if any(one.state == "missing" for one in candidates):
        return None
    scores = {place: one.score for place, one in enumerate(candidates) if one.score is not None}
    return max(scores, key=lambda place: (scores[place], -place), default=None)

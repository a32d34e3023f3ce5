"""Compute the floor of a dataset: chance, the most frequent class, and a regression on statistics of log-mel bands."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmark.console import counting, say
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.parallel import in_order
from benchmark.errors import first_line
from benchmark.metrics.by_class import average_precisions, class_mean
from benchmark.progress import Progress
from benchmark.records.environment import utc_now
from benchmark.records.floor import (
    CHANCE,
    MAJORITY,
    REGRESSION,
    Floor,
    floor_key,
    floor_settings,
    read_floors,
    write_floor,
)  # fmt: skip
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import prepare
from benchmark.trial.metrics import accuracy

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.data.audio_store import AudioStore

Array = npt.NDArray[np.floating[Any]]
MAX_ITERATIONS = 1000
logger = logging.getLogger(__name__)


class Statistics:
    """Mean and standard deviation over time of every log-mel band of clips, each clip read once.

    Args:
        progress: called after each clip.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.known: dict[tuple[Path, int, int | None, str], Array] = {}

    def of(self, clips: Clips, *, whole: bool = False) -> Array:
        """Return (clips, 2 x mels) features of the frames that a model would see.

        Args:
            clips: the clips, each once.
            whole: whether a model sees all frames, in windows.
        """
        audio, frames = clips.audio, None if whole else clips.front_end.frames
        kind = (audio.folder, audio.mels, frames)
        lacking = list({clip.path: clip for clip in clips.clips if (*kind, clip.path) not in self.known}.values())
        found = in_order(functools.partial(_statistics, audio, frames), lacking, processes=True)
        for number, (clip, features) in enumerate(zip(lacking, found, strict=True), start=1):
            self.known[*kind, clip.path] = features
            if self.progress:
                self.progress(f"{audio.folder.name}: statistics of log-mel bands", number, len(lacking))
        return np.stack([self.known[*kind, clip.path] for clip in clips.clips])


def _statistics(audio: AudioStore, frames: int | None, clip: Clip) -> Array:
    bank = audio.bank(clip, 0, frames).astype(np.float64)
    return np.concatenate([bank.mean(axis=0), bank.std(axis=0)])


def compute_floor(request: TrialRequest, manifest: Manifest, cache: Path | None, statistics: Statistics) -> Floor:
    """Return the floor of a trial's dataset, fold and choice of clips.

    Chance and majority class rank all clips equally where the metric is mean average precision: both then are the mean
    share of positive clips.

    Args:
        request: the trial.
        manifest: clips of the dataset.
        cache: folder of the audio cache; None decodes.
        statistics: features of clips, kept between folds.

    Raises:
        BenchmarkError: the data changed since the request was made, or a file is bad.
    """
    whole = request.recipe.windows != "first"
    first = request.model_copy(update={"recipe": request.recipe.model_copy(update={"windows": "first"})})
    splits = prepare(first, manifest, cache).splits
    train, test = splits["train"], splits["test"]
    (truth, seen), (test_truth, test_seen) = (
        tuple(part.numpy() for part in split.targets(range(len(split)))) for split in (train, test)
    )
    features, test_features = statistics.of(train, whole=whole), statistics.of(test, whole=whole)
    metric, scores = manifest.info.metric, dict[str, float | None]()
    if metric == "accuracy":
        ranked = _one_of(features, truth.argmax(1), test_features, truth.shape[1])
        scores = {
            CHANCE: 1 / truth.shape[1],
            MAJORITY: float(np.mean(test_truth.argmax(1) == truth.sum(0).argmax())),
            REGRESSION: accuracy(ranked, test_truth),
        }
    else:
        equal = np.zeros_like(test_truth)
        share = class_mean(average_precisions(equal, test_truth, test_seen))
        ranked = _any_of(features, truth, seen, test_features)
        regression = class_mean(average_precisions(ranked, test_truth, test_seen))
        scores = {CHANCE: share, MAJORITY: share, REGRESSION: regression}
    return Floor(
        settings=floor_settings(request),
        metric=metric,
        scores={name: value for name, value in scores.items() if value is not None},
        clips={"train": len(train), "test": len(test)},
        regression=_program(),
        computed=utc_now(),
    )


def fill_floors(
    requests: Sequence[TrialRequest],
    manifests: Mapping[str, Manifest],
    cache: Path | None,
    results: Path,
    console: Console,
) -> int:
    """Write the floors that are missing and return their number; why one cannot be computed is printed, not raised.

    Args:
        requests: trials.
        manifests: clips by dataset.
        cache: folder of the audio cache; None decodes.
        results: the results folder.
        console: where progress is shown.
    """
    wanted = {
        floor_key(floor_settings(request)): request for request in requests if not (request.shots or request.held_out)
    }
    lacking = {key: wanted[key] for key in wanted.keys() - read_floors(results).keys()}
    if not lacking:
        return 0
    written = 0
    for name in sorted({request.dataset.name for request in lacking.values()}):
        folds = [request for request in lacking.values() if request.dataset.name == name]
        logger.info("%s: computing %d floors", name, len(folds))
        with counting(console) as show:
            statistics = Statistics(show)
            for request in sorted(folds, key=lambda request: request.fold):
                try:
                    write_floor(results, compute_floor(request, manifests[name], cache, statistics))
                except Exception as error:
                    logger.info("no floor", exc_info=True)
                    say(console, f"{name}, fold {request.fold}: no floor: {first_line(error)}")
                else:
                    written += 1
    return written


def _program() -> str:
    import sklearn

    return (
        f"scikit-learn {sklearn.__version__}: LogisticRegression(C=1, max_iter={MAX_ITERATIONS}) on standardised mean "
        "and standard deviation of every band"
    )


def _one_of(features: Array, labels: npt.NDArray[np.integer[Any]], test: Array, classes: int) -> Array:
    """Return (clips, classes) scores of test clips that have one label each; a class without training clip is last."""
    scores = np.full((len(test), classes), -np.inf)
    present = np.unique(labels)
    if len(present) == 1:
        scores[:, present] = 0.0
    elif len(present) == 2:
        values = _decision(features, labels, test)
        scores[:, present] = np.stack([-values, values], axis=1)
    else:
        scores[:, present] = _decision(features, labels, test)
    return scores


def _any_of(features: Array, truth: Array, seen: Array, test: Array) -> Array:
    """Return (clips, classes) scores of test clips that may have several labels, each class on its annotated clips."""
    scores = np.zeros((len(test), truth.shape[1]))
    for column in range(truth.shape[1]):
        rows = seen[:, column] > 0
        labels = truth[rows, column] > 0
        if labels.any() and not labels.all():
            scores[:, column] = _decision(features[rows], labels, test)
    return scores


def _decision(features: Array, labels: Sequence[Any] | npt.NDArray[Any], test: Array) -> Array:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as no convergence: a floor may be a little lower
        values: Array = model.fit(features, labels).decision_function(test)
    return values

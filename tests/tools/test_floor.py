"""Floors: chance, majority class and regression, on data whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.data.registry import get_dataset
from benchmark.planning.expand import expand
from benchmark.records.floor import CHANCE, MAJORITY, REGRESSION, floor_settings
from benchmark.spec.request import TrialRequest
from benchmark.tools.floor import Statistics, _any_of, _one_of, compute_floor
from benchmark.trial.data import prepare
from tests.conftest import tiny_grid

Make = Callable[..., TrialRequest]


def test_the_floor_of_a_fold(make_request: Make, data_root: Path) -> None:
    request, manifest = make_request(), get_dataset("esc50").manifest(data_root)
    seen: list[tuple[str, int, int]] = []
    statistics = Statistics(lambda *step: seen.append(step))
    floor = compute_floor(request, manifest, None, statistics)
    assert floor.clips == {"train": 12, "test": 3}
    assert floor.scores[CHANCE] == 1 / 50
    assert floor.scores[MAJORITY] == pytest.approx(1 / 3)  # three classes, one test clip each
    splits = prepare(request, manifest, None).splits

    def features(clips: list) -> np.ndarray:
        banks = [splits["train"].audio.bank(clip)[: request.recipe.frames].astype(float) for clip in clips]
        return np.stack([np.concatenate([bank.mean(0), bank.std(0)]) for bank in banks])

    train, test = splits["train"].clips, splits["test"].clips
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features(train), [clip.labels[0] for clip in train])
    expected = np.mean(model.predict(features(test)) == [clip.labels[0] for clip in test])
    assert floor.scores[REGRESSION] == pytest.approx(expected)
    assert (len(seen), floor.settings["fold"]) == (15, 1)
    compute_floor(make_request(folds=[2]), manifest, None, statistics)
    assert len(seen) == 15  # every clip was read once


@pytest.mark.slow
def test_several_labels_are_ranked_class_by_class(tmp_path: Path) -> None:
    get_dataset("openmic").synthesize(tmp_path, classes=3, clips_per_class=6, seed=0)
    grid = tiny_grid(datasets=["openmic"], folds="all", protocol="corrected")
    [request] = expand(grid, tmp_path, Path("no-checkpoints")).requests
    manifest = get_dataset("openmic").manifest(tmp_path)
    floor = compute_floor(request, manifest, None, Statistics())
    splits = prepare(request, manifest, None).splits
    truth, seen = (part.numpy() for part in splits["test"].targets(range(len(splits["test"]))))
    shares = [truth[seen[:, c] > 0, c].mean() for c in range(truth.shape[1]) if truth[seen[:, c] > 0, c].any()]
    assert floor.scores[CHANCE] == floor.scores[MAJORITY] == pytest.approx(np.mean(shares))
    assert floor.scores[REGRESSION] > floor.scores[CHANCE]
    assert floor.metric == "map"


def test_classes_that_lack_clips() -> None:
    rng = np.random.default_rng(0)
    features, test = rng.normal(size=(30, 4)), rng.normal(size=(5, 4))
    assert (_one_of(features, np.full(30, 2), test, 4).argmax(1) == 2).all()  # one class only
    labels = np.where(features[:, 0] > 0, 3, 1)
    assert (_one_of(features, labels, features, 4).argmax(1) == labels).mean() > 0.9  # two of four
    truth = np.zeros((30, 3))
    truth[:, 0], truth[:10, 1] = 1, 1  # all positive, some, none
    seen = np.ones_like(truth)
    seen[20:, 1] = 0
    scores = _any_of(features, truth, seen, features)
    assert not scores[:, [0, 2]].any()
    assert average_precision_score(truth[:20, 1], scores[:20, 1]) > truth[:20, 1].mean()


def test_what_decides_a_floor(make_request: Make) -> None:
    one = floor_settings(make_request())
    assert floor_settings(make_request(methods=["full"], seeds=[3])) == one
    assert floor_settings(make_request(folds=[2])) != one == floor_settings(make_request(folds=[2]), 1)
    limited = [{"source": "test", "values": {"limit_clips": 2}}]
    assert floor_settings(make_request(overrides=limited)) != one

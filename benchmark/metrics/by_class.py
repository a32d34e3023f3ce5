"""Metrics class by class: rankings, decisions, confusion, and how far confidence can be trusted; with numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.metrics.ranking import Scores, average_precision, roc_auc

Values = list[float | None]  # one per class; None where it is not defined
Numbers = npt.NDArray[np.int64]
BINS = 15  # of equal width, as Guo et al. 2017


def average_precisions(ranked: Scores, targets: Scores, observed: Scores) -> Values:
    """Return the average precision of every class over its observed clips; None without a positive clip."""
    return _by_class(average_precision, ranked, targets, observed, both=False)


def aucs(ranked: Scores, targets: Scores, observed: Scores) -> Values:
    """Return the area under the ROC curve of every class; None if its clips are all positive or all negative."""
    return _by_class(roc_auc, ranked, targets, observed, both=True)


def class_mean(values: Sequence[float | None]) -> float | None:
    """Return the unweighted mean over the classes that have a value; None if no class has one."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def confusion_matrix(ranked: Scores, targets: Scores) -> Numbers:
    """Return the (classes, classes) number of clips by true class, in rows, and highest class.

    Ties are decided as for accuracy, which is the trace divided by the sum.

    Args:
        ranked: (clips, classes) finite scores.
        targets: (clips, classes), each with one class.
    """
    classes = targets.shape[1]
    places = targets.argmax(1) * classes + ranked.argmax(1)
    return np.bincount(places, minlength=classes**2).reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class Decisions:
    """How often each class was there, was said to be there, and both; counts of several folds can be added.

    Attributes:
        positives: (classes,) clips of the class.
        predicted: (classes,) clips that were said to be of the class.
        hits: (classes,) clips of the class that were said to be of it.
    """

    positives: Numbers
    predicted: Numbers
    hits: Numbers

    @classmethod
    def of_confusion(cls, matrix: Numbers) -> Decisions:
        """Return the decisions of a confusion matrix."""
        return cls(matrix.sum(1), matrix.sum(0), matrix.diagonal())

    @classmethod
    def of_labels(cls, logits: Scores, targets: Scores, observed: Scores) -> Decisions:
        """Return the decisions for each label alone: it is there if its probability is above one half.

        Args:
            logits: (clips, classes).
            targets: (clips, classes), multi-hot.
            observed: (clips, classes), 0 where a class was not annotated: it is left out.
        """
        there, said = (targets > 0) & (observed > 0), (logits > 0) & (observed > 0)
        return cls(there.sum(0), said.sum(0), (there & said).sum(0))

    def __add__(self, other: Decisions) -> Decisions:
        """Return the counts of both."""
        return Decisions(self.positives + other.positives, self.predicted + other.predicted, self.hits + other.hits)

    @property
    def recall(self) -> Values:
        """Accuracy within each class; None without a clip of it."""
        return _ratios(self.hits, self.positives, self.positives)

    @property
    def precision(self) -> Values:
        """Share of hits among the clips said to be of the class; None if none was, and without a clip of the class."""
        return _ratios(self.hits, self.predicted, np.minimum(self.predicted, self.positives))

    @property
    def f1(self) -> Values:
        """Harmonic mean of recall and precision, 0 if nothing was hit; None without a clip of the class."""
        return _ratios(2 * self.hits, self.positives + self.predicted, self.positives)


@dataclass(frozen=True)
class Reliability:
    """Confidence and outcome in bins of confidence of equal width; bins of several folds and seeds can be added.

    Attributes:
        counts: (bins,) number of answers.
        confidence: (bins,) sum of their confidence.
        correct: (bins,) number of true ones.
    """

    counts: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    correct: npt.NDArray[np.float64]

    @classmethod
    def of(cls, confidence: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> Reliability:
        """Sort answers into bins, each with its upper end.

        Args:
            confidence: (answers,) in [0, 1].
            correct: (answers,) whether each is true.
        """
        bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
        return cls(*(np.bincount(bins, weights, BINS).astype(float) for weights in (None, confidence, correct)))

    @classmethod
    def of_clips(cls, logits: Scores, ranked: Scores, targets: Scores) -> Reliability:
        """Return that of the answer to each clip; its confidence is its softmax.

        Args:
            logits: (clips, classes).
            ranked: (clips, classes), what the answer is the highest of.
            targets: (clips, classes), each with one class.
        """
        answer = ranked.argmax(1)
        exponentials = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        confidence = exponentials[np.arange(len(answer)), answer] / exponentials.sum(1)
        return cls.of(confidence, answer == targets.argmax(1))

    @classmethod
    def of_labels(cls, logits: Scores, targets: Scores, observed: Scores) -> Reliability:
        """Return that of every annotated label; its confidence is its sigmoid, and it is true if the label is there.

        Args:
            logits: (clips, classes).
            targets: (clips, classes), multi-hot.
            observed: (clips, classes), 0 where a class was not annotated.
        """
        seen = observed > 0
        return cls.of((1 + np.tanh(logits[seen].astype(np.float64) / 2)) / 2, targets[seen] > 0)

    def __add__(self, other: Reliability) -> Reliability:
        """Return the bins of both."""
        return Reliability(self.counts + other.counts, self.confidence + other.confidence, self.correct + other.correct)

    @property
    def error(self) -> float | None:
        """Expected calibration error: mean distance of confidence and share of true answers; None without an answer."""
        total = self.counts.sum()
        return float(np.abs(self.correct - self.confidence).sum() / total) if total else None


def _ratios(above: Numbers, below: Numbers, needed: Numbers) -> Values:
    """Return quotients, None where nothing of what is needed is there."""
    return [float(one / other) if there else None for one, other, there in zip(above, below, needed, strict=True)]


def _by_class(
    score: Callable[[Scores, Scores], float], ranked: Scores, targets: Scores, observed: Scores, *, both: bool
) -> Values:
    values: Values = []
    for column in range(targets.shape[1]):
        rows = observed[:, column] > 0
        truth = targets[rows, column]
        possible = truth.any() and not (both and truth.all())
        values.append(float(score(truth, ranked[rows, column])) if possible else None)
    return values

"""Compute the results of a table cell by class from logits and targets."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.metrics import by_class, ranking
from benchmark.metrics.by_class import Decisions, Numbers, Reliability, Values
from benchmark.metrics.ranking import Rule, Scores
from benchmark.report.by_class.result import CLASS_METRICS, SUMMARY, Bin, ByClass, OfClass, Value


@dataclass(frozen=True)
class Trial:
    """The test clips of one trial at the reported epoch.

    Attributes:
        seed: its seed; in few-shot trials the number of the model, of all draws and seeds.
        fold: its fold.
        names: (classes,) names of the classes; None in older records.
        logits: (clips, classes).
        targets: (clips, classes), multi-hot.
        observed: (clips, classes), 0 where a class was not annotated.
    """

    seed: int
    fold: int
    names: list[str] | None
    logits: Scores
    targets: Scores
    observed: Scores


@dataclass(frozen=True)
class _OfSeed:
    """The numbers of one seed.

    Attributes:
        by_class: (classes,) by name.
        summary: by name.
        confusion: (classes, classes); None with several labels.
        reliability: bins of confidence.
    """

    by_class: dict[str, Values]
    summary: dict[str, float | None]
    confusion: Numbers | None
    reliability: Reliability

    @classmethod
    def of(cls, folds: Sequence[Trial], metric: str, rule: Rule) -> _OfSeed:
        """Compute them over folds.

        Decisions are counted over all folds. What depends on a ranking is computed within each fold and averaged, as
        scores of different models have no common scale (Forman and Scholz 2010).

        Args:
            folds: the trials.
            metric: metric of the dataset.
            rule: what clips are ranked by.
        """
        ranked = [ranking.scores(fold.logits, rule) for fold in folds]
        pairs = list(zip(folds, ranked, strict=True))
        areas = [by_class.aucs(scores, fold.targets, fold.observed) for fold, scores in pairs]
        rankings = {"auc": areas}
        confusion = None
        if metric == "accuracy":
            confusion = np.sum([by_class.confusion_matrix(scores, fold.targets) for fold, scores in pairs], axis=0)
            decisions = Decisions.of_confusion(confusion)
            bins = [Reliability.of_clips(fold.logits, scores, fold.targets) for fold, scores in pairs]
        else:
            rankings["ap"] = [
                by_class.average_precisions(scores, fold.targets, fold.observed) for fold, scores in pairs
            ]
            labels = [(fold.logits, fold.targets, fold.observed) for fold in folds]
            decisions = functools.reduce(operator.add, [Decisions.of_labels(*fold) for fold in labels])
            bins = [Reliability.of_labels(*fold) for fold in labels]
        reliability = functools.reduce(operator.add, bins)
        numbers = {"recall": decisions.recall, "precision": decisions.precision, "f1": decisions.f1}
        numbers |= {
            name: [by_class.class_mean(values) for values in zip(*of_folds, strict=True)]
            for name, of_folds in rankings.items()
        }
        summary = {
            "macro_f1": by_class.class_mean(decisions.f1),
            "balanced_accuracy": by_class.class_mean(decisions.recall) if metric == "accuracy" else None,
            "macro_auc": by_class.class_mean([by_class.class_mean(values) for values in areas]),
            "ece": reliability.error,
        }
        return cls(numbers, summary, confusion, reliability)


def compute(trials: Sequence[Trial], metric: Literal["accuracy", "map"], rule: Rule) -> ByClass:
    """Compute the results by class of the trials of a cell."""
    seeds = sorted({trial.seed for trial in trials})
    of_seeds = [_OfSeed.of([trial for trial in trials if trial.seed == seed], metric, rule) for seed in seeds]
    folds = [trial for trial in trials if trial.seed == seeds[0]]
    annotated = np.sum([(fold.observed > 0).sum(0) for fold in folds], axis=0)
    if metric == "accuracy":
        support = np.sum([np.bincount(fold.targets.argmax(1), minlength=len(annotated)) for fold in folds], axis=0)
    else:
        support = np.sum([((fold.targets > 0) & (fold.observed > 0)).sum(0) for fold in folds], axis=0)
    names = next(filter(None, (trial.names for trial in trials)), [f"class {number}" for number in range(len(support))])
    classes = tuple(
        OfClass(
            name=name,
            clips=int(annotated[place]),
            support=int(support[place]),
            values={
                key: Value.over([numbers.by_class[key][place] for numbers in of_seeds]) for key in CLASS_METRICS[metric]
            },
        )
        for place, name in enumerate(names)
    )
    matrices = [numbers.confusion for numbers in of_seeds if numbers.confusion is not None]
    return ByClass(
        metric=metric,
        seeds=tuple(seeds),
        classes=classes,
        summary={key: Value.over([numbers.summary[key] for numbers in of_seeds]) for key in SUMMARY},
        confusion=tuple(map(tuple, np.mean(matrices, axis=0).tolist())) if matrices else None,
        calibration=_bins(functools.reduce(operator.add, [numbers.reliability for numbers in of_seeds])),
    )


def _bins(reliability: Reliability) -> tuple[Bin, ...]:
    size, total = 1 / by_class.BINS, float(reliability.counts.sum())
    sums = zip(reliability.counts, reliability.confidence, reliability.correct, strict=True)
    return tuple(
        Bin(
            low=place * size,
            high=(place + 1) * size,
            share=float(count / total) if total else 0.0,
            confidence=float(confidence / count) if count else None,
            correct=float(correct / count) if count else None,
        )
        for place, (count, confidence, correct) in enumerate(sums)
    )

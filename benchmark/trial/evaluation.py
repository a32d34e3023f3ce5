"""Evaluate the held-out splits of a trial after its epochs, where their scores count."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.loader import Batch, Batches, take_number_of_pass
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import evaluation_has_effects
from benchmark.trial.evaluation_plan import is_test, is_test_needed, stops_early
from benchmark.trial.frozen_features import FrozenFeatures, runs_known_code
from benchmark.trial.history import History, Scores
from benchmark.trial.metrics import evaluate
from benchmark.trial.selection import selection_rule
from benchmark.trial.train_step import Trainer

TRIED_CLIPS = 2


class Evaluation:
    """Evaluates validation after every epoch, and the test split after epochs that may be the reported one.

    A model whose evaluation draws random numbers or changes buffers is evaluated completely after every epoch: what
    comes after an evaluation depends on it. A pass that is left out takes its number from torch's generator.

    Args:
        request: the trial.
        info: facts of its dataset.
        trainer: evaluates the model.
        held_out: batches by split.
        test_curves: evaluate the test split after every epoch.
        kept_bytes: largest size of what is kept of the frozen part.
    """

    def __init__(
        self,
        request: TrialRequest,
        info: DatasetInfo,
        trainer: Trainer,
        held_out: Mapping[str, Batches],
        *,
        test_curves: bool,
        kept_bytes: int,
    ) -> None:
        self._request = request
        self._metric = info.metric
        self._rule = selection_rule(request, info)
        self._trainer = trainer
        self._held_out = {name: held_out[name] for name in sorted(held_out, key=is_test)}
        leaves_out = "test" in held_out and self._rule != "best_on_test" and not test_curves
        self._complete = not (leaves_out and self._can_be_left_out())
        self._features = FrozenFeatures(trainer.model, kept_bytes)

    def after_epoch(self, history: History, epoch: int, *, is_last: bool) -> Scores:
        """Evaluate the splits that count, keep the outputs in `history`, and return the metrics by split.

        Args:
            history: the epochs before.
            epoch: number of the epoch, from 1.
            is_last: whether training ends with it.
        """
        scores: Scores = {}
        for name, batches in self._held_out.items():
            if name == "test" and not self._complete and not self._is_test_needed(history, scores, is_last=is_last):
                take_number_of_pass()
                continue
            logits, targets, observed = self._predict(name, batches, is_last=is_last)
            history.logits.setdefault(name, {})[epoch] = logits
            history.targets[name], history.observed[name] = targets, observed
            scores[name] = evaluate(logits, targets, observed, self._request.ranking)
        return scores

    def stops(self, history: History, scores: Scores) -> bool:
        """Return whether the recipe's early stopping ends training after an epoch.

        Args:
            history: the epochs before.
            scores: metrics of this epoch by split.
        """
        return stops_early(self._rule, self._validation(history, scores), self._request.recipe.early_stop)

    def _can_be_left_out(self) -> bool:
        """Return whether training continues equally if a pass is left out; outside code is tried on a copy."""
        trainer, recipe = self._trainer, self._request.recipe
        if runs_known_code(trainer.model.eval()):
            return True
        features = torch.zeros(TRIED_CLIPS, recipe.frames, recipe.mels, device=trainer.clock.device)
        return not evaluation_has_effects(
            trainer.model, lambda model: trainer.forward.uncompiled(features, trainer.evaluation, model)
        )

    def _is_test_needed(self, history: History, scores: Scores, *, is_last: bool) -> bool:
        is_last = is_last or self.stops(history, scores)
        return is_test_needed(self._rule, self._validation(history, scores), is_last=is_last)

    def _validation(self, history: History, scores: Scores) -> list[float | None]:
        points = [*(point.splits for point in history.curves), scores]
        return [point["validation"][self._metric] for point in points if "validation" in point]

    def _predict(self, name: str, batches: Batches, *, is_last: bool) -> Batch:
        """Evaluate the clips of a split; the logits of a clip are the means over its windows."""
        logits, targets, observed = self._predict_inputs(name, batches, is_last=is_last)
        if (windows := batches.clips.windows) is None:
            return logits, targets, observed
        return windows.average(logits), targets[windows.firsts], observed[windows.firsts]

    def _predict_inputs(self, name: str, batches: Batches, *, is_last: bool) -> Batch:
        """Evaluate a split, from the kept outputs of the model's frozen part if there are some."""
        trainer, features = self._trainer, self._features
        trainer.model.eval()
        if kept := features.of(name):
            take_number_of_pass()
            outputs, rest = kept
            sizes = [len(output) for output in outputs]
            truths = (torch.split(tensor, sizes) for tensor in batches.clips.targets(range(len(batches.clips))))
            return trainer.predict(zip(outputs, *truths, strict=True), rest)
        found = trainer.predict(batches, None if is_last else features.keeping(name, len(batches.clips)))
        trainer.memory.kept_bytes = features.bytes
        return found

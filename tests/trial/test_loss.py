"""Losses with class weights and label smoothing against torch's own definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmark.data.targets import mix_targets
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.loss import balanced_weights, loss_of, share_of_part
from benchmark.trial.train_step import Trainer
from tests.conftest import TINY_RECIPE

CLASSES = 4
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, CLASSES, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 3, 3, 0, 3])
TARGETS = functional.one_hot(LABELS, CLASSES).double()
OBSERVED = torch.ones_like(TARGETS)
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_is_torchs(weights: torch.Tensor | None, smoothing: float) -> None:
    expected = torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)(LOGITS, LABELS)
    found = loss_of(LOGITS, TARGETS, OBSERVED, "cross_entropy", weights, smoothing)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_binary_cross_entropy_is_torchs_on_the_targets_that_cross_entropy_smooths_to(
    weights: torch.Tensor | None,
) -> None:
    """The smoothed targets of torch's cross entropy are found by its gradient: softmax minus targets."""
    logits = LOGITS.clone().requires_grad_()
    functional.cross_entropy(logits, LABELS, label_smoothing=0.3, reduction="sum").backward()
    assert logits.grad is not None
    smoothed = LOGITS.softmax(1) - logits.grad
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=weights)(LOGITS, smoothed)
    torch.testing.assert_close(loss_of(LOGITS, TARGETS, OBSERVED, "bce", weights, 0.3), expected)
    plain = torch.nn.BCEWithLogitsLoss(pos_weight=weights)(LOGITS, TARGETS)
    torch.testing.assert_close(loss_of(LOGITS, TARGETS, OBSERVED, "bce", weights), plain)


def test_a_mixture_of_smoothed_targets_is_the_smoothed_mixture() -> None:
    """Mixup needs no rule of its own: the loss of a mixture stays the mixture of the losses."""
    share, other = torch.full((6, 1), 0.7, dtype=torch.float64), TARGETS.flip(0)
    mixed, seen = mix_targets((TARGETS, OBSERVED), (other, OBSERVED), share)
    both = [loss_of(LOGITS, targets, OBSERVED, "bce", WEIGHTS, 0.2) for targets in (TARGETS, other)]
    torch.testing.assert_close(loss_of(LOGITS, mixed, seen, "bce", WEIGHTS, 0.2), 0.7 * both[0] + 0.3 * both[1])


@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_the_parts_of_a_batch_add_up(kind: str) -> None:
    observed = OBSERVED.clone()
    observed[0, 1:] = 0
    whole = (TARGETS, observed)
    total = torch.zeros((), dtype=torch.float64)
    for rows in (slice(0, 2), slice(2, 6)):
        share = share_of_part((TARGETS[rows], observed[rows]), whole, kind, WEIGHTS)  # type: ignore[arg-type]
        total += share * loss_of(LOGITS[rows], TARGETS[rows], observed[rows], kind, WEIGHTS, 0.1)  # type: ignore[arg-type]
    torch.testing.assert_close(total, loss_of(LOGITS, TARGETS, observed, kind, WEIGHTS, 0.1))  # type: ignore[arg-type]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    truth = np.stack([TARGETS.numpy() > 0, np.ones((6, CLASSES), bool)])
    present = [0, 1, 3]
    expected = compute_class_weight("balanced", classes=np.array(present), y=LABELS.numpy())
    found = balanced_weights(truth, "cross_entropy")
    assert found[present].tolist() == pytest.approx(expected.tolist())
    assert found[2] == 1  # no clip has it
    assert balanced_weights(np.stack([np.eye(3, dtype=bool)] * 2), "cross_entropy").tolist() == [1, 1, 1]


def test_positives_and_negatives_weigh_the_same_in_binary_cross_entropy() -> None:
    """The rule of torch's documentation: 100 positives and 300 negatives make a weight of 3."""
    present, annotated = np.zeros((400, 5), bool), np.ones((400, 5), bool)
    present[:100, 0] = present[:320, 1] = present[:, 2] = present[:50, 4] = True  # no clip has class 3
    annotated[:200, 4] = False
    annotated[:50, 4] = True
    found = balanced_weights(np.stack([present, annotated]), "bce")
    assert found.tolist() == [3, 0.25, 1, 1, 4]
    logits, targets = torch.zeros(400, 5).requires_grad_(), torch.from_numpy(present).float()
    loss_of(logits, targets, torch.from_numpy(annotated).float(), "bce", found).backward()
    assert logits.grad is not None
    assert logits.grad.sum(0)[[0, 1, 4]].tolist() == pytest.approx([0, 0, 0], abs=1e-6)  # neither side pulls more


@pytest.mark.parametrize("recipe", [{"loss": "cross_entropy"}, {"loss": "bce", "mixup": 0.5}])
def test_bfloat16_trains_with_weights_smoothing_and_clipping(
    recipe: dict[str, object], make_request: Callable[..., TrialRequest]
) -> None:
    values = {**TINY_RECIPE, **recipe, "precision": "bf16", "label_smoothing": 0.1, "clip_norm": 0.5, "micro_batch": 4}
    request = make_request(overrides=[{"source": "test", "values": values}])
    weights = torch.tensor([1.0, 2.0, 0.5])
    trainer = Trainer(build_model(request, 3).model, request, torch.device("cpu"), class_weights=weights)
    targets = functional.one_hot(torch.arange(6) % 3, 3).float()
    loss = trainer.train([(torch.randn(6, 64, 128), targets, torch.ones_like(targets))])
    assert 0 < loss < 10

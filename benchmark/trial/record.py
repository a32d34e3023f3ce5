"""Make the record of a trained trial, and what is stored beside it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import torch

from benchmark import nvml
from benchmark.errors import first_line
from benchmark.methods.registry import find_method
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import capture, utc_now
from benchmark.records.schema import Cost, Labels, Plugin, Profile, Record, Selection, Verified
from benchmark.spec.backbone import load_backbone
from benchmark.spec.request import TrialRequest
from benchmark.trial.adapter_file import pack
from benchmark.trial.assemble import Assembled
from benchmark.trial.code_digest import code_digest
from benchmark.trial.device import device_name
from benchmark.trial.fit import Fitted
from benchmark.trial.history import History, Predictions
from benchmark.trial.matrix_products import library
from benchmark.trial.outside import outside_parts
from benchmark.trial.selection import choose, kept_epochs, reported_split
from benchmark.trial.setting import Setting

logger = logging.getLogger(__name__)


class Finished(NamedTuple):
    """What a trial leaves.

    Attributes:
        record: the record.
        predictions: arrays stored beside the record.
        weights: content of the file with the trained parameters; None when it was not asked for.
    """

    record: Record
    predictions: Predictions
    weights: bytes | None


def finish(request: TrialRequest, setting: Setting, parts: Assembled, fitted: Fitted, started: str) -> Finished:
    """Choose the epoch and make the record, the predictions and, if asked for, the file of trained parameters.

    A trial that diverged keeps no parameters.

    Args:
        request: the trial.
        setting: where it ran.
        parts: model and data, after training.
        fitted: what the epochs left; predictions that the selection does not need are dropped.
        started: when the trial began, as in `utc_now`.
    """
    history, info = fitted.history, parts.info
    diverged = history.diverged(info.metric, reported_split(request))
    selection = choose(request, info, history.curves, diverged=diverged)
    history.prune(kept_epochs(selection, len(history.curves)))
    record = _make_record(request, setting, parts, fitted, selection, started)
    weights = (
        _pack_weights(request, parts, history, selection) if setting.options.keep_weights and not diverged else None
    )
    return Finished(record, history.predictions(request, parts.data, info), weights)


def _make_record(
    request: TrialRequest, setting: Setting, parts: Assembled, fitted: Fitted, selection: Selection, started: str
) -> Record:
    history, device = fitted.history, parts.trainer.clock.device
    environment, environment_hash = capture(
        device=device_name(device),
        **_libraries(device),
        threads=setting.threads,
        deterministic=setting.options.deterministic,
        compilation=parts.trainer.forward.name,
        banks_on_gpu=parts.data.held_bytes > 0,
        checkpointing=setting.options.checkpointing,
    )
    return Record(
        id=request.id,
        request=request,
        status="diverged" if history.diverged(parts.info.metric, selection.split) else "completed",
        data=parts.data.data.model_copy(update={"verified": _verified(request, setting)}),
        selection=selection,
        curves=history.curves,
        stopped_early=history.stopped_early,
        parameters=parts.parameters,
        cost=setting.cost or _count_cost(request, setting, parts.data.data.classes),
        profile=_make_profile(setting, parts, fitted),
        environment=environment,
        environment_hash=environment_hash,
        numerics_version=NUMERICS_VERSION,
        fingerprint=code_digest(request),
        plugins={
            name: Plugin(distribution=external.distribution, version=external.version)
            for name, external in outside_parts([request]).items()
        },
        labels=_labels(request, parts.info.label),
        started=started,
        finished=utc_now(),
    )


def _labels(request: TrialRequest, dataset: str) -> Labels:
    return Labels(
        methods={part.name: find_method(part.name).label for part in request.method.parts},
        datasets={request.dataset.name: dataset},
        backbones={request.backbone.name: load_backbone(request.backbone.name).label},
    )


def _verified(request: TrialRequest, setting: Setting) -> Verified | None:
    found = setting.options.verified.get(request.dataset.manifest or "")
    return None if found is None else Verified.model_validate(found)


def _libraries(device: torch.device) -> dict[str, Any]:
    """Return what computes: versions of CUDA, driver and cuDNN; the library of matrix products and its instructions."""
    found: dict[str, Any] = {"blas": library(), "cuda": None}
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda, "driver": nvml.driver(), "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return found


def _count_cost(request: TrialRequest, setting: Setting, classes: int) -> Cost | None:
    """Count the cost of a step; None if it cannot be counted, which must not cost a trained trial its record."""
    from benchmark.trial.cost import count_cost  # takes a second to import

    try:
        return count_cost(request, classes, checkpointing=setting.options.checkpointing)
    except Exception as error:  # whatever a method does on tensors without values
        logger.warning("%s: its cost cannot be counted: %s", request.label, first_line(error))
        return None


def _make_profile(setting: Setting, parts: Assembled, fitted: Fitted) -> Profile:
    trainer = parts.trainer
    device, seconds = trainer.clock.device, trainer.clock.so_far()
    trained_clips = len(fitted.history.curves) * parts.data.data.inputs["train"]
    training, evaluation = trainer.memory.training, trainer.memory.evaluation
    assert training is not None
    assert evaluation is not None
    # Resident memory belongs to the process: it says nothing of one trial when the process ran others before.
    own = setting.fresh_process
    return Profile(
        device=device_name(device),
        precision=trainer.precision.name,
        exclusive=setting.options.exclusive,
        resumed_epochs=fitted.resumed_epochs,
        seconds=seconds,
        shares_features=fitted.shares_features,
        train_clips_per_second=(
            None if fitted.shares_features else trained_clips / (seconds["train"] + seconds["data"])
        ),
        joules_per_epoch=trainer.energy.joules if setting.gpu_share == 1 and not fitted.shares_features else None,
        gpu_hours=setting.gpu_share * seconds["total"] / 3600 if device.type == "cuda" else None,
        gpu_allocated_bytes=training.allocated,
        gpu_reserved_bytes=training.reserved,
        host_rss_bytes=training.host if own else None,
        gpu_eval_allocated_bytes=evaluation.allocated,
        gpu_eval_reserved_bytes=evaluation.reserved,
        host_eval_rss_bytes=evaluation.host if own else None,
    )


def _pack_weights(request: TrialRequest, parts: Assembled, history: History, selection: Selection) -> bytes:
    front_end = parts.data.splits["train"].front_end
    return pack(parts.trainer.model, request, history.curves[-1], selection, parts.info.classes, front_end)

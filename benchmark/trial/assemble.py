"""Put together what a trial needs before its first epoch: data, model, optimizer."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import NamedTuple

import torch

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Manifest
from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import hold_out
from benchmark.data.worker_processes import start_server
from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.class_checkpoint import read_weights
from benchmark.models.weights import digest
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.schema import Parameters
from benchmark.spec.request import TrialRequest
from benchmark.trial.banks import with_banks
from benchmark.trial.build import build_model
from benchmark.trial.data import TrialData, prepare, training_order
from benchmark.trial.device import set_up_device
from benchmark.trial.loss import balanced_weights
from benchmark.trial.outside import load_places
from benchmark.trial.setting import Setting
from benchmark.trial.train_step import Trainer

REMEMBERED_SECONDS = 300.0  # after which a worker notices that the data changed during a run

logger = logging.getLogger(__name__)


class _ManifestRead(NamedTuple):
    """The manifest that this process read last.

    Attributes:
        key: dataset, data root, and name of the call of `run`.
        until: when it is read again, as `time.monotonic`.
        manifest: the clips.
    """

    key: tuple[str, Path, str]
    until: float
    manifest: Manifest


_manifest_read: _ManifestRead | None = None


class Assembled(NamedTuple):
    """A trial that is ready for its first epoch.

    Attributes:
        info: facts of the dataset.
        data: clips of every split.
        trainer: model, optimizer and schedule on the trial's device.
        parameters: counts of the model's parameters.
    """

    info: DatasetInfo
    data: TrialData
    trainer: Trainer
    parameters: Parameters


def assemble(request: TrialRequest, setting: Setting, *, validation_only: bool = False) -> Assembled:
    """Set up device, data and model of a trial.

    Args:
        request: the trial.
        setting: where it runs.
        validation_only: leave the test clips out and hold out a validation split, as a search does, also where the
            request does not say so.

    Raises:
        BenchmarkError: bad data, a changed checkpoint, or a method that does not fit the model.
    """
    began = time.perf_counter()
    _check_version(setting)
    load_places(setting.outside)
    device = set_up_device(setting)
    manifest = _manifest(request, setting, validation_only=validation_only)
    data = with_banks(prepare(request, manifest, setting.options.cache), setting, device)
    if data.loaders(setting.workers):
        start_server()  # imports torch while this process reads weights
    trainer, parameters = _make_trainer(request, setting, device, data)
    trainer.memory.left_out = data.held_bytes
    trainer.clock.began = began
    trainer.clock.seconds["setup"] = time.perf_counter() - began
    logger.debug("%s: ready on %s after %.1f s", request.label, device, trainer.clock.seconds["setup"])
    return Assembled(manifest.info, data, trainer, parameters)


def _check_version(setting: Setting) -> None:
    """Refuse a trial that was submitted by code with other numerics: the driver and this worker differ."""
    if setting.numerics_version != NUMERICS_VERSION:
        raise BenchmarkError(
            f"numerics version {NUMERICS_VERSION} here, but the trial was submitted by version "
            f"{setting.numerics_version}; call `run` again"
        )


def _manifest(request: TrialRequest, setting: Setting, *, validation_only: bool) -> Manifest:
    manifest = _read_manifest(request.dataset.name, setting.options.data_root, setting.run)
    return hold_out(manifest, request.fold).manifest if validation_only or request.held_out else manifest


def _read_manifest(dataset: str, data_root: Path, run: str) -> Manifest:
    """Return the clips of a dataset, which this process remembers for some minutes.

    To look at the 105,829 files of Speech Commands takes seconds, which reused workers would spend before every trial.
    """
    global _manifest_read  # noqa: PLW0603
    key, now = (dataset, data_root, run), time.monotonic()
    if not (run and _manifest_read and _manifest_read.key == key and now < _manifest_read.until):
        manifest = get_dataset(dataset).manifest(data_root)
        _manifest_read = _ManifestRead(key, now + REMEMBERED_SECONDS, manifest)
    return _manifest_read.manifest


def _make_trainer(
    request: TrialRequest, setting: Setting, device: torch.device, data: TrialData
) -> tuple[Trainer, Parameters]:
    model, parameters, groups = build_model(request, data.data.classes, _read_weights(request, setting))
    options, train = setting.options, data.splits["train"]
    weights = balanced_weights(train.truth, request.recipe.loss) if request.recipe.class_weights == "balanced" else None
    trainer = Trainer(
        model.to(device),
        request,
        device,
        groups,
        compiled=options.compile,
        checkpointing=options.checkpointing,
        steps_per_epoch=len(training_order(request, train)),
        class_weights=weights,
    )
    return trainer, parameters


def _read_weights(request: TrialRequest, setting: Setting) -> Checkpoint | None:
    """Read the backbone's checkpoint and compare its digest with the request's; None for random weights."""
    backbone = request.backbone
    if backbone.random_weights:
        return None
    path = setting.options.checkpoints.get(backbone.sha256 or "")
    if path is None or digest(path) != backbone.sha256:
        raise BenchmarkError(f"{backbone.variant}: its checkpoint changed since this trial was planned; run again")
    return read_weights(backbone, path)

"""The input of the head, computed once for several trials that train nothing but the head.

Trials of a run that differ in what only the optimizer sees, such as the learning rate, train on the same batches. Where
the model is frozen up to the head, they also have the same input of the head in every epoch, which is small. The first
trial that needs an epoch's input computes it and writes it to a file; the others wait for the file and read it. All
else of a trial is its own: if one fails, another one computes what it has not written. Results are equal bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from benchmark.data.loader import Batch, Batches, take_number_of_pass
from benchmark.errors import first_line
from benchmark.files import existing_folder, open_atomic
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.lease import Lease
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import split_changes_results
from benchmark.trial.device import device_name
from benchmark.trial.frozen_features import FrozenPart
from benchmark.trial.matrix_products import library
from benchmark.trial.setting import Setting
from benchmark.trial.train_step import Trainer

LOOK_EVERY_SECONDS = 0.1
SPARE_BYTES = 2 * 10**9  # that stay free on the disk, for records and resume states

logger = logging.getLogger(__name__)


class SharedFeatures:
    """Trains the head of a trial on input that other trials may have computed.

    Args:
        part: the frozen part of the trial's model, all but the head.
        trainer: of the trial.
        folder: of the files; trials with other batches or on another kind of machine have other folders.
    """

    def __init__(self, part: FrozenPart, trainer: Trainer, folder: Path) -> None:
        self._part = part
        self._trainer = trainer
        self._folder = folder

    @classmethod
    def of(cls, request: TrialRequest, trainer: Trainer, setting: Setting) -> SharedFeatures | None:
        """Return how a trial shares its features; None if it does not.

        It does not if no other trial of the run has the same batches, if more than the head trains, if the model draws
        random numbers, or if the folder of the run is on another machine.
        """
        root = setting.features
        if root is None or setting.sharers < 2 or not root.parent.is_dir():
            return None
        trainer.model.eval()
        part = FrozenPart.of(trainer.model)
        if part is None or not part.pooled or split_changes_results(request):
            return None
        folder = root / _key(request, trainer, setting)
        logger.info("%s: %d trials share the input of the head, in %s", request.label, setting.sharers, folder)
        return cls(part, trainer, folder)

    def train(self, epoch: int, batches: Batches) -> float:
        """Train the head for one epoch; return as `Trainer.train`.

        Args:
            epoch: number of the epoch, from 1.
            batches: of this epoch; not read if another trial has computed the input of the head.
        """
        with closing(self._inputs(epoch, batches)) as inputs:
            return self._trainer.train(inputs, self._part.after)

    def finish(self, trial_id: str, sharers: int) -> None:
        """Remove the files when this was the last trial that needs them.

        Args:
            trial_id: the trial, which has trained all its epochs.
            sharers: number of trials that share the files.
        """
        try:
            done = self._folder / "done"
            done.mkdir(parents=True, exist_ok=True)
            (done / trial_id).touch()
            if len(list(done.iterdir())) >= sharers:
                shutil.rmtree(self._folder, ignore_errors=True)
        except OSError as error:  # the run removes them at its end
            logger.info("%s: not removed: %s", self._folder, first_line(error))

    def _inputs(self, epoch: int, batches: Batches) -> Generator[Batch, None, None]:
        """Yield (B, D) input of the head, targets and observed classes of every batch."""
        path = self._folder / f"epoch-{epoch}"
        while not path.is_file():
            try:
                lease = Lease.take(self._folder, path.name)
            except OSError as error:
                logger.warning("%s: not shared: %s", path, first_line(error))
                yield from self._computed(batches, None)
                return
            if lease is None:  # another trial is computing it
                time.sleep(LOOK_EVERY_SECONDS)
                continue
            with lease:
                if not path.is_file():
                    yield from self._computed(batches, path)
                    return
        take_number_of_pass()
        yield from _read(path, self._trainer.clock.device)

    def _computed(self, batches: Batches, path: Path | None) -> Iterator[Batch]:
        """Yield the input of the head as it is computed; write it to a file, which appears when it is complete."""
        with EpochFile(path) as file:
            for features, targets, observed in batches:
                batch = self._head_input(features), targets, observed
                file.add(batch)
                yield batch
            file.is_complete = True

    def _head_input(self, features: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) -> (B, D), in the same micro-batches as in a trial of its own."""
        trainer = self._trainer
        with torch.no_grad():
            parts = [
                trainer.forward.uncompiled(part, trainer.precision, self._part.before)
                for part in torch.split(features, trainer.micro_batch or len(features))
            ]
        return torch.cat(parts)


class EpochFile:
    """A file of batches, written one by one; a disk without room costs other trials the file, and nothing else.

    Args:
        path: the file; None writes none.

    Attributes:
        is_complete: whether all batches were added; else there is no file at the end.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self._handle: BinaryIO | None = None
        self.is_complete = False

    def __enter__(self) -> EpochFile:
        if self._path and shutil.disk_usage(existing_folder(self._path)).free > SPARE_BYTES:
            try:
                self._handle = self._stack.enter_context(open_atomic(self._path))
            except OSError as error:
                self._give_up(error)
        return self

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        if self._handle is None:
            return
        try:
            for tensor in batch:
                np.save(self._handle, tensor.cpu().numpy())
        except OSError as error:
            self._give_up(error)

    def __exit__(self, *_: object) -> None:
        if not self.is_complete:
            self._give_up(RuntimeError("not all of it was computed"))
            return
        try:
            self._stack.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Remove what was written."""
        logger.info("%s: not written: %s", self._path, first_line(error))
        self._handle = None
        with suppress(OSError):  # closing the file writes what is left of it
            self._stack.__exit__(type(error), error, None)


def _read(path: Path, device: torch.device) -> Iterator[Batch]:
    """Yield the batches of a complete file, on a device."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        while handle.tell() < size:
            features, targets, observed = (torch.from_numpy(np.load(handle)).to(device) for _ in range(3))
            yield features, targets, observed


def _key(request: TrialRequest, trainer: Trainer, setting: Setting) -> str:
    """Return a digest of all that the input of the head depends on, rounding included: no other machine shares it."""
    content = [
        request.batches_key, NUMERICS_VERSION, torch.__version__, device_name(trainer.clock.device),
        trainer.precision.name, setting.threads, setting.options.deterministic, library(), platform.node(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

"""Processes that read the batches of a trial."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Clips, Loaded
from benchmark.data.manifest import Clip
from benchmark.data.order import Item
from benchmark.data.targets import Truth
from benchmark.data.windows import Windows
from benchmark.data.worker_processes import WorkerContext
from benchmark.temporary import shared_memory

SPARE_BYTES = 500 * 10**6  # in /dev/shm
AT_ONCE = 8  # batches of the same size for which there must be room: other workers and trials send theirs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Work:
    """A batch to read, with everything about it that a worker has to know.

    Attributes:
        clips: the clips of the batch and their partners.
        truth: their targets.
        front_end: settings of the features.
        item: the batch; positions are those in `clips`.
        banks: whether to read the filter banks, which the device may hold.
        windows: which part of each clip is read.
    """

    clips: list[Clip]
    truth: Truth
    front_end: FrontEnd
    item: Item
    banks: bool
    windows: Windows | None = None


@dataclass(frozen=True)
class _Caught:
    """An error of a worker.

    Attributes:
        error: the error.
        trace: its traceback.
    """

    error: Exception
    trace: str


class DataWorkers:
    """Processes that read batches; all splits of a trial share them, one split at a time.

    Workers draw no random numbers: all draws are part of the batches. They take nothing from the global generators
    either, so that a resumed trial draws what an undisturbed one does.

    Args:
        audio: where the audio is read; sent to each worker once.
        number: of processes.
        device: where the batches are used.
    """

    def __init__(self, audio: AudioStore, number: int, device: torch.device) -> None:
        self._queue = _Queue()
        self._loader: DataLoader[Loaded | bytes | _Caught] = DataLoader(
            _Reader(pickle.dumps(audio)),
            batch_size=None,  # an item is a batch already
            sampler=self._queue,
            num_workers=number,
            persistent_workers=True,  # they start once, not in every epoch
            pin_memory=device.type == "cuda",
            worker_init_fn=_set_up,
            multiprocessing_context=WorkerContext(),
            generator=torch.Generator(),  # the seeds of the workers, which they do not use
        )

    @classmethod
    def of(cls, clips: Clips, number: int, device: torch.device) -> DataWorkers | None:
        """Return workers for all clips of the same audio; None if there shall be none.

        Args:
            clips: any split of the trial.
            number: of processes; 0 for none.
            device: where the batches are used.
        """
        return cls(clips.audio, number, device) if number else None

    def load(self, items: Iterable[tuple[Clips, Item]]) -> Iterator[Loaded]:
        """Yield the batches of an epoch in order.

        Raises:
            Exception: what reading a batch raised in its worker, with the worker's traceback as a note.
        """
        self._queue.items = items
        yield from _opened(self._loader)


def _opened(sent: Iterable[Loaded | bytes | _Caught]) -> Iterator[Loaded]:
    """Yield batches as workers made them, and raise their errors."""
    for loaded in sent:
        if isinstance(loaded, _Caught):
            loaded.error.add_note(f"In a data worker:\n{loaded.trace}")
            raise loaded.error
        yield pickle.loads(loaded) if isinstance(loaded, bytes) else loaded


class _Queue(Sampler[_Work]):
    """The batches of the current epoch."""

    def __init__(self) -> None:
        self.items: Iterable[tuple[Clips, Item]] = ()

    def __iter__(self) -> Iterator[_Work]:
        for clips, item in self.items:
            part, local = clips.part(item)
            banks = part.held is None
            yield _Work(list(part.clips), part.truth, part.front_end, local, banks, part.windows)


class _Reader(Dataset[Loaded | bytes | _Caught]):
    """Read batches in a worker.

    Args:
        audio: the pickled `AudioStore`: pickled once, however many workers it is sent to.
    """

    def __init__(self, audio: bytes) -> None:
        self._pickled = audio
        self._audio: AudioStore | None = None

    def __getitem__(self, work: _Work) -> Loaded | bytes | _Caught:
        """Return the batch, or the error: torch would raise another one, whose message begins with a traceback.

        torch sends tensors through /dev/shm, and fails where it is full, as in a container with 64 MB. The batch is
        then pickled, and passes through a pipe.
        """
        try:
            if self._audio is None:
                self._audio, self._pickled = pickle.loads(self._pickled), b""
            classes = work.truth.shape[2]
            clips = Clips(self._audio, work.clips, classes, work.front_end, truth=work.truth, windows=work.windows)
            batch = clips.load(work.item, banks=work.banks)
            return batch if shared_memory() >= SPARE_BYTES + AT_ONCE * _size(batch) else pickle.dumps(batch)
        except Exception as error:
            return _Caught(_sendable(error), traceback.format_exc())


def _size(value: object) -> int:
    """Return the bytes of the tensors in nested tuples."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    return sum(map(_size, value)) if isinstance(value, tuple) else 0


def _sendable(error: Exception) -> Exception:
    """Return the error, or one with the same line if it does not survive pickling."""
    try:
        copied: Any = pickle.loads(pickle.dumps(error))
    except Exception:  # constructors may raise anything
        copied = None
    if type(copied) is type(error) and str(copied) == str(error):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _set_up(_: int) -> None:
    """Use one thread per data worker: threads of several workers would compete for the cores."""
    torch.set_num_threads(1)

"""Read the predictions file beside a record."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchmarkError
from benchmark.records.store import PREDICTIONS


class UnusablePredictionsError(BenchmarkError):
    """Predictions that are missing, damaged, or lack what is needed."""


@contextmanager
def open_predictions(record: Path, epoch: float) -> Iterator[Predictions]:
    """Open the predictions beside a record, of one epoch.

    Args:
        record: path of the record.
        epoch: number of the epoch.

    Raises:
        UnusablePredictionsError: there are none of this epoch, or they are damaged; also when an array is read.
    """
    path = record.with_suffix(PREDICTIONS)
    try:
        with np.load(path) as stored:
            yield Predictions(stored, int(np.flatnonzero(stored["epochs"] == epoch)[0]))
    except IndexError:
        raise UnusablePredictionsError(f"{path.name} has no predictions of epoch {epoch:.0f}") from None
    except OSError as error:
        raise UnusablePredictionsError(f"{path.name}: {error.strerror or 'damaged'}") from None
    except (EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        raise UnusablePredictionsError(f"{path.name} is damaged or incomplete") from None


class Predictions:
    """The arrays of a predictions file; those by epoch are of the chosen one.

    Args:
        stored: the open file.
        place: place of the epoch among those that are stored.
    """

    def __init__(self, stored: Any, place: int) -> None:
        self._stored, self._place = stored, place

    def __contains__(self, name: str) -> bool:
        """Return whether the file has an array of this name."""
        return name in self._stored

    def whole(self, name: str) -> npt.NDArray[Any]:
        """Return an array that is the same at every epoch."""
        return np.asarray(self._stored[name])

    def at_epoch(self, name: str) -> npt.NDArray[Any]:
        """Return the array of the chosen epoch."""
        return np.asarray(self._stored[name][self._place])

"""Find the patch grid of pre-training: a positional embedding alone shows only the number of its positions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import Stated

PATCH = 16
MELS = (128, 96, 80, 64, 40)  # mel bands of models that people train, for messages
STRIDES = (10, 12, 14, 16)  # patch strides of the published models, for messages
MOST_FRAMES = 3072  # a longer input is not shown as a candidate: GTZAN's 30 s are 3000 frames
PUBLISHED_MELS = 128
# positions of the models that the authors of AST publish for AudioSet (1024 frames), and their strides
# (github.com/YuanGongND/ast, "Pretrained Models")
PUBLISHED = {1212: 10, 850: 12, 657: 14, 512: 16}
# their model of Speech Commands for 128 frames: positions and stride. Other models have 144 positions, too, so its
# classes or its whole name must show it. Browsers add ` (1)` to a name, the cache of Hugging Face the publisher
SPEECH_COMMANDS, SPEECH_COMMANDS_STRIDE, SPEECH_COMMANDS_CLASSES = 144, 10, 35
SPEECH_COMMANDS_NAME = re.compile(
    r"(speechcommands_10_10_0\.9812|(models--\w+--)?ast-finetuned-speech-commands-v2)( ?\(\d+\))?(\.\w+)?",
    re.IGNORECASE,
)


class Grid(NamedTuple):
    """A patch grid of pre-training.

    Attributes:
        rows: in frequency.
        columns: in time.
        mels: mel bands; None if not known.
        assumed: what was concluded without a statement or a stored value, one line; None if nothing was.
    """

    rows: int
    columns: int
    mels: int | None
    assumed: str | None = None


class _Candidate(NamedTuple):
    rows: int
    columns: int
    mels: int
    stride: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} (stride={self.stride};mels={self.mels})"


def rows(size: int, stride: int) -> int:
    """Return the number of patches along an axis of mel bands or frames."""
    return (size - PATCH) // stride + 1


def find_grid(
    positions: int,
    where: str,
    *,
    mels: int | None = None,
    stride: int | None = None,
    names: Iterable[str] = (),
    classes: int | None = None,
) -> Grid:
    """Return the grid of a positional embedding, if what is known allows only one.

    Args:
        positions: number of patches in the positional embedding.
        where: file and format, for messages.
        mels: mel bands in pre-training, where a configuration or the user states them.
        stride: patch stride in mel bands, likewise.
        names: of the file, which may be those of a published model.
        classes: outputs of the head in the file.

    Raises:
        BenchmarkError: no grid fits, or several do; the message says what to state.
    """
    assumed = None
    if mels is None or stride is None:
        known = _published_stride(positions, names, classes)
        if known is not None and (mels or PUBLISHED_MELS, stride or known) == (PUBLISHED_MELS, known):
            mels, stride = PUBLISHED_MELS, known
            assumed = (
                f"{positions} positions are taken as the grid {rows(mels, stride)}x{positions // rows(mels, stride)} "
                f"of a published model ({mels} mel bands, patch stride {stride})"
            )
    if mels is not None and stride is not None:
        height = rows(mels, stride)
        if height < 1 or positions % height:
            raise BenchmarkError(
                f"{where}: {positions} positions are not a grid with {height} rows in frequency, as {mels} mel bands "
                f"with patch stride {stride} give; {STATE}"
            )
        return Grid(height, positions // height, mels, assumed)
    if mels is not None:
        heights = {rows(mels, step) for step in range(1, PATCH + 1)} - {0}
        fitting = [height for height in heights if positions % height == 0]
        if len(fitting) == 1:  # no other stride is possible
            return Grid(fitting[0], positions // fitting[0], mels)
    found = _candidates(positions, MELS if mels is None else (mels,), STRIDES if stride is None else (stride,))
    if not found:
        raise BenchmarkError(f"{where}: {positions} positions fit no usual patch stride and mel bands; {STATE}")
    shown = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
    raise BenchmarkError(f"{where}: {positions} positions may be a grid of {shown}; {STATE}")


def _published_stride(positions: int, names: Iterable[str], classes: int | None) -> int | None:
    """Return the patch stride of the published model that a file is, or was trained from; None if it shows none."""
    if positions == SPEECH_COMMANDS:
        is_named = any(SPEECH_COMMANDS_NAME.fullmatch(name) for name in names)
        return SPEECH_COMMANDS_STRIDE if is_named or classes == SPEECH_COMMANDS_CLASSES else None
    return PUBLISHED.get(positions)


STATE = "state those of pre-training, as in ast[weights=FILE;stride=16;mels=128]"


def find_grid_of_input(positions: int, where: str, mels: int, frames: int, stride: int | None) -> Grid:
    """Return the grid of a positional embedding where the file has the input size of pre-training.

    Args:
        positions: number of patches in the positional embedding.
        where: file and format, for messages.
        mels: mel bands.
        frames: frames.
        stride: patch stride in both directions; None if it is not known.

    Raises:
        BenchmarkError: no stride gives this number of patches, or several do with different grids.
    """
    strides = range(1, PATCH + 1) if stride is None else (stride,)
    grids = {(rows(mels, step), rows(frames, step)) for step in strides}
    fitting = sorted((height, width) for height, width in grids if min(height, width) > 0)
    fitting = [(height, width) for height, width in fitting if height * width == positions]
    if len(fitting) != 1:
        kind = "several patch strides give" if fitting else "no patch stride gives"
        raise BenchmarkError(
            f"{where}: {kind} {positions} positions for its {mels} mel bands x {frames} frames; {STATE}"
        )
    return Grid(*fitting[0], mels)


def require_agreement(stated: Stated, grid: Grid, where: str) -> None:
    """Check what a user states about a checkpoint against what the file shows.

    Raises:
        BenchmarkError: they differ.
    """
    if stated.mels is not None and grid.mels is not None and stated.mels != grid.mels:
        raise BenchmarkError(f"{where}: has {grid.mels} mel bands, but mels={stated.mels} is stated")
    mels = grid.mels if stated.mels is None else stated.mels
    possible = MELS if mels is None else (mels,)
    if stated.stride is not None and grid.rows not in {rows(bands, stated.stride) for bands in possible}:
        known = "" if mels is None else f" in {mels} mel bands"
        raise BenchmarkError(f"{where}: has {grid.rows} rows of patches{known}, but stride={stated.stride} is stated")


def _candidates(positions: int, mels: Iterable[int], strides: Iterable[int]) -> list[_Candidate]:
    """Return the grids of a usual input size that have this number of patches."""
    return [
        _Candidate(rows(bands, stride), positions // rows(bands, stride), bands, stride)
        for bands in mels
        for stride in strides
        if rows(bands, stride) > 0
        and positions % rows(bands, stride) == 0
        and PATCH + stride * (positions // rows(bands, stride) - 1) <= MOST_FRAMES
    ]

"""Labels of sounds, from a trained model."""

from __future__ import annotations

import csv as csvlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.api.arguments import checked
from benchmark.api.folders import checkpoint_folder
from benchmark.api.selection import texts
from benchmark.errors import ArgumentError

if TYPE_CHECKING:
    from benchmark.tools.export import Prediction

TOP = 3


@dataclass(frozen=True)
class Predictions:
    """The labels of files.

    Attributes:
        found: one prediction per file that could be read, in the order of the files.
        unreadable: the reason of each other file, by its path.
        score: how scores follow from logits.
        threshold: score from which a label is given; None where a sound has exactly one label.
    """

    found: list[Prediction]
    unreadable: dict[str, str]
    score: Literal["softmax", "sigmoid"]
    threshold: float | None

    def rows(self, top: int = TOP) -> list[dict[str, Any]]:
        """Return one row per prediction: `path`, `labels` joined by `|`, and `class1`, `score1` to those of `top`."""
        return [
            {
                "path": prediction.path,
                "labels": "|".join(prediction.labels),
                **{
                    key: value
                    for number, (name, score) in enumerate(prediction.top(top), start=1)
                    for key, value in ((f"class{number}", name), (f"score{number}", round(score, 6)))
                },
            }
            for prediction in self.found
        ]


@checked
def predict(
    model: str | Path,
    sounds: str | Path | Iterable[str | Path],
    *,
    csv: str | Path | None = None,
    top: int = TOP,
    embeddings: str | Path | None = None,
    threshold: float | None = None,
    checkpoints: str | Path | None = None,
    methods: str | Iterable[str] = (),
    backbones: str | Iterable[str] = (),
    device: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Predictions:
    """Label sounds with a trained model: decoding, front end and class names are those of its training.

    Args:
        model: folder that `export` wrote.
        sounds: an audio file, a folder with audio below it, or a list of these.
        csv: file to write: one row per file with its labels and the `top` classes.
        top: number of classes per file in the table.
        embeddings: file to write (.npz): what the model's head reads, `embeddings` (n, D), and `paths` (n,).
        threshold: score from which a label is given, where a sound can have several; None for 0.5.
        checkpoints: folder of pre-trained checkpoints; None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.
        backbones: the same of backbones.
        device: `cpu` or `cuda`; None for `cuda` if there is a GPU.
        progress: called with a description, the files done and all files.

    Returns:
        A prediction per file, and the files that cannot be read.

    Raises:
        BenchmarkError: no such model, file or folder, or a wrong option. Nothing is written then.

    Example:
        >>> benchmark.predict("my-model", "recordings").rows()
    """
    from benchmark.api.device import choose_device
    from benchmark.data.audio import BadAudioError
    from benchmark.tools.export import Prediction, find_sounds, load_export
    from benchmark.tools.export.trained import THRESHOLD

    if top < 1:
        raise ArgumentError("top", "expected at least 1", top)
    if threshold is not None and not 0 <= threshold <= 1:
        raise ArgumentError("threshold", "expected a score between 0 and 1", threshold)
    outputs = {"csv": csv, "embeddings": embeddings}
    for name, path in outputs.items():
        if path is not None and (Path(path).is_dir() or not Path(path).absolute().parent.is_dir()):
            raise ArgumentError(name, "expected a file in a folder that exists", path)
    places = [sounds] if isinstance(sounds, (str, Path)) else list(sounds)
    paths = find_sounds(map(Path, places))
    trained = load_export(Path(model), checkpoint_folder(checkpoints), texts(methods), texts(backbones))
    trained = trained.to(choose_device(device))
    if threshold is not None and not trained.several:
        raise ArgumentError("threshold", "this model was trained with exactly one label per sound", threshold)
    limit = THRESHOLD if threshold is None else threshold
    found, unreadable = list[Prediction](), dict[str, str]()
    for outcome in trained.predict_files(paths, threshold=limit, progress=progress):
        if isinstance(outcome, BadAudioError):
            unreadable[str(outcome.path)] = outcome.reason
        else:
            found.append(outcome)
    labelled = Predictions(found, unreadable, trained.score, limit if trained.several else None)
    _write(labelled, top, outputs)
    return labelled


def _write(labelled: Predictions, top: int, outputs: dict[str, str | Path | None]) -> None:
    """Write the table and the embeddings that are wanted."""
    import numpy as np

    from benchmark.files import open_atomic, write_atomic
    from benchmark.tools.export.trained import embeddings_of

    if outputs["csv"] is not None:
        rows, text = labelled.rows(top), io.StringIO(newline="")
        names = list(rows[0]) if rows else ["path", "labels"]
        writer = csvlib.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode(errors="surrogateescape")  # names of files can have other bytes than UTF-8
        write_atomic(Path(outputs["csv"]), content)
    if outputs["embeddings"] is not None and labelled.found:
        with open_atomic(Path(outputs["embeddings"])) as handle:
            np.savez(handle, **embeddings_of(labelled.found))

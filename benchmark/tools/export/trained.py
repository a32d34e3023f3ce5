"""A trained model with everything between a sound and its label."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmark.data.audio import BadAudioError, Wave, remove_mean
from benchmark.data.frontend import RawBatch, filter_bank, fit
from benchmark.data.parallel import in_order, usable_cores
from benchmark.data.windows import cut
from benchmark.models.transformer import AudioTransformer
from benchmark.tools.export.front_end import make_front_end
from benchmark.tools.export.sounds import Sound, wave_of
from benchmark.trial.adapter_file import AdapterFile
from benchmark.trial.matrix_products import fast_products
from benchmark.trial.precision import Precision

AT_ONCE = 8  # windows that the model computes together
READERS = 4  # threads that read files while the model computes
THRESHOLD = 0.5  # score from which a label of several is given
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a trained model says of a sound.

    Attributes:
        path: the file; empty for an array.
        classes: names of the classes, in the order of the logits.
        logits: (classes,) the model's outputs.
        scores: (classes,) in [0, 1]: their softmax if the model was trained with cross entropy, else their sigmoid.
        embedding: (D,) what the model's head reads.
        threshold: score from which a label is given; None where a sound has exactly one label.
    """

    path: str
    classes: tuple[str, ...]
    logits: Array
    scores: Array
    embedding: Array
    threshold: float | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class with the highest score, or all classes from the threshold on, the highest score first."""
        if self.threshold is None:
            return tuple(name for name, _ in self.top(1))
        return tuple(name for name, score in self.top(len(self.classes)) if score >= self.threshold)

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the classes with the highest scores, as (name, score)."""
        order = np.argsort(-self.logits, kind="stable")[:count]  # in a tie the lower class number wins
        return [(self.classes[place], float(self.scores[place])) for place in order]

    def __str__(self) -> str:
        scores = ", ".join(f"{name} {100 * score:.1f} %" for name, score in self.top())
        return f"{self.path}: {scores}" if self.path else scores


class TrainedModel(nn.Module):
    """What `export` wrote, loaded.

    Args:
        model: backbone, method and head, in evaluation mode.
        adapter: which trial trained it, classes, normalisation.

    Attributes:
        model: the module of the trial.
        classes: names of the classes, in the order of the logits.
        score: how scores follow from logits.
        several: whether a sound can have several labels.
    """

    def __init__(self, model: AudioTransformer, adapter: AdapterFile) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)
        self.adapter = adapter
        self.classes = adapter.classes
        self.several = adapter.selection.metric == "map"
        self.score: Literal["softmax", "sigmoid"] = score_kind(adapter)
        self._front_end = make_front_end(adapter)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) normalised filter banks -> (B, classes) logits."""
        logits: torch.Tensor = self.model(features)
        return logits

    def predict(self, sound: Sound, rate: int | None = None, *, threshold: float = THRESHOLD) -> Prediction:
        """Label a sound.

        Args:
            sound: a file; or an array (samples,) or (samples, channels), of floats in [-1, 1] or of signed integers.
            rate: sample rate of an array in Hz.
            threshold: score from which a label is given, where a sound can have several.

        Raises:
            BenchmarkError: the file is bad, or the array has another form.
        """
        path = str(sound) if isinstance(sound, (str, Path)) else ""
        [prediction] = self._predict([(path, self.features(wave_of(sound, rate)))], threshold)
        return prediction

    def predict_files(
        self,
        paths: Sequence[Path],
        *,
        threshold: float = THRESHOLD,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Iterator[Prediction | BadAudioError]:
        """Label files, and yield a prediction or the error of each, in their order.

        Args:
            paths: of the files.
            threshold: as in `predict`.
            progress: called after each batch.
        """
        read, done = in_order(self._read, paths, min(READERS, usable_cores())), 0
        while batch := list(itertools.islice(read, AT_ONCE)):
            good = [part for part in batch if not isinstance(part, BadAudioError)]
            predictions = iter(self._predict(good, threshold))
            yield from (part if isinstance(part, BadAudioError) else next(predictions) for part in batch)
            done += len(batch)
            if progress:
                progress("labelling", done, len(paths))

    def features(self, wave: Wave) -> torch.Tensor:
        """(samples,) at 16 kHz -> (windows, frames, mels) normalised filter banks of the windows that count."""
        end = self._front_end
        bank = filter_bank(torch.from_numpy(remove_mean(wave)).unsqueeze(0), end.mels)
        windows = [fit(bank[:, start:], end.frames, end.fill) for start in self._starts(bank.shape[1])]
        return end(RawBatch(torch.cat(windows), None, None))

    def _starts(self, length: int) -> list[int]:
        """Return the first frame of each window that an evaluation reads of a recording with `length` frames."""
        recipe = self.adapter.request.recipe
        return [0] if recipe.windows == "first" else cut([length], recipe.frames).starts.tolist()

    def _read(self, path: Path) -> tuple[str, torch.Tensor] | BadAudioError:
        try:
            return str(path), self.features(wave_of(path, None))
        except BadAudioError as error:
            return error

    def _predict(self, sounds: Sequence[tuple[str, torch.Tensor]], threshold: float) -> list[Prediction]:
        """Return the predictions of sounds, given as names and windows; logits are averaged over the windows."""
        if not sounds:
            return []
        together = torch.cat([windows for _, windows in sounds])
        outputs = [self._outputs(part) for part in torch.split(together, AT_ONCE)]
        pooled, logits = (torch.cat(part) for part in zip(*outputs, strict=True))
        counts = [len(windows) for _, windows in sounds]
        means = ([part.mean(0) for part in torch.split(tensor, counts)] for tensor in (pooled, logits))
        return [
            Prediction(
                path=path,
                classes=self.classes,
                logits=of_sound.numpy(),
                scores=self._scores(of_sound).numpy(),
                embedding=embedding.numpy(),
                threshold=threshold if self.several else None,
            )
            for (path, _), embedding, of_sound in zip(sounds, *means, strict=True)
        ]

    def _outputs(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, frames, mels) -> (B, D) input of the head and (B, classes) logits, computed as the trial evaluated."""
        device, model = next(self.model.parameters()).device, self.model
        request = self.adapter.request
        precision = Precision(device, request.eval_precision, tf32=request.protocol.eval_tf32 == "yes")
        with torch.inference_mode(), fast_products(), precision.float32_products(), precision.autocast():
            pooled = model.pool(model.encode(model.patches(features.to(device))))
            logits = model.head(pooled)
        return pooled.float().cpu(), logits.float().cpu()

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(0) if self.score == "softmax" else logits.sigmoid()


def score_kind(adapter: AdapterFile) -> Literal["softmax", "sigmoid"]:
    """Return how scores follow from the logits of a model: as in its loss."""
    return "softmax" if adapter.request.recipe.loss == "cross_entropy" else "sigmoid"


def embeddings_of(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the arrays of a file of embeddings: `paths` (n,), `embeddings` (n, D)."""
    return {
        "paths": np.array([prediction.path for prediction in predictions]),
        "embeddings": np.stack([prediction.embedding for prediction in predictions]),
    }

"""Export a finished trial for use elsewhere: weights, ONNX, a folder for transformers; and label sounds with it."""

from __future__ import annotations

from benchmark.tools.export.card import Card
from benchmark.tools.export.sounds import find_sounds
from benchmark.tools.export.trained import Prediction, TrainedModel
from benchmark.tools.export.trial import export_trial, load_export

__all__ = ["Card", "Prediction", "TrainedModel", "export_trial", "find_sounds", "load_export"]

"""Export a finished trial for use elsewhere: what was trained, the merged model as ONNX, sizes and latency."""

from __future__ import annotations

from benchmark.tools.export.card import Card
from benchmark.tools.export.trial import export_trial, load_export

__all__ = ["Card", "export_trial", "load_export"]

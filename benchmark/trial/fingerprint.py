"""Digest of the code that a trial's result depends on. Does not import torch, so that planning stays fast."""

from __future__ import annotations

from benchmark.methods.registry import source_file
from benchmark.records.environment import fingerprint
from benchmark.spec.request import TrialRequest


def code_fingerprint(request: TrialRequest) -> str:
    """Return the digest of the suite's and the method's code on disk.

    Code of methods from outside the suite is left out: its digest is part of the trial's id.

    Raises:
        BenchmarkError: the request's method does not exist any more.
    """
    return fingerprint([source_file(part.name) for part in request.method.parts if part.source is None])

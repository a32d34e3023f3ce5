"""Which code a trial's result depends on; no torch, so that planning stays quick."""

from __future__ import annotations

from benchmark.methods.registry import source_file
from benchmark.records.environment import fingerprint
from benchmark.spec.request import TrialRequest


def code_fingerprint(request: TrialRequest) -> str:
    """Digest of the harness's and the method's code as it stands on disk now; code from outside is in the trial's id.

    Raises:
        BenchmarkError: the request's method is gone.
    """
    return fingerprint([source_file(part.name) for part in request.method.parts if part.source is None])

"""Digest of the code on disk, which records keep for information. Does not import torch, so planning stays fast."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from benchmark.methods.registry import source_file
from benchmark.spec.request import TrialRequest

PACKAGES = ("spec", "methods", "models", "data", "metrics", "trial")  # of this suite; the code that computes numbers


def code_digest(request: TrialRequest) -> str:
    """Return digests of the suite's and of the method's code, as `SUITE-METHOD`.

    Code of methods from outside the suite is left out: its digest is part of the trial's id. Whether a record is stale
    does not depend on this digest, but on the numerics version.

    Raises:
        BenchmarkError: the request's method does not exist any more.
    """
    suite = Path(__file__).parent.parent
    files = [path for package in PACKAGES for path in sorted((suite / package).rglob("*.py"))]
    methods = [source_file(part.name) for part in request.method.parts if part.source is None]
    return f"{_digest(files)}-{_digest(sorted(methods))}"


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]

"""The environment of a trial: machine, package versions, time, and the digest of the code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "torchaudio", "timm", "ray", "numpy", "scikit-learn", "soundfile", "soxr")


def capture(**info: Any) -> tuple[dict[str, Any], str]:
    """Return package versions and machine as a mapping, and its digest.

    Args:
        info: entries to add, such as device and threads.
    """
    environment = {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        **info,
    }
    digest = hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]
    return environment, digest


def utc_now() -> str:
    """Return the current time in the format of records: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def fingerprint(method_files: Iterable[Path]) -> str:
    """Return digests of the code that can change a result, as `HARNESS-METHOD`.

    Args:
        method_files: files of the method, for the second digest.
    """
    package = Path(__file__).parent.parent
    rooms = [package / room for room in ("spec", "methods", "models", "data", "trial")]
    files = [path for room in rooms for path in sorted(room.rglob("*.py"))]
    return f"{_digest(files)}-{_digest(sorted(method_files))}"


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

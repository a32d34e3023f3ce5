"""The environment of a trial: machine, package versions and time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "torchaudio", "ray", "numpy", "soundfile", "soxr")


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


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

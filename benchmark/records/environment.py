"""The environment of a trial: machine, code, package versions and time."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

import benchmark

ROOT = Path(__file__).parents[2]  # of a checkout
IDENTIFYING = {"torch", "torchaudio", "numpy", "soundfile", "soxr"}
CODE = ("benchmark", "baselines", "paper_tables")
EAGER = "eager"  # not compiled
CHECKPOINTING = "checkpointing"


def capture(**info: Any) -> tuple[dict[str, Any], str]:
    """Return code, package versions and machine as a mapping, and its digest.

    The packages are those that this process has imported. So call it at the end of what it describes.

    Args:
        info: entries to add, such as device and threads.
    """
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "suite": suite(),
        "packages": imported_packages(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        **info,
    }
    return environment, digest(environment)


def digest(environment: Mapping[str, Any]) -> str:
    """Return the digest of an environment.

    A process that ran other trials has imported more packages: only those that all trials import are part of it.
    """
    everywhere = {name: version for name, version in environment["packages"].items() if name in IDENTIFYING}
    identity = {**environment, "packages": everywhere}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def suite() -> dict[str, Any]:
    """Return the version of this suite and, from a checkout, the commit and whether files differ from it."""
    version = benchmark.__version__
    if not (ROOT / ".git").exists():
        return {"version": version, "commit": None, "dirty": None}
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):  # no git, or a checkout of another user
        return {"version": version, "commit": None, "dirty": None}
    return {"version": version, "commit": commit, "dirty": bool(changes)}


def _git(*command: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # not a hook's repository
    done = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True, env=own)
    return done.stdout.strip()


def imported_packages() -> dict[str, str]:
    """Return the versions of all distributions of which this process has imported a module."""
    modules = {name.partition(".")[0] for name in list(sys.modules)}
    names = {name for module in modules for name in _distributions().get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)}


@functools.cache  # it reads the lists of files of all distributions
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def compilation(environment: Mapping[str, Any]) -> str:
    """Return how training was compiled, `eager` if it was not."""
    return str(environment.get("compilation", EAGER))  # records before schema version 6 were not compiled


def checkpointing(environment: Mapping[str, Any]) -> bool:
    """Return whether activations were computed again in the backward pass where that changes no result."""
    return bool(environment.get("checkpointing", False))  # earlier versions kept them


def measured_on(device: str, environment: Mapping[str, Any]) -> str:
    """Return the device that a time or a peak of memory is of, and how training ran: others are not comparable."""
    compiled = [] if compilation(environment) == EAGER else [compilation(environment)]
    return ", ".join([device, *compiled, *([CHECKPOINTING] if checkpointing(environment) else [])])


def utc_now() -> str:
    """Return the current time in the format of records: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

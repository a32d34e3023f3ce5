"""Which trial a record is of, and which code and machine made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import digest
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.layout import MANIFEST

NEEDED = ("python", "platform", "suite", "packages", "cpu", "cpu_count", "memory_bytes", "device", "threads")
NEEDED_PACKAGES = ("numpy", "torch")
RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?([a-z0-9.+-]{0,40})")


def ids(context: Context) -> Iterator[Failure]:
    """The id follows from the request, which names data and checkpoint."""
    for path, record in context.bundle.all_records.items():
        if record.id != (computed := record.request.id):
            yield Failure(path, f"has the id {record.id[:12]!a}, but its request gives {computed}; do not edit records")
        if not record.request.complete:
            yield Failure(path, "names no digest of its data or checkpoint; run the trial again")


def versions(context: Context) -> Iterator[Failure]:
    """Release and numerics version are known, and trials of one cell have the same numerics version."""
    bundle, release = context.bundle, context.known.release
    if _release(bundle.manifest.release) is None:
        yield Failure(MANIFEST, f"names the release {bundle.manifest.release[:40]!a}, which is none")
    of_cells: dict[str, int] = {}
    for path, record in bundle.all_records.items():
        suite = record.environment.get("suite")
        made_by = _release(suite.get("version") if isinstance(suite, dict) else None)
        if made_by is None:
            yield Failure(path, "does not say which release of the suite made it; run the trial again")
        elif made_by > (_release(release) or made_by):
            yield Failure(path, f"was made by a newer release than {release}; update the suite and check again")
        if not 1 <= record.numerics_version <= NUMERICS_VERSION:
            known = f"this release knows 1 to {NUMERICS_VERSION}"
            yield Failure(path, f"is of numerics version {record.numerics_version}, {known}; update the suite")
        first = of_cells.setdefault(record.request.cell, record.numerics_version)
        if first != record.numerics_version:
            versions = f"{record.numerics_version} and {first}"
            yield Failure(path, f"is of a cell with numerics versions {versions}; run its stale trials again")


def _release(text: Any) -> tuple[int, ...] | None:
    """Return the numbers of a release; None if a text is not one."""
    match = RELEASE.fullmatch(text) if isinstance(text, str) else None
    return tuple(int(number or 0) for number in match.groups()[:3]) if match else None


def environment(context: Context) -> Iterator[Failure]:
    """The environment is complete, and its digest follows from it."""
    for path, record in context.bundle.all_records.items():
        found = record.environment
        packages = found.get("packages")
        missing = [name for name in NEEDED if found.get(name) in (None, "", {})]
        if isinstance(packages, dict):
            missing += [f"version of {name}" for name in NEEDED_PACKAGES if not packages.get(name)]
        if missing or not isinstance(packages, dict):
            yield Failure(path, f"has an environment without {', '.join(missing) or 'packages'}; run the trial again")
        elif record.environment_hash != digest(found):
            yield Failure(path, "has an environment that does not give its digest; do not edit records")
        elif found["device"] != record.profile.device:
            yield Failure(path, "names one device in its environment and another in its times; do not edit records")

"""Whether this installation can run the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.folders import cache_folder, checkpoint_folder
from benchmark.api.folders import data_root as data_root_folder

if TYPE_CHECKING:
    from benchmark.tools.doctor import Finding


def doctor(
    *,
    data_root: str | Path | None = None,
    checkpoints: str | Path | None = None,
    results: str | Path = "results",
    cache: str | Path | None = None,
) -> Iterator[Finding]:
    """Check packages, compiled libraries, GPU, disk, memory, data, checkpoints and Ray, one after the other.

    Args:
        data_root: as for `run`.
        checkpoints: as for `run`.
        results: a folder on the disk that results will go to.
        cache: as for `run`.

    Yields:
        What each check found: a verdict (`ok`, `warning`, `fault`), a text, and what to do.

    Example:
        >>> [finding.text for finding in doctor() if finding.verdict == "fault"]
    """
    from benchmark.orchestrator.ray_session import try_ray
    from benchmark.tools.doctor import Finding, examine

    yield from examine(data_root_folder(data_root), checkpoint_folder(checkpoints), Path(results), cache_folder(cache))
    yield Finding("ray", *try_ray())

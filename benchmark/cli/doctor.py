"""`doctor`: is this installation fit to run?"""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.cli import options

FAULTY = 3


def doctor(
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.ResultsFolder = Path("results"),
    cache: options.CacheFolder = None,
) -> None:
    """Check packages, compiled libraries, GPU, disk, memory, Ray, data and checkpoints, and say what to fix.

    Example: python -m benchmark doctor --data-root DIR

    Exit code: 0 fit (warnings aside), 3 something has to be fixed.
    """
    from itertools import chain

    from benchmark.models.weights import default_folder
    from benchmark.orchestrator.ray_session import try_ray
    from benchmark.tools.doctor import Finding, examine

    folder = default_folder()
    findings = chain(
        examine(data_root, checkpoints or folder, results or Path("results"), options.cache_folder(cache, folder)),
        (Finding("ray", *found) for found in [try_ray()]),
    )
    faults = 0
    for each in findings:
        faults += each.verdict == "fault"
        advice = f" -> {each.fix}" if each.fix and each.verdict != "ok" else ""
        typer.echo(f"{each.verdict:8} {each.check:20} {each.text}{advice}")
    typer.echo(f"{faults} faults" if faults else "fit to run")
    raise typer.Exit(FAULTY if faults else 0)

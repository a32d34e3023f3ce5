"""`doctor`: whether this installation can run the suite."""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.cli import options

FAULTY = 3  # exit code


def doctor(
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.ResultsFolder = Path("results"),
    cache: options.CacheFolder = None,
) -> None:
    """Check packages, compiled libraries, GPU, disk, memory, Ray, data and checkpoints, and say what to fix.

    Example: python -m benchmark doctor --data-root DIR

    Exit code: 0 no faults (there may be warnings), 3 something has to be fixed.
    """
    from benchmark.api.doctor import doctor as examine

    faults = 0
    for finding in examine(data_root=data_root, checkpoints=checkpoints, results=results, cache=cache):
        faults += finding.verdict == "fault"
        advice = f" -> {finding.fix}" if finding.fix and finding.verdict != "ok" else ""
        typer.echo(f"{finding.verdict:8} {finding.check:20} {finding.text}{advice}")
    typer.echo(f"{faults} faults" if faults else "All checks passed")
    raise typer.Exit(FAULTY if faults else 0)

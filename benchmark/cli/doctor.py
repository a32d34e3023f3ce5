"""`doctor`: whether this installation can run the suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stdout_console
from benchmark.console import Block, Styled, show
from benchmark.units import plural

if TYPE_CHECKING:
    from benchmark.tools.doctor import Finding

STYLES = {"ok": "", "warning": "yellow", "fault": "red"}
FAULTY = 3  # exit code


def doctor(
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.ResultsFolder = Path("results"),
    cache: options.CacheFolder = None,
    json: options.Json = False,
) -> None:
    """Check packages, compiled libraries, GPU, disk, memory, Ray, data and checkpoints, and say what to fix.

    Example: python -m benchmark doctor --data-root DIR

    Exit code: 0 no faults (there may be warnings), 3 something has to be fixed.
    """
    from benchmark.api.doctor import doctor as examine

    findings = []
    for finding in examine(data_root=data_root, checkpoints=checkpoints, results=results, cache=cache):
        findings.append(finding)
        if not json:
            show(stdout_console(), _blocks(finding))
    faults, warnings = (sum(each.verdict == verdict for each in findings) for verdict in ("fault", "warning"))
    if json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    elif faults:
        say_line(f"{plural(faults, 'fault')}, {plural(warnings, 'warning')}")
    else:
        say_line("All checks passed" + (f", {plural(warnings, 'warning')}" if warnings else ""))
    raise typer.Exit(FAULTY if faults else 0)


def _blocks(finding: Finding) -> Iterator[Block]:
    """Yield a line with the finding, and one with what to do about it."""
    yield Styled(f"{finding.verdict:8} {finding.check:20} {finding.text}", STYLES[finding.verdict])
    if finding.fix and finding.verdict != "ok":
        yield f"{'':29} -> {finding.fix}"

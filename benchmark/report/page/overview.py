"""The first lines of the page: what was run, how complete it is, and the verdicts of the claims as a tally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from benchmark.report.best import best_methods, notes
from benchmark.report.claims.matrix import SIGNS
from benchmark.report.claims.summary import CHECK, Summary
from benchmark.report.measured import time_shares
from benchmark.report.papers import Paper
from benchmark.report.results import Results
from benchmark.units import duration

MOST_NAMES = 12  # more are counted
SEPARATOR = " · "  # labels may have commas


def facts(results: Results) -> list[tuple[str, str]]:
    """Return terms and texts: backbones, datasets, methods, protocols, seeds, time, devices, dates."""
    cells, trials = results.names.named(results.cells), results.trials
    found = [
        ("backbones", _names(cells["backbone"])),
        ("datasets", _names(cells["dataset"])),
        ("methods", _names(cells["method"])),
        ("protocols", _names(cells["protocol"])),
        ("folds x seeds", _folds_and_seeds(cells)),
    ]
    if len(trials):
        shares = time_shares(trials)
        days = sorted({day[:10] for day in (trials["finished"].min(), trials["finished"].max())})
        found += [
            ("time", f"{duration(trials['total_seconds'].sum())}, {100 * shares['train']:.0f} % of it training"),
            ("devices", _names(trials["device"])),
            ("finished", " to ".join(days)),
        ]
    return [(term, text) for term, text in found if text]


def share_done(results: Results) -> tuple[int, int]:
    """Return the number of finished trials and of all submitted ones."""
    done = len(results.trials)
    return done, max(sum(map(len, results.submitted.values())), done)


def completeness(results: Results) -> str:
    """Return `90 of 96 trials are finished, 2 failed, 1 diverged`."""
    done, expected = share_done(results)
    attempted = {path.stem.rpartition("-")[0] for path in results.store.attempts()}
    failed, diverged = len(attempted - set(results.trials["id"])), int((results.trials["status"] == "diverged").sum())
    more = [f"{number} {word}" for number, word in ((failed, "failed"), (diverged, "diverged")) if number]
    return ", ".join([f"{done:,} of {expected:,} trials are finished", *more])


def _names(column: pd.Series) -> str:
    names = [str(name) for name in dict.fromkeys(column)]
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return SEPARATOR.join([*names[:MOST_NAMES], *more])


def _folds_and_seeds(cells: pd.DataFrame) -> str:
    """Return `5 x 1 (ESC-50), 1 x 1 (GTZAN)`: submitted folds and seeds of each dataset."""
    sizes: dict[str, dict[str, None]] = {}
    for dataset, folds, seeds in zip(cells["dataset"], cells["folds"], cells["seeds"], strict=True):
        if folds:
            sizes.setdefault(f"{len(folds.split())} x {len(seeds.split())}", {})[dataset] = None
    return ", ".join(size if len(sizes) == 1 else f"{size} ({', '.join(names)})" for size, names in sizes.items())


def tallies(papers: Iterable[Paper], summaries: Mapping[str, Summary]) -> list[dict[str, Any]]:
    """Return for each paper its label, the number of its claims and checks, and `parts`: verdict, sign and number.

    `parts` are empty where these results judge no claim; then `outcome` says why.

    Args:
        papers: the papers.
        summaries: how many of their claims were judged, by name of the paper.
    """
    found = []
    for paper in papers:
        summary = summaries[paper.name]
        parts = [
            {"verdict": verdict, "sign": SIGNS[verdict], "number": number} for verdict, number in summary.counts.items()
        ]
        found.append(
            {
                "name": paper.name,
                "label": paper.about.label,
                "total": f"{summary.size} ({CHECK})",
                "outcome": summary.outcome,
                "parts": [] if summary.obstacle else parts,
            }
        )
    return found


def best(results: Results) -> dict[str, Any]:
    """Return `groups`, a caption and sentences for each protocol and backbone, and `notes` that explain them."""
    rows = best_methods(results)
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row.sentence)
    return {"groups": list(groups.items()), "notes": notes(rows) if rows else []}

"""`clean`: remove what no record needs."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer


def clean(
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove epoch checkpoints and failed tries of finished trials, and what killed processes left.

    Records, predictions, kept weights, and the checkpoints of unfinished trials stay.

    Example: python -m benchmark clean --results OUT --dry-run
    """
    from benchmark.records.leftovers import Leftover, find_leftovers
    from benchmark.records.store import ResultStore

    by_reason: dict[str, list[Leftover]] = defaultdict(list)
    for each in find_leftovers(ResultStore(results)):
        by_reason[each.reason].append(each)
        if not dry_run:
            each.remove()
    for reason, group in by_reason.items():
        typer.echo(f"{len(group)} x {reason}: {sum(each.size for each in group) / 1e6:.1f} MB")
    total = sum(each.size for group in by_reason.values() for each in group)
    typer.echo(f"{'would remove' if dry_run else 'removed'} {total / 1e6:.1f} MB from {results}")

"""Differences of all methods from one that the user names, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.console import Block, Sheet
from benchmark.report.results import Results
from benchmark.report.tables.differences import difference_rows, difference_text

ALONE = (
    "The interval is that of one comparison alone. p is corrected for all comparisons in brackets, "
    "so that it can exceed 0.05 although the interval excludes zero."
)


def against_blocks(results: Results, against: str, folder: Path) -> Iterator[Block]:
    """Yield a table per protocol and backbone: the scores of all methods minus that of one.

    Args:
        results: the results folder.
        against: name of the method that all are compared with.
        folder: folder of the report, which has the whole table.
    """
    label = results.names.method(against)
    data, reasons = difference_rows(results, (), against)
    data = data[data["other"] == against]
    text = difference_text(results.names.named(data)).drop(columns="other")
    for (protocol, backbone), rows in text.groupby(["protocol", "backbone"], sort=False):
        shown = rows.drop(columns=["protocol", "backbone"])
        title = f"Score minus {label}, in points, {backbone}, protocol {protocol}"
        yield Sheet(title, list(shown.columns), shown.to_numpy().tolist())
    if len(text):
        yield ALONE
    yield from _missing(results, against)
    yield from (f"Not compared: {reason}." for reason in reasons if label in reason)
    found = f"All differences: {folder / 'differences.md'}"
    yield found if len(text) else f"No other method can be compared with {label}."


def _missing(results: Results, against: str) -> Iterator[str]:
    """Say in one line where the method is not finished, if it is not."""
    cells = results.cells[(results.cells["method"] == against) & results.cells["score"].isna()]
    places = [
        f"{results.names.task(cell['backbone'], cell['dataset'])} ({cell['done']}/{cell['expected']} trials)"
        for _, cell in cells.iterrows()
    ]
    if places:
        yield f"No differences where {results.names.method(against)} is not finished: {'; '.join(places)}."

"""The tables of a report: one file per table, with its rows and its text.

The table NAME is an entry NAME in `paper_tables/layout.yaml`, with title and note, and a module `NAME.py` in this
folder with a function `build(source: TableSource) -> Table | None`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.errors import BenchmarkError, closest
from benchmark.report.aggregate import KEYS
from benchmark.report.full_rows import note
from benchmark.report.layout import FILE, TableEntry
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice
from benchmark.report.render import INDEX, Caption, Table, row_names, rules, wide
from benchmark.report.results import Results

Build = Callable[["TableSource"], Table | None]


@dataclass(frozen=True)
class TableSource:
    """What a table is built from.

    Attributes:
        results: the results folder.
        entry: the table's entry in the layout.
        warnings: reasons why the numbers are not comparable with the paper.
        papers: papers whose scores are shown.
        against: a method with which all are compared, besides full fine-tuning; None for no other.
    """

    results: Results
    entry: TableEntry
    warnings: list[str]
    papers: PaperChoice = DEFAULT_PAPERS
    against: str | None = None

    def table(self, data: pd.DataFrame, text: pd.DataFrame, introduction: str = "") -> Table:
        """Return the table with its caption.

        Args:
            data: all values, for CSV and JSON.
            text: the table as people read it.
            introduction: a sentence before the note of the layout.
        """
        note = f"{introduction} {self.entry.note.strip()}".strip()
        return Table(self.entry.name, data, text, Caption(self.entry.title, note, self.warnings))

    def value_table(
        self, text_of: Callable[[pd.Series], str], columns: Sequence[str], compared: str | None = None
    ) -> Table | None:
        """Return a table of one value with a column per dataset; None if no cell has a text.

        Args:
            text_of: the text of one cell.
            columns: columns of the cells that go to CSV and JSON.
            compared: the column that says which row of full fine-tuning ratios refer to.
        """
        cells, named = self.results.cells, self.results.names.named(self.results.cells)
        text = wide(named, text_of)
        if not (text.drop(columns=INDEX) != "").any(axis=None):
            return None
        data = cells[["cell", *KEYS, "settings", *columns, "marks"]]
        chosen = note(cells, compared, row_names(named), named["dataset"]) if compared else ""
        return self.table(data, text, f"{rules(named)} {chosen}".strip())


def table_names() -> list[str]:
    """Return the names of all table modules."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def build_table(source: TableSource) -> Table | None:
    """Build one table of the layout; None if it has nothing to show.

    Raises:
        BenchmarkError: the layout names a table that has no module.
    """
    name = source.entry.name
    if name not in table_names():
        raise BenchmarkError(f"{FILE}: no table '{name}'{closest(name, table_names())}")
    build: Build = importlib.import_module(f"{__name__}.{name}").build
    return build(source)

"""The tables and figures of a report, from `paper_tables/layout.yaml`."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from importlib.resources import files

import yaml
from pydantic import Field

from benchmark.records.schema import Labels
from benchmark.spec.yaml import Spec, validate

FILE = "paper_tables/layout.yaml"


@dataclass(frozen=True)
class Order:
    """The order of names in tables and figures; other names follow alphabetically.

    Attributes:
        methods: names of methods.
        datasets: names of datasets.
        related: datasets that share recordings.
    """

    methods: list[str]
    datasets: list[str]
    related: list[list[str]] = field(default_factory=list)


class TableEntry(Spec):
    """One table of the report."""

    name: str = Field(description="name of its module in `benchmark/report/tables/` and of its files")
    title: str = Field(description="heading of the table")
    note: str = Field(description="explanation below the table")
    pairs: list[tuple[str, str]] = Field(default=[], description="more methods to compare: the first minus the second")


class FigureEntry(Spec):
    """One figure of the report."""

    name: str = Field(description="its key in `benchmark.report.figures.FIGURES` and the name of its files")
    title: str = Field(description="heading of the figure")


class Layout(Spec):
    """The content of the file."""

    methods: list[str] = Field(description="methods, in the order of the tables")
    datasets: list[str] = Field(description="datasets, in the order of the tables")
    related: list[list[str]] = Field(
        description="datasets that share recordings: not independent in means over datasets"
    )
    labels: Labels = Field(description="what tables show of methods and datasets, also where there is no record")
    tables: list[TableEntry] = Field(min_length=1, description="tables of the report; the first is the main one")
    figures: list[FigureEntry] = Field(description="figures of the report")

    @property
    def order(self) -> Order:
        """The order of methods and datasets."""
        return Order(self.methods, self.datasets, self.related)


@functools.cache
def load_layout() -> Layout:
    """Read the layout that ships with the suite.

    Raises:
        BenchmarkError: the file does not follow the form.
    """
    content = yaml.safe_load((files("paper_tables") / "layout.yaml").read_text(encoding="utf-8"))
    return validate(Layout, content, FILE)

"""What claims are judged with: the cells of one protocol, and whether they can judge at all."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.report.claims.ledger import Claim, Judged, Ledger, Verdict
from benchmark.report.results import Results

Needs = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Bench:
    """What a claim is judged with."""

    results: Results
    ledger: Ledger
    protocol: str
    paper: Path | None = None

    @property
    def datasets(self) -> list[str]:
        """The paper's."""
        return self.results.order["datasets"]

    def cell(self, backbone: str, dataset: str, method: str) -> pd.Series | None:
        """The table cell, one that speaks for the paper where there are several."""
        return self._cells.get((backbone, dataset, method))

    @functools.cached_property
    def _cells(self) -> dict[tuple[str, str, str], pd.Series]:
        cells = self.results.cells[self.results.cells["protocol"] == self.protocol]
        ranked = cells.assign(
            bare=cells["backbone"].str.replace(r"\[.*", "", regex=True),
            bad=cells["marks"] != "",
            open=cells["score"].isna(),
        ).sort_values(["bad", "open"], kind="stable")
        best = ranked.drop_duplicates(["bare", "dataset", "method"])
        return {(cell["bare"], cell["dataset"], cell["method"]): cell for _, cell in best.iterrows()}

    def lacking(self, needs: Needs) -> tuple[Verdict, str] | None:
        """Why these cells cannot judge anything; None where they can."""
        for backbone, dataset, method in needs:
            cell = self.cell(backbone, dataset, method)
            name = f"{backbone} {dataset} {method}"
            if cell is None or not cell["done"]:
                return "not run", f"{name} was not run"
            if cell["marks"]:
                return "not comparable", f"{name}: {cell['marks']}"
            if pd.isna(cell["score"]):
                return "not run", f"{name}: {cell['done']} of {cell['expected']} trials are finished"
        return None


def base_of(claim: Claim, bench: Bench, part: str, needs: Needs = ()) -> Judged:
    """The claim, not judged yet; `part` is the dataset where it is about each.

    `needs` are the cells that decide it.
    """
    return Judged(
        id=f"{claim.id}-{part}" if part else claim.id,
        statement=f"{claim.statement} ({part})" if part else claim.statement,
        source=f"{claim.source}: {bench.ledger.sources[claim.source]}",
        verdict="not run",
        expect=claim.expect,
        why="",
        paper={"at_least": "at least equal", "above": "above", "below": "below"}[claim.relation]
        if claim.kind == "order"
        else "",
        needs=needs,
    )


def with_verdict(base: Judged, verdict: Verdict, why: str) -> Judged:
    """The same with a verdict that needs no number."""
    return dataclasses.replace(base, verdict=verdict, why=why)

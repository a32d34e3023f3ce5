"""Write the report of a results folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmark.files import write_atomic
from benchmark.records.store import ResultStore
from benchmark.report.aggregate import KEYS
from benchmark.report.render import Caption, Table, marks, plain, rules, to_latex, to_markdown, wide
from benchmark.report.results import Results
from benchmark.report.tables.differences import differences, differences_text
from benchmark.report.tables.paper import beside, paper_cells
from benchmark.report.tables.steps import steps_text
from benchmark.report.tables.tuned import tuned, tuned_text


@dataclass(frozen=True)
class Report:
    """What was written, and the main table for the terminal."""

    paths: list[Path]
    results: pd.DataFrame
    warnings: list[str]


def layout() -> dict[str, Any]:
    """The tables and figures that `paper_tables/layout.yaml` asks for."""
    content: dict[str, Any] = yaml.safe_load((files("paper_tables") / "layout.yaml").read_text(encoding="utf-8"))
    return content


def read_results(store: ResultStore) -> Results:
    """What a results folder holds, in the layout's order.

    Raises:
        BenchmarkError: not a results folder.
    """
    plan = layout()
    return Results(store, {key: plan[key] for key in ("methods", "datasets")})


def build_report(
    store: ResultStore, folder: Path | None = None, paper: Path | None = None, *, html: bool = False
) -> Report:
    """Tables (CSV, Markdown, LaTeX, JSON) and figures (PNG, PDF, SVG) from the records alone.

    Args:
        store: the results folder.
        folder: where to write, `report/` in the results folder by default.
        paper: more of the paper's numbers, in the form of `paper_tables/scores.yaml`.

    Raises:
        BenchmarkError: not a results folder, or a damaged record.
    """
    from benchmark.report.figures import FIGURES, save

    results = read_results(store)
    folder = folder or store.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    made = list(tables(results, paper))
    for table in made:
        contents = {
            "csv": table.data.to_csv(index=False),
            "md": to_markdown(table.text, table.caption),
            "tex": to_latex(table.text, table.caption),
            "json": json.dumps(_sidecar(table, results), indent=1, ensure_ascii=False),
        }
        paths += [_write(folder / f"{table.name}.{ending}", text) for ending, text in contents.items()]
    protocols = results.cells["protocol"].unique()
    scope = f", protocol {protocols[0]}" if len(protocols) == 1 else ""
    figures = [
        (entry["name"], entry["title"], FIGURES[entry["name"]](results, entry["title"] + scope))
        for entry in layout()["figures"]
    ]
    if html:
        from benchmark.report.html import to_html

        paths.append(_write(folder / "report.html", to_html(results, made, figures, paper)))
    for name, _, figure in figures:
        paths += save(figure, folder, name)
    return Report(paths, plain(wide(results.cells, "score")), marks(results.cells))


def _write(path: Path, text: str) -> Path:
    write_atomic(path, text.encode("utf-8"))
    return path


def tables(results: Results, paper: Path | None = None) -> Iterator[Table]:
    """The tables of the layout, those without a row left out but for the main one."""
    cells, warnings = results.cells, marks(results.cells)
    for entry in layout()["tables"]:
        note = entry["note"].strip()
        if "value" in entry:
            text = wide(cells, entry["value"])
            data = cells if "columns" not in entry else cells[["cell", *KEYS, "settings", *entry["columns"], "marks"]]
            note = f"{rules(cells)} {note}".strip()
            if entry["name"] != "results" and not (text.drop(columns=text.columns[:3]) != "").any(axis=None):
                continue
        else:
            data, text = _ROWS[entry["rows"]](results, entry, paper)
            if data.empty:
                continue
        yield Table(entry["name"], data, text, Caption(entry["title"], note, warnings))


_Rows = tuple[pd.DataFrame, pd.DataFrame]


def _differences(results: Results, entry: dict[str, Any], _: Path | None) -> _Rows:
    data = differences(results, entry["pairs"])
    return data, differences_text(data)


def _steps(results: Results, *_: object) -> _Rows:
    return results.steps, steps_text(results.steps)


def _tuned(results: Results, *_: object) -> _Rows:
    data = tuned(results)
    return data, tuned_text(data)


def _paper(results: Results, _: dict[str, Any], more: Path | None) -> _Rows:
    cells, _sources = paper_cells(more)
    data = beside(results, cells)
    return data, data.drop(columns="marks")


_ROWS: dict[str, Callable[[Results, dict[str, Any], Path | None], _Rows]] = {
    "differences": _differences,
    "steps": _steps,
    "tuned": _tuned,
    "paper": _paper,
}


def _sidecar(table: Table, results: Results) -> dict[str, Any]:
    """The table for programs, with the records behind every cell."""
    content: dict[str, Any] = {
        "title": table.caption.title,
        "note": table.caption.note,
        "not_comparable_with_the_paper": table.caption.warnings,
        "rows": json.loads(table.data.to_json(orient="records")),
    }
    if "cell" in table.data:
        by_cell = results.trials.groupby("cell", sort=False)["id"].apply(list).to_dict()
        content["records"] = {cell: by_cell.get(cell, []) for cell in table.data["cell"].dropna()}
    return content

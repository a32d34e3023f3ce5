"""Write the report of a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmark.files import write_atomic
from benchmark.records.store import ResultStore
from benchmark.report.cells import KEYS, summarise
from benchmark.report.tables import marks, rules, to_latex, to_markdown, wide


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


def build_report(store: ResultStore, folder: Path | None = None) -> Report:
    """Tables (CSV, Markdown, LaTeX) and figures (PNG, PDF) from the records alone.

    Args:
        store: the results folder.
        folder: where to write, `report/` in the results folder by default.

    Raises:
        BenchmarkError: not a results folder, or a damaged record.
    """
    from benchmark.report.figures import save, scatter

    store.require()
    folder = folder or store.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    plan = layout()
    cells = summarise(store.records(), store.submitted(), plan)
    warnings = marks(cells)
    paths: list[Path] = []
    for entry in plan["tables"]:
        table = wide(cells, entry["value"])
        text = (entry["title"], f"{rules(cells)} {entry['note'].strip()}".strip(), warnings)
        columns = cells if "columns" not in entry else cells[[*KEYS, "settings", *entry["columns"], "marks"]]
        paths.append(_write(folder / f"{entry['name']}.csv", columns.to_csv(index=False)))
        paths.append(_write(folder / f"{entry['name']}.md", to_markdown(table, *text)))
        paths.append(_write(folder / f"{entry['name']}.tex", to_latex(table, *text)))
    for entry in plan["figures"]:
        paths += save(scatter(cells, entry["title"], warnings), folder, entry["name"])
    return Report(paths, wide(cells, "score"), warnings)


def _write(path: Path, text: str) -> Path:
    write_atomic(path, text.encode("utf-8"))
    return path

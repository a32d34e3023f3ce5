"""Run all cases of a golden file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.tools.parity.case import Case, Content, Outcome, unknown_case
from benchmark.tools.parity.frontend import frontend_cases
from benchmark.tools.parity.models import model_outcome, train_outcome
from benchmark.tools.parity.numbers import metric_outcome, schedule_outcome

# parts of a golden file that describe other parts and have no cases
DESCRIPTIONS = {
    "format",
    "references",
    "rules",
    "param_lists",
    "checkpoints",
    "train_cases_builders",
    "hf",
    "load_reports",
    "error_cases",
    "trainable_rule",
}
CASES = {"model_cases", "train_cases", "frontend", "metrics", "schedules"}
FORMAT = 1


def run_parity(path: Path, only: str = "") -> Iterator[Outcome]:
    """Yield outcomes in the order of the file; a case that cannot be run, or has an unknown kind, fails.

    Args:
        path: a file in the golden format.
        only: run cases whose name contains this.

    Raises:
        BenchmarkError: the file cannot be read, or has another format.
    """
    return (case.outcome() for case in golden_cases(path) if only in case.name)


def golden_cases(path: Path) -> list[Case]:
    """Return the cases of a golden file; none has been run.

    Args:
        path: a file in the golden format.

    Raises:
        BenchmarkError: the file cannot be read, or has another format.
    """
    try:
        content: Content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BenchmarkError(f"{path}: is not a golden file of format {FORMAT}")
    models, trainings = content.get("model_cases", []), content.get("train_cases", [])
    metrics, schedules = enumerate(content.get("metrics", [])), content.get("schedules", {}).items()
    return [
        *(unknown_case("unknown", key) for key in sorted(set(content) - CASES - DESCRIPTIONS)),
        *(Case("model", case["name"], partial(model_outcome, case, content)) for case in models),
        *(Case("train", case["name"], partial(train_outcome, case, content)) for case in trainings),
        *frontend_cases(content.get("frontend", {})),
        *(Case("metric", f"metric {number}", partial(metric_outcome, case)) for number, case in metrics),
        *(Case("schedule", name, partial(schedule_outcome, name, case)) for name, case in schedules),
    ]

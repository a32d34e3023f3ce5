"""Run all cases of a golden file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.tools.parity.case import Content, Outcome
from benchmark.tools.parity.frontend import frontend_outcomes
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
    try:
        content: Content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BenchmarkError(f"{path}: is not a golden file of format {FORMAT}")
    for key in sorted(set(content) - CASES - DESCRIPTIONS):
        yield Outcome("unknown", key, None, None, (f"unknown kind of case '{key}'",))
    for case in content.get("model_cases", []):
        yield from _guarded("model", case["name"], only, partial(model_outcome, case, content))
    for case in content.get("train_cases", []):
        yield from _guarded("train", case["name"], only, partial(train_outcome, case, content))
    for outcome in frontend_outcomes(content.get("frontend", {})):
        if only in outcome.name:
            yield outcome
    for number, case in enumerate(content.get("metrics", [])):
        yield from _guarded("metric", f"metric {number}", only, partial(metric_outcome, case))
    for name, case in content.get("schedules", {}).items():
        yield from _guarded("schedule", name, only, partial(schedule_outcome, name, case))


def _guarded(kind: str, name: str, only: str, run: Callable[[], Outcome]) -> Iterator[Outcome]:
    if only not in name:
        return
    try:
        yield run()
    except (BenchmarkError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        yield Outcome(kind, name, None, None, (f"{type(error).__name__}: {reason}",))

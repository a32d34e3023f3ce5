"""Whether a method or a backbone keeps its contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.method_names import method_names
from benchmark.console import counting, say, stderr_console
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.method_names import MethodNames
    from benchmark.testing import Finding


@dataclass(frozen=True)
class CheckResult:
    """The outcomes of all checks. `print` shows them, one per line.

    Attributes:
        findings: the outcomes by method or backbone, in the order of the checks; `fault` is None where it passed.
    """

    findings: dict[str, list[Finding]]

    @property
    def faults(self) -> list[Finding]:
        """The outcomes of the checks that failed."""
        return [finding for findings in self.findings.values() for finding in findings if finding.fault]

    def as_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the outcomes as plain data, for JSON."""
        return {variant: list(map(dataclasses.asdict, findings)) for variant, findings in self.findings.items()}

    def __str__(self) -> str:
        lines = []
        for variant, findings in self.findings.items():
            lines.append(variant)
            for finding in findings:
                lines += [f"{_mark(finding)} {_text(finding)}", *_remarks(finding)]
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """Return the number of failed checks in a sentence."""
        return f"{len(self.faults)} of the checks failed" if self.faults else "all checks passed"


@checked
def check(methods: MethodNames, *, console: Console | None = None) -> CheckResult:
    """Check methods against the contract: trains small models with random weights on the CPU, half a minute each.

    No data is needed.

    Args:
        methods: text such as `./mine.py` or `aat_m+prompt`, a class derived from `Method`, or a list of them.
        console: where each outcome is printed as soon as it is known; None for stderr, `Console(quiet=True)` for
            silence.

    Raises:
        BenchmarkError: no method is named, or there is no such method.

    Example:
        >>> import benchmark
        >>> assert not benchmark.check("./mine.py").faults
    """
    from benchmark.methods.registry import resolve_methods
    from benchmark.testing import conform

    console = console or stderr_console()
    outcomes: dict[str, list[Finding]] = {}
    names = method_names(methods)
    if not names:
        raise BenchmarkError("methods: expected at least one method to check")
    resolved = [method for text in names for method in resolve_methods(text, "check")]
    for method in resolved:
        variant = method.choice().variant
        outcomes[variant] = _shown(variant, conform(method), console)
    return CheckResult(outcomes)


@checked
def check_backbone(backbone: str, *, console: Console | None = None) -> CheckResult:
    """Check a backbone against the contract: models with random weights on the CPU, a minute or two.

    No data and no weights are needed.

    Args:
        backbone: text such as `./mine.py`, `./mine.yaml`, `package.module:Mine` or `audiomae`.
        console: as for `check`.

    Raises:
        BenchmarkError: there is no such backbone.

    Example:
        >>> import benchmark
        >>> assert not benchmark.check_backbone("./mine.py").faults
    """
    from benchmark.testing import conform_backbone

    console = console or stderr_console()
    with counting(console) as progress:
        return CheckResult({backbone: _shown(backbone, conform_backbone(backbone, progress=progress), console)})


def _shown(name: str, findings: Iterable[Finding], console: Console) -> list[Finding]:
    """Return outcomes, each of which is printed as soon as it is known."""
    say(console, name)
    found = []
    for finding in findings:
        found.append(finding)
        if finding.fault:
            say(console, f" {_text(finding)}", mark=_mark(finding))
        else:
            say(console, f"{_mark(finding)} {_text(finding)}")
        for remark in _remarks(finding):
            say(console, remark)
    return found


def _mark(finding: Finding) -> str:
    return "  FAIL" if finding.fault else "  ok  "


def _text(finding: Finding) -> str:
    """Return the cause of a fault, else the rule that is kept."""
    return f"{finding.check:13} {finding.fault or finding.about} ({finding.seconds:.1f} s)"


def _remarks(finding: Finding) -> list[str]:
    """Return the lines below that of a finding: the rule that is broken, and notes."""
    rule = [f"rule: {finding.about}"] if finding.fault else []
    return [f"{'':20} {remark}" for remark in (*rule, *finding.notes)]

"""Names for the completion of a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmark.errors import BenchmarkError


def completions(kind: str, incomplete: str) -> list[str]:
    """Return the names that a word may become; the last one of a comma list is completed.

    Args:
        kind: `methods`, `datasets`, `backbones`, `grids`, `protocols` or `papers`.
        incomplete: what the user has typed.

    Example:
        >>> completions("datasets", "esc50,gt")
        ['esc50,gtzan']
    """
    before, comma, last = incomplete.rpartition(",")
    try:
        return [f"{before}{comma}{name}" for name in sorted(NAMES[kind]()) if name.startswith(last)]
    except (BenchmarkError, OSError):  # a damaged plug-in must not fill the prompt with its error
        return []


def _methods() -> Iterable[str]:
    from benchmark.methods import huggingface
    from benchmark.methods.registry import methods

    return [*methods(), *huggingface.names()]


def _datasets() -> Iterable[str]:
    from benchmark.data.registry import datasets

    return datasets()


def _declared(kind: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        from benchmark.spec.declared import declared

        return declared(kind)

    return names


def _papers() -> Iterable[str]:
    from benchmark.report.papers import known_papers

    return known_papers()


NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "papers": _papers,
    **{kind: _declared(kind) for kind in ("backbones", "grids", "protocols")},
}

"""Parameter counts of a grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.selection import Names, Selection, Settings

if TYPE_CHECKING:
    from benchmark.api.method_names import MethodNames
    from benchmark.spec.grid import Grid


@checked
def params(
    grid: str | Path | Grid,
    *,
    methods: MethodNames = (),
    datasets: Names = (),
    backbones: Names = (),
    settings: Settings = (),
) -> Iterator[dict[str, Any]]:
    """Count total and trainable parameters of every backbone, dataset and method; no data or weights needed.

    Args:
        grid: name of a declared grid, path of a YAML file, or a `Grid` object.
        methods: as for `run`.
        datasets: as for `run`.
        backbones: as for `run`.
        settings: as for `run`.

    Yields:
        One row per backbone, dataset and method, with the columns of `benchmark.tools.params.COLUMNS`.

    Raises:
        BenchmarkError: a mistake in an argument.

    Example:
        >>> pandas.DataFrame(params("paper", datasets="esc50"))
    """
    from benchmark.tools.params import parameter_rows

    selected = Selection(grid=grid, methods=methods, datasets=datasets, backbones=backbones, settings=settings)
    yield from parameter_rows(selected.resolve().expand().requests)

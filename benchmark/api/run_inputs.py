"""What a run needs before it begins: audio, inputs that are there, models that can be built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.api import folders
from benchmark.console import say
from benchmark.errors import BenchmarkError, MissingInputError, MissingInputsError
from benchmark.units import plural

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.selection import SelectedGrid
    from benchmark.planning.estimate import Estimate
    from benchmark.planning.expand import Expansion
    from benchmark.planning.plan import Plan
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest


def synthesize(selected: SelectedGrid) -> None:
    """Write the audio of a grid that generates its own."""
    from benchmark.data.dataset import Synthesizable
    from benchmark.data.registry import get_dataset

    grid = selected.grid
    if not isinstance(grid.datasets, list):
        raise BenchmarkError(f"{grid.origin}: synthesize needs a list of datasets")
    with selected.store.lock():
        for name in grid.datasets:
            dataset = get_dataset(name, grid.origin)
            wanted = grid.synthesis(name)
            if not isinstance(dataset, Synthesizable) or wanted is None:
                raise BenchmarkError(f"{grid.origin}: {name} cannot be synthesized")
            dataset.synthesize(selected.data_root, **wanted.model_dump())


def available(expansion: Expansion, console: Console, *, skip_missing: bool) -> list[TrialRequest]:
    """Return the trials whose inputs are available, and print what is left out."""
    requests, missing = expansion.runnable, expansion.missing_inputs
    if missing:
        if len(missing) == 1 and not requests:
            raise MissingInputError(missing[0])
        if not skip_missing or not requests:
            rest = f", or run the {plural(len(requests), 'trial')} without them with --skip-missing" if requests else ""
            raise MissingInputsError(missing, f"inputs of the grid are missing ({len(missing)}): get them{rest}")
        for line in missing:
            say(console, f"missing input: {line}")
        say(console, f"{len(expansion.requests) - len(requests)} of {len(expansion.requests)} trials are skipped")
    for line in expansion.skipped:
        say(console, f"skipped: {line}")
    return requests


def buildable(
    requests: list[TrialRequest], estimates: Mapping[str, Estimate], console: Console, *, skip_unfit: bool
) -> list[TrialRequest]:
    """Return the trials whose model can be built, and print what is left out.

    Raises:
        BenchmarkError: there are others, and they are not to be left out.
    """
    from benchmark.planning.unfit import unfit_lines

    lines = unfit_lines(requests, estimates)
    buildable = [request for request in requests if estimates[request.id].fault is None]
    if lines and (not skip_unfit or not buildable):
        rest = f"; run the {plural(len(buildable), 'trial')} without them with --skip-missing" if buildable else ""
        raise BenchmarkError(f"{'; '.join(lines)}: nothing was run{rest}")
    for line in lines:
        say(console, f"cannot be built: {line}")
    return buildable


def without_weights(plan: Plan, to_run: list[TrialRequest], store: ResultStore) -> int:
    """Return how many trials are finished, are not run again, and kept no weights."""
    again = {request.id for request in to_run}
    finished = [entry.request for entry in plan.entries if entry.state in {"done", "stale"}]
    return sum(request.id not in again and not store.weights_path(request).is_file() for request in finished)


def verdicts(expansion: Expansion) -> dict[str, dict[str, Any]]:
    """Return what `data verify` found of the datasets as they are now, by the manifest's digest."""
    from benchmark.records.verdicts import find

    folder = folders.verdict_folder()
    found = {manifest.digest: find(folder, manifest.state) for manifest in expansion.manifests.values()}
    return {digest: verdict.model_dump(mode="json") for digest, verdict in found.items() if verdict}

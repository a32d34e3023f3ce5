"""Methods and backbones from outside the suite, in processes other than the one that planned the trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmark.methods.registry import externals, load_externals
from benchmark.models.outside import enter_place
from benchmark.places import External
from benchmark.spec.backbone import outside_backbone
from benchmark.spec.request import TrialRequest

BACKBONE = "backbone "  # before the name of a backbone, which may be that of a method, too


def outside_parts(requests: Iterable[TrialRequest]) -> dict[str, External]:
    """Return where methods and backbones of trials come from that are not the suite's.

    The key is the name of a method, or `backbone NAME`.
    """
    trials = list(requests)
    found = {name: outside_backbone(name) for name in sorted({trial.backbone.name for trial in trials})}
    backbones = {f"{BACKBONE}{name}": external for name, external in found.items() if external is not None}
    return {**externals(trial.method for trial in trials), **backbones}


def outside_places(requests: Iterable[TrialRequest]) -> dict[str, str]:
    """Return the places of `outside_parts`, for `load_places` in another process."""
    return {name: external.place for name, external in outside_parts(requests).items()}


def load_places(places: Mapping[str, str]) -> None:
    """Load methods and backbones in another process than the one that planned the trials.

    Args:
        places: what `outside_places` returned; what is known already is left alone.

    Raises:
        BenchmarkError: a file is missing here, or does not import.
    """
    load_externals({name: place for name, place in places.items() if not name.startswith(BACKBONE)})
    for name, place in places.items():
        if name.startswith(BACKBONE):
            enter_place(name.removeprefix(BACKBONE), place)

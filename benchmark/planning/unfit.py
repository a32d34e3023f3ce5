"""Trials whose model cannot be built, found before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from benchmark.planning.estimate import Estimate
from benchmark.spec.request import TrialRequest
from benchmark.units import plural


def unfit_lines(requests: Sequence[TrialRequest], estimates: Mapping[str, Estimate]) -> list[str]:
    """Return every cause why models cannot be built, once, with the number of its trials.

    Args:
        requests: the trials.
        estimates: of them, by trial id.
    """
    faults = Counter(fault for request in requests if (fault := estimates[request.id].fault))
    return [f"{fault} ({plural(number, 'trial')})" for fault, number in faults.items()]

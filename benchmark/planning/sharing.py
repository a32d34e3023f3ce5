"""What trials gain by sharing a GPU, from measurements of `profile --sharing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.records.schema import Cost, SharingProfile

if TYPE_CHECKING:
    from benchmark.planning.machine import Machine
    from benchmark.spec.request import TrialRequest

PARTS = (8, 6, 4, 3, 2, 1)  # trials per GPU; few different shares, as workers are reused only within a share


@dataclass(frozen=True)
class Sharing:
    """Measured throughput of trials that share a GPU.

    Attributes:
        throughput: of all trials together, by their number; in any unit.
        of_smaller_step: the measured step is smaller than the trial's, which may gain less.
    """

    throughput: Mapping[int, float]
    of_smaller_step: bool = False

    def best(self, numbers: Iterable[int]) -> int:
        """Return the measured one of some numbers of trials with the highest throughput, the smallest of equal ones."""
        known = [number for number in numbers if number in self.throughput]
        return max(known, key=lambda number: (self.throughput[number], -number), default=1)

    def gain(self, number: int) -> float:
        """Return the throughput of this many trials divided by that of one; 1 if it is not known."""
        known = not self.of_smaller_step and {1, number} <= self.throughput.keys()
        return self.throughput[number] / self.throughput[1] if known else 1.0


class SharingMeasurements:
    """The measurements of one machine.

    Args:
        profiles: of any machine.
        machine: what the trials will run on.
    """

    def __init__(self, profiles: Iterable[SharingProfile], machine: Machine) -> None:
        here = [profile for profile in profiles if machine.has_shared(profile)]
        self._by_key = {profile.request.step_key: profile for profile in here}
        sized = [(_operations(profile.cost), profile.clips_per_second) for profile in here if profile.cost]
        self._by_operations = sorted(sized, key=lambda step: step[0])

    def of(self, request: TrialRequest, cost: Cost | None) -> Sharing | None:
        """Return what a trial's step gains: measured, else of the next larger step, else of the largest one.

        Smaller steps gain at least as much as larger ones, because they leave more of a GPU idle.

        Args:
            request: the trial.
            cost: counted cost of its step; None if unknown.

        Returns:
            None if nothing was measured on this machine, or the step can be compared with no other.
        """
        if measured := self._by_key.get(request.step_key):
            return Sharing(measured.clips_per_second)
        if cost is None or not self._by_operations:
            return None
        larger = [throughput for operations, throughput in self._by_operations if operations >= _operations(cost)]
        if larger:
            return Sharing(larger[0])
        return Sharing(self._by_operations[-1][1], of_smaller_step=True)


def _operations(cost: Cost) -> int:
    """Return the operations of a training step."""
    return cost.train_flops * cost.clips


def measurable(
    numbers: Sequence[int], cores: int, memory: int | None, bytes_each: int
) -> tuple[list[int], dict[str, list[int]]]:
    """Return which numbers of processes can be measured on a machine, with 1, and the others by the reason.

    Args:
        numbers: numbers that are asked for.
        cores: CPU cores that the processes divide.
        memory: bytes of host memory for them; None if unknown.
        bytes_each: bytes of host memory that each needs.
    """
    able, refused = [1], dict[str, list[int]]()
    for number in sorted(set(numbers) - {1}):
        if number > cores:
            refused.setdefault("there are fewer CPU cores", []).append(number)
        elif memory is not None and number * bytes_each > memory:
            refused.setdefault("the host memory is too small", []).append(number)
        else:
            able.append(number)
    return able, refused

"""What trials gain by training at the same time on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.console import say
from benchmark.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.selection import Numbers
    from benchmark.planning.expand import Expansion
    from benchmark.planning.node import Node
    from benchmark.records.schema import Cost, SharingProfile
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest

METHOD, DATASET = "aat_ms", "speech_commands_v2"  # measured unless others are named: many short steps


def profile_sharing(
    expansion: Expansion,
    store: ResultStore,
    console: Console,
    *,
    at_once: Numbers,
    mps: bool,
    device: str,
    cores: int | None,
    seconds: float,
    clips: int | None,
    compiled: bool,
    checkpointing: bool,
) -> list[SharingProfile]:
    """Measure every step shape of a grid in several processes at the same time, into a results folder.

    Args:
        expansion: trials; those of one shape are measured once.
        store: the results folder.
        console: where a line per shape is printed, and why a number was not measured.
        at_once: numbers of processes; 1 is always measured.
        mps: start MPS for the measurement if it is not running.
        device: `cpu` or `cuda`.
        cores: CPU cores that the processes divide; None for those of one device.
        seconds: how long each number trains.
        clips: clips of a step; None for the recipe's batch size.
        compiled: whether the steps are compiled.
        checkpointing: whether activations are computed again in the backward pass.

    Raises:
        BenchmarkError: a wrong number, no MPS here, or a step that not even one process can take.
    """
    from benchmark import mps as mps_service
    from benchmark.planning.flops import count_costs
    from benchmark.planning.node import node_here
    from benchmark.planning.packing import share
    from benchmark.trial.profile import shapes
    from benchmark.trial.profile_sharing import Together, measure_sharing
    from benchmark.trial.random_step import with_batch_size

    numbers = _numbers(at_once)
    if mps and device == "cpu":
        raise ArgumentError("mps", "MPS shares a GPU, but the steps are measured on the CPU")
    node = node_here()
    cores = cores or share([node], None, None if device == "cuda" else 0, exclusive=True).cpus
    requests = shapes([with_batch_size(request, clips) for request in expansion.requests])
    with store.lock():  # a folder that cannot be written is reported before the work
        pass
    costs, profiles = count_costs(requests, console, checkpointing=checkpointing).costs, []
    with mps_service.service(wanted=mps) as variables:
        on_gpu = device == "cuda"
        is_shared_by_mps = on_gpu and (mps or mps_service.is_running())
        for request in requests:
            cost = costs.get(request.step_key)
            able = _measurable(request, cost, numbers, cores, node, console, on_gpu=on_gpu)
            how = Together(device, cores, able, seconds, compiled, checkpointing, is_shared_by_mps, variables)
            profile = measure_sharing(request, how, cost)
            store.write_sharing(profile)
            profiles.append(profile)
            say(console, f"[{len(profiles)}/{len(requests)}] {sharing_text(profile)}")
    return profiles


def _numbers(at_once: Numbers) -> list[int]:
    """Return the numbers of trials to measure, such as [2, 4] for `2,4`."""
    from benchmark.api.selection import texts
    from benchmark.planning.sharing import PARTS
    from benchmark.spec.grammar import split_list

    valid = {str(number): number for number in PARTS}
    words = [word.strip() for word in split_list(texts(at_once))]
    for word in words:
        if word not in valid:
            raise ArgumentError("sharing", f"expected some of {', '.join(reversed(valid))}, such as 1,2,4,8", word)
    return [valid[word] for word in words]


def _measurable(
    request: TrialRequest,
    cost: Cost | None,
    numbers: Sequence[int],
    cores: int,
    node: Node,
    console: Console,
    *,
    on_gpu: bool,
) -> list[int]:
    """Return the numbers that cores and host memory allow; say why the others are not measured."""
    from benchmark.planning.memory import need_of
    from benchmark.planning.sharing import measurable

    need = need_of(cost, request.recipe)
    able, refused = measurable(numbers, cores, node.memory, need.beside_gpu if on_gpu else need.cpu)
    for reason, left_out in refused.items():
        say(console, f"{request.label}: {', '.join(map(str, left_out))} at once not measured: {reason}")
    return able


def sharing_text(profile: SharingProfile) -> str:
    """Return a measurement in one line."""
    request, found = profile.request, profile.clips_per_second
    values = ", ".join(f"{number}: {value:.4g} ({value / found[1]:.2f})" for number, value in found.items())
    text = (
        f"{request.dataset.name} {request.method.variant} ({request.backbone.size_text}), clips/s of all processes "
        f"(ratio to one process){' with MPS' if profile.mps else ''}: {values}"
    )
    return f"{text}; {profile.error}" if profile.error else text

"""What NVIDIA's management library knows. Only this module asks it.

NVML lists all cards of a machine. CUDA_VISIBLE_DEVICES and MIG, which divides a card into instances, decide which of
them trials may use.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

VISIBLE = "CUDA_VISIBLE_DEVICES"

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """What CUDA shows as one GPU: a card, or an instance of a card in MIG mode.

    Attributes:
        uuid: `GPU-...` or `MIG-...`.
        name: its product name.
        memory: bytes; None if the driver does not report them, as with memory that CPU and GPU share.
    """

    uuid: str
    name: str
    memory: int | None


@dataclass(frozen=True)
class Card:
    """One card.

    Attributes:
        uuid: `GPU-...`.
        gpus: what trials can use of it: the card itself, or its instances in MIG mode.
        mig: whether it is in MIG mode; it then computes nothing without an instance.
    """

    uuid: str
    gpus: tuple[Gpu, ...]
    mig: bool


def gpus() -> list[tuple[str, int | None]]:
    """Return name and bytes of memory (None if unknown) of each GPU that trials may use here, without starting CUDA."""
    return [(gpu.name, gpu.memory) for gpu in usable(cards(), os.environ.get(VISIBLE))]


def cards() -> list[Card]:
    """Return all cards of this machine; a card that does not answer is left out and does not hide the others."""

    def found(nvml: Any) -> list[Card]:
        return list(_cards(nvml))

    return _ask(found) or []


def usable(cards: Sequence[Card], visible: str | None) -> list[Gpu]:
    """Return the GPUs that trials may use, each process one of them.

    Args:
        cards: all cards, in the order of their indices.
        visible: CUDA_VISIBLE_DEVICES: indices, or UUIDs or their beginnings. As in CUDA, all that follows an invalid
            one is ignored, and a repeated one makes the whole list invalid. None if it is not set. Indices are taken in
            the order of the PCI bus; that of CUDA is the same if all cards are equal or CUDA_DEVICE_ORDER says so.
    """
    if visible is None:
        return [gpu for card in cards for gpu in card.gpus]
    chosen: list[Gpu] = []
    for word in visible.split(","):
        gpu = _named(cards, word.strip())
        if gpu is None:
            break
        if gpu in chosen:
            return []
        chosen.append(gpu)
    return chosen


def _named(cards: Sequence[Card], word: str) -> Gpu | None:
    """Return the GPU that an index or a UUID names; of a card in MIG mode, CUDA shows the first instance."""
    found: list[tuple[Gpu, ...]] = []
    if word.isdecimal():
        found = [card.gpus for card in cards][int(word) : int(word) + 1]
    elif word.startswith("GPU-"):
        found = [card.gpus for card in cards if card.uuid.startswith(word)]
    elif word.startswith("MIG-"):
        found = [(gpu,) for card in cards for gpu in card.gpus if gpu.uuid.startswith(word)]
    return found[0][0] if len(found) == 1 and found[0] else None


def name_instances() -> None:
    """Name all usable GPUs in CUDA_VISIBLE_DEVICES if a card is in MIG mode and the user named none.

    Without names, CUDA shows every process the first instance alone. Ray gives each worker one of the names.
    """
    found = cards()
    if VISIBLE not in os.environ and any(card.mig for card in found):
        os.environ[VISIBLE] = ",".join(gpu.uuid for gpu in usable(found, None))
        logger.info("a card is in MIG mode: %s=%s", VISIBLE, os.environ[VISIBLE])


def driver() -> str | None:
    """Return the version of the NVIDIA driver; None if there is none."""
    return _ask(lambda nvml: str(nvml.nvmlSystemGetDriverVersion()))


def joules(uuid: str) -> float | None:
    """Return the energy that a GPU has used since its driver was loaded; None if it does not count.

    Args:
        uuid: of the GPU, in CUDA's form.
    """
    name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
    return _ask(
        lambda nvml: nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByUUID(name)) / 1000  # from mJ
    )


def _cards(nvml: Any) -> Iterator[Card]:
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            yield _card(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
        except nvml.NVMLError as error:  # such as "GPU is lost"
            logger.warning("GPU %d does not answer and is not used: %s", index, error)


def _card(nvml: Any, handle: Any) -> Card:
    """Return a card with its instances. In MIG mode, a container may not be allowed to ask for the memory of a card."""
    mig = False
    with contextlib.suppress(nvml.NVMLError):  # a card without MIG
        mig = nvml.nvmlDeviceGetMigMode(handle)[0] == 1
    gpus = tuple(_instances(nvml, handle)) if mig else (_gpu(nvml, handle),)
    return Card(str(nvml.nvmlDeviceGetUUID(handle)), gpus, mig)


def _instances(nvml: Any, handle: Any) -> Iterator[Gpu]:
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(nvml.NVMLError):  # no instance has this number
            yield _gpu(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))


def _gpu(nvml: Any, handle: Any) -> Gpu:
    memory = None
    with contextlib.suppress(nvml.NVMLError):
        memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(str(nvml.nvmlDeviceGetUUID(handle)), str(nvml.nvmlDeviceGetName(handle)), memory)


def _library() -> Any:
    return importlib.import_module("pynvml")


def _ask(question: Callable[[Any], Answer]) -> Answer | None:
    nvml = _library()
    try:
        nvml.nvmlInit()
        return question(nvml)
    except nvml.NVMLError as error:
        logger.debug("no answer of NVML: %s", error)
        return None

"""What NVIDIA's management library knows. Only this module asks it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


def gpus() -> list[tuple[str, int]]:
    """Return name and bytes of memory of each GPU of this machine, without starting CUDA."""

    def sizes(nvml: Any) -> list[tuple[str, int]]:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return [(str(nvml.nvmlDeviceGetName(h)), int(nvml.nvmlDeviceGetMemoryInfo(h).total)) for h in handles]

    return _ask(sizes) or []


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


def _ask(question: Callable[[Any], Answer]) -> Answer | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        return question(pynvml)
    except pynvml.NVMLError as error:
        logger.debug("no answer of NVML: %s", error)
        return None

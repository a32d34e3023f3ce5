"""What stays in the memory of a trial's GPU: filter banks, and outputs of the frozen part for evaluation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import torch

from benchmark.data.device_banks import held_bytes, hold
from benchmark.trial.data import TrialData
from benchmark.trial.device import free_memory, is_out_of_memory
from benchmark.trial.evaluation_plan import KEPT_BYTES
from benchmark.trial.gpu_memory import room_for_banks, spare_bytes
from benchmark.trial.setting import Setting
from benchmark.units import data_size

logger = logging.getLogger(__name__)


def with_banks(data: TrialData, setting: Setting, device: torch.device) -> TrialData:
    """Return the data with its filter banks in the memory of the GPU if they fit there, else as it is.

    A CPU holds none: they are in the page cache of the system already.

    Args:
        data: clips of every split.
        setting: where the trial runs.
        device: the trial's.

    Raises:
        BadAudioError: a file is bad.
        OSError: a clip cannot be read now.
    """
    if data.moves:
        logger.debug("filter banks are read in every epoch: other windows each time")
        return data
    size, room = held_bytes(data.splits), _room(setting, device)
    if size > room:
        logger.debug("filter banks are read in every epoch: %s, room for %s", data_size(size), data_size(room))
        return data
    try:
        splits = hold(data.splits, device, setting.threads)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        logger.info("filter banks are read in every epoch: the memory of the GPU is full")
    else:
        logger.info("%s of filter banks are in the memory of the GPU", data_size(size))
        return dataclasses.replace(data, splits=splits)
    free_memory()
    return data


def _room(setting: Setting, device: torch.device, rule: Callable[..., int] = room_for_banks) -> int:
    """Return the bytes that filter banks, or what another rule is for, may take of a GPU; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return rule(setting.gpu_share, total, free, setting.cost, recorded=setting.options.compile)


def room_for_outputs(setting: Setting, device: torch.device) -> int:
    """Return the bytes that evaluation may take for outputs of the frozen part."""
    limit = KEPT_BYTES[device.type]
    return limit if device.type == "cpu" else min(limit, _room(setting, device, spare_bytes))

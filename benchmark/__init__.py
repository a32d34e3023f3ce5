"""Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers.

The functions of `__all__` are the use-cases: `benchmark.run(grid="smoke", results="OUT")` and so on. They are imported
when they are first used, so that `import benchmark` stays quick.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api.board import board
    from benchmark.api.check import check, check_backbone
    from benchmark.api.checkpoint import convert_checkpoint, fetch_checkpoints, verify_checkpoint
    from benchmark.api.cite import cite
    from benchmark.api.claims import claims
    from benchmark.api.clean import clean
    from benchmark.api.data import data_statistics, describe_data, list_datasets, synthesize_data, verify_data
    from benchmark.api.explain import explain
    from benchmark.api.export import export
    from benchmark.api.floor import floor
    from benchmark.api.load import load_export, load_results
    from benchmark.api.merge import merge
    from benchmark.api.new_method import new_method
    from benchmark.api.new_slurm import new_slurm
    from benchmark.api.params import params
    from benchmark.api.plan import plan
    from benchmark.api.predict import predict
    from benchmark.api.prepare import prepare_data
    from benchmark.api.pretrain import pretrain
    from benchmark.api.profile import profile
    from benchmark.api.report import report
    from benchmark.api.run import run
    from benchmark.api.search import search
    from benchmark.api.status import status
    from benchmark.api.submit import check_submission, new_store, submit

__version__ = "0.2.0"
__all__ = [
    "board",
    "check",
    "check_backbone",
    "check_submission",
    "cite",
    "claims",
    "clean",
    "convert_checkpoint",
    "data_statistics",
    "describe_data",
    "explain",
    "export",
    "fetch_checkpoints",
    "floor",
    "list_datasets",
    "load_export",
    "load_results",
    "merge",
    "new_method",
    "new_slurm",
    "new_store",
    "params",
    "plan",
    "predict",
    "prepare_data",
    "pretrain",
    "profile",
    "report",
    "run",
    "search",
    "status",
    "submit",
    "synthesize_data",
    "verify_checkpoint",
    "verify_data",
]

_MODULES = {name: f"benchmark.api.{name}" for name in __all__} | {
    "check_backbone": "benchmark.api.check",
    "check_submission": "benchmark.api.submit",
    "convert_checkpoint": "benchmark.api.checkpoint",
    "data_statistics": "benchmark.api.data",
    "describe_data": "benchmark.api.data",
    "fetch_checkpoints": "benchmark.api.checkpoint",
    "list_datasets": "benchmark.api.data",
    "load_export": "benchmark.api.load",
    "load_results": "benchmark.api.load",
    "new_store": "benchmark.api.submit",
    "prepare_data": "benchmark.api.prepare",
    "synthesize_data": "benchmark.api.data",
    "verify_checkpoint": "benchmark.api.checkpoint",
    "verify_data": "benchmark.api.data",
}

# pandas keeps text in Arrow, whose own allocator was seen to block the start of threads
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# a library shows no log messages of its own; users configure `logging`, the command line has `-v`
logging.getLogger("benchmark").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import a function of the API when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'benchmark' has no attribute '{name}'")
    function = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package, with functions that a subpackage of the same name cannot hide.

    `benchmark.report` and `benchmark.search` are functions of the API, and also subpackages. Importing a subpackage
    sets the attribute of that name on the parent, so `import benchmark.report.write` would replace the function.
    Imports such as `from benchmark.report.write import ...` find subpackages in `sys.modules` and need no attribute.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

"""Matplotlib without the user's settings: those of MPLBACKEND, of matplotlibrc, and of a notebook."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

HASH_SALT = "aat-benchmark"  # equal data gives equal files
READ_AT_IMPORT = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}


def import_matplotlib() -> None:
    """Import matplotlib, with the user's settings if they are valid, as the user's own code may need them."""
    try:
        importlib.import_module("matplotlib")
    except ValueError:  # MPLBACKEND is a backend of another environment, or matplotlibrc is not UTF-8
        for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[name]  # what was imported until then belongs to the module that failed
        with mock.patch.dict(os.environ, READ_AT_IMPORT):
            importlib.import_module("matplotlib")


@contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's own default style; the user's settings come back afterwards."""
    import matplotlib as mpl
    from matplotlib import style

    with style.context("default"), mpl.rc_context({"svg.hashsalt": HASH_SALT}):
        yield


import_matplotlib()

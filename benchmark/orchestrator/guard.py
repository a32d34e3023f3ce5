"""Keep an error of a callback from ending the whole run: Tune stops when a callback raises."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from benchmark.errors import BenchmarkError, first_line

OnError = Callable[[str | None, str], None]

logger = logging.getLogger(__name__)


class Guarded(Callback):
    """Call every hook of another callback, and report its errors instead of raising them.

    Args:
        callback: the other callback.
        on_error: called with the id of the trial, None if the hook has none, and the error in one line.
    """

    def __init__(self, callback: Callback, on_error: OnError) -> None:
        self.callback = callback
        self.on_error: OnError | None = on_error

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what refers to the display, which cannot be pickled: Tune pickles its callbacks."""
        return {**self.__dict__, "on_error": None}


def _guarded(hook: str) -> Callable[..., None]:
    def call(self: Guarded, *args: Any, **info: Any) -> None:
        try:
            getattr(self.callback, hook)(*args, **info)
        except Exception as error:
            logger.info("%s.%s failed", type(self.callback).__name__, hook, exc_info=True)
            if self.on_error:
                self.on_error(getattr(info.get("trial"), "trial_id", None), one_line(error))

    return call


HOOKS = tuple(name for name in vars(Callback) if name == "setup" or name.startswith("on_"))
for _hook in HOOKS:
    setattr(Guarded, _hook, _guarded(_hook))


def one_line(error: BaseException) -> str:
    """Return an error in one line: the message of one that is meant for users, else with its kind."""
    return str(error).splitlines()[0] if isinstance(error, BenchmarkError) else first_line(error)

"""What a run shows while it works: a live table in a terminal, sober lines in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.console import LINE_EVERY_SECONDS

MAX_ROWS = 20


@dataclass
class Tally:
    """Counts of a run; `before` are trials that were done already, `seconds` the estimates of all by id."""

    total: int
    before: int
    seconds: dict[str, float] = field(default_factory=dict)
    spent: float = 0.0
    done: int = 0
    failed: int = 0
    stopped: int = 0
    elsewhere: int = 0
    running: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """All of it in one line."""
        text = f"{self.before + self.done}/{self.before + self.total} done, {self.failed} failed"
        text += "".join(f", {n} {what}" for n, what in ((self.stopped, "stopped"), (self.elsewhere, "elsewhere")) if n)
        return f"{text}, {len(self.running)} running, {clock(time.monotonic() - self.began)} elapsed, ETA {self._eta()}"

    def _eta(self) -> str:
        """From the estimated seconds of what is done, epochs of running trials included."""
        every, spent = sum(self.seconds.values()), self.spent
        for trial_id, (_, result) in self.running.items():
            if "epoch" in result:
                spent += self.seconds.get(trial_id, 0.0) * result["epoch"] / result["epochs"]
        return clock((time.monotonic() - self.began) * (every - spent) / spent) if spent else "?"

    def end(self, trial_id: str) -> None:
        """A trial ended, however."""
        self.running.pop(trial_id, None)
        self.spent += self.seconds.get(trial_id, 0.0)


class Progress(Callback):
    """Tune's callbacks drive the display; `with` starts and ends it.

    `lost` is told of every trial that failed, and why when its process could not write that down itself.
    """

    def __init__(
        self,
        labels: dict[str, str],
        before: int,
        console: Console,
        lost: Callable[[str, str], None],
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.labels = labels
        self.lost: Callable[[str, str], None] | None = lost
        self.elsewhere: list[str] = []
        known = {name: seconds[name] for name in labels} if seconds else {}
        self.tally = Tally(len(labels), before, known if any(known.values()) else dict.fromkeys(labels, 1.0))
        self.console: Console | None = console
        self.live: Live | None = None
        self._last_line = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; a display holds locks."""
        return {**self.__dict__, "live": None, "console": None, "lost": None}

    def __enter__(self) -> Progress:
        if self.console and self.console.is_terminal:
            self.live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
            self.live = None
        self._say(self.tally.line())

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune's hook."""
        self.tally.running.setdefault(trial.trial_id, (time.monotonic(), {}))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Tune's hook: an epoch, or the outcome."""
        if trial.trial_id in self.tally.running and "epoch" in result:
            self.tally.running[trial.trial_id] = (self.tally.running[trial.trial_id][0], result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune's hook: the function returned."""
        last = trial.last_result or {}
        if last.get("status") in {"completed", "diverged"}:
            self.tally.done += 1
        elif last.get("status") == "stopped":
            self.tally.stopped += 1
        elif last.get("status") == "elsewhere":
            self.elsewhere.append(trial.trial_id)
            self.tally.elsewhere += 1
        else:
            written = last.get("error")
            self._fail(trial.trial_id, written or "ended without a result", "" if written else "ended without a result")
        self.tally.end(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune's hook: the worker died, or something other than the trial raised."""
        try:
            cause = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, TypeError):
            cause = "unknown"
        if "TransientError" in cause:  # the trial wrote its attempts itself
            self._fail(trial.trial_id, cause.splitlines()[-1].partition(": ")[2], "")
        else:
            self._fail(trial.trial_id, "its process died", f"{cause}\nthe process of the trial died")
        self.tally.end(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's hook."""
        if not self.live and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self._say(self.tally.line())

    def _fail(self, trial_id: str, reason: str, unwritten: str) -> None:
        self.tally.failed += 1
        if self.lost:
            self.lost(trial_id, unwritten)
        self._say(f"failed: {self.labels[trial_id]}: {reason}; see attempts/{trial_id}-*.json")

    def _say(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self.console:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> Group:
        rows = Table.grid(padding=(0, 2))
        for trial_id, (since, result) in list(self.tally.running.items())[:MAX_ROWS]:
            epoch = f"epoch {result['epoch']}/{result['epochs']}" if result else "starting"
            value = result.get("value")
            score = f"{result['metric']} {100 * value:.1f} % ({result['split']})" if value is not None else ""
            rows.add_row(Text(self.labels[trial_id]), epoch, score, clock(time.monotonic() - since))
        tally = self.tally
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=tally.before + tally.total, completed=tally.before + tally.done, width=40))
        return Group(bar, Text(tally.line()), rows)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

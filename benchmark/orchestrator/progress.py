"""Progress of a run: a live table in a terminal, plain lines in a log file."""

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
from rich.text import Text

from benchmark.console import LINE_EVERY_SECONDS, say, text_grid
from benchmark.units import plural, score_text

MAX_ROWS = 20  # running trials in the live display
MAX_LINES = 4  # running trials in a log
CHOSEN = {"last": "the last", "best_on_validation": "best on validation", "best_on_test": "best on test"}


@dataclass
class Tally:
    """Counts of a run.

    Attributes:
        total: trials of this round.
        before: trials that were done before.
        seconds: estimated seconds by trial id.
        spent: estimated seconds of the trials that ended.
        done: trials with a record.
        failed: trials that failed.
        stopped: trials that the user stopped.
        elsewhere: trials that another run is training.
        running: start time and last result by trial id.
        began: when the round began, as `time.monotonic`.
    """

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
        """Return all counts in one line."""
        text = f"{self.before + self.done}/{self.before + self.total} done, {self.failed} failed"
        text += "".join(
            f", {n} {state}" for n, state in ((self.stopped, "stopped"), (self.elsewhere, "run elsewhere")) if n
        )
        return f"{text}, {len(self.running)} running, {clock(time.monotonic() - self.began)} elapsed, ETA {self._eta()}"

    def _eta(self) -> str:
        """Return the time left, from the estimated seconds of finished trials and of finished epochs."""
        total, spent = sum(self.seconds.values()), self.spent
        for trial_id, (_, result) in self.running.items():
            if "epoch" in result:
                spent += self.seconds.get(trial_id, 0.0) * result["epoch"] / result["epochs"]
        return clock((time.monotonic() - self.began) * (total - spent) / spent) if spent else "?"

    def end(self, trial_id: str) -> None:
        """Count a trial as ended."""
        self.running.pop(trial_id, None)
        self.spent += self.seconds.get(trial_id, 0.0)


class Progress(Callback):
    """Show progress through Tune's callbacks; `with` starts and ends the display.

    Args:
        labels: labels of the trials by id.
        before: trials that were done before.
        console: where progress is shown.
        on_failure: called for every failed trial with its id and the reason; the reason is empty when the trial's
            process wrote the attempt itself.
        seconds: estimated seconds by trial id; None gives all trials the same weight.
        has_record: returns whether the record of a trial is in the results folder.
        failed: trials that failed in earlier rounds.

    Attributes:
        elsewhere: trials that another run is training.
        lost: trials that ended and whose record did not arrive.
    """

    def __init__(
        self,
        labels: dict[str, str],
        before: int,
        console: Console,
        on_failure: Callable[[str, str], None],
        seconds: Mapping[str, float] | None = None,
        *,
        has_record: Callable[[str], bool] = lambda _: True,
        failed: int = 0,
    ) -> None:
        self.labels = labels
        self.on_failure: Callable[[str, str], None] | None = on_failure
        self.has_record: Callable[[str], bool] | None = has_record
        self.elsewhere: list[str] = []
        self.lost: list[str] = []
        self._refused: set[str] = set()
        self._warned: set[str] = set()
        known = {name: seconds[name] for name in labels} if seconds else {}
        self.tally = Tally(
            len(labels) + failed, before, known if any(known.values()) else dict.fromkeys(labels, 1.0), failed=failed
        )
        self.console: Console | None = console
        self.live: Live | None = None
        self._last_line = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the display, which holds locks: Tune pickles its callbacks."""
        return {**self.__dict__, "live": None, "console": None, "on_failure": None, "has_record": None}

    def __enter__(self) -> Progress:
        if self.console and self.console.is_terminal:
            self.live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
            self.live = None
        self._print(self.tally.line())

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Add a running trial (called by Tune)."""
        self.tally.running.setdefault(trial.trial_id, (time.monotonic(), {}))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Keep the result of an epoch (called by Tune)."""
        if trial.trial_id in self.tally.running and "epoch" in result:
            if not self.tally.running[trial.trial_id][1] and result["epoch"] > 1:
                self._print(f"{self.labels[trial.trial_id]}: continued after epoch {result['epoch'] - 1}")
            self.tally.running[trial.trial_id] = (self.tally.running[trial.trial_id][0], result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Count a trial whose worker function returned (called by Tune)."""
        try:
            self._end(trial.trial_id, trial.last_result or {})
        finally:
            self.tally.end(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Count a trial whose process died or raised too often (called by Tune)."""
        try:
            cause = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, TypeError):
            cause = "unknown"
        last = cause.rpartition("Failure # ")[2]  # Tune adds every failure of the trial to the file
        kind, _separator, line = (last.splitlines() or [""])[-1].partition(": ")
        try:
            if trial.trial_id in self._refused:
                return
            if "TransientError" in last:  # the trial's process wrote the attempts itself
                self._fail(trial.trial_id, line, "")
            elif "ResultNotSentError" in kind:
                self._fail(trial.trial_id, line, f"{cause}\n{line}")
            else:
                self._fail(trial.trial_id, "its process died", f"{cause}\nthe process of the trial died")
        finally:
            self.tally.end(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Print lines now and then when there is no live display (called by Tune)."""
        if not self.live and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self._print(self.tally.line())
            rows = self._running()
            for row in rows[:MAX_LINES]:
                self._print(f"  {', '.join(filter(None, row))}")
            if len(rows) > MAX_LINES:
                self._print(f"  and {plural(len(rows) - MAX_LINES, 'more running trial')}")

    def refuse(self, trial_id: str | None, reason: str) -> None:
        """Count a trial as failed whose result cannot be used, whatever Tune says about it later.

        Args:
            trial_id: the trial; None if the reason is not about one.
            reason: one line.
        """
        if trial_id is None:
            self._print(reason)
        elif trial_id not in self._refused:
            self._refused.add(trial_id)
            self._fail(trial_id, reason, reason)

    def warn(self, trial_id: str | None, reason: str) -> None:
        """Show an error that changes no result, once.

        Args:
            trial_id: the trial; None if the reason is not about one.
            reason: one line.
        """
        line = f"{self.labels[trial_id]}: {reason}" if trial_id else reason
        if line not in self._warned:
            self._warned.add(line)
            self._print(line)

    def _end(self, trial_id: str, last: dict[str, Any]) -> None:
        """Count a trial by the last result that its worker function reported."""
        status, written = last.get("status"), last.get("error")
        if trial_id in self._refused:
            return
        if status in {"completed", "diverged"}:
            if self.has_record is None or self.has_record(trial_id):
                self.tally.done += 1
                self._print_done(trial_id, last, status)
            else:
                self.lost.append(trial_id)
                self._print(f"lost: {self.labels[trial_id]}: its record did not arrive; the trial is run again")
        elif status == "stopped":
            _, result = self.tally.running.get(trial_id, (0.0, {}))
            self.tally.stopped += bool(result)  # not those that never began
        elif status == "elsewhere":
            self.elsewhere.append(trial_id)
            self.tally.elsewhere += 1
        else:
            self._fail(trial_id, written or "ended without a result", "" if written else "ended without a result")

    def _fail(self, trial_id: str, reason: str, unwritten: str) -> None:
        """Count and show a failure; `unwritten` is the reason if no attempt was written yet."""
        self.tally.failed += 1
        self._print(f"failed: {self.labels[trial_id]}: {reason}; see attempts/{trial_id}-*.json")
        if self.on_failure:
            self.on_failure(trial_id, unwritten)

    def _print_done(self, trial_id: str, last: dict[str, Any], status: str) -> None:
        """Print a finished trial in a log; a live display counts it."""
        since, result = self.tally.running.get(trial_id, (time.monotonic(), {}))
        known = {**result, **last}
        score = score_text(known["metric"], known["scores"]) if "scores" in known else ""
        epoch = f"epoch {known['epoch']}/{known['epochs']}" if "epoch" in known else ""
        if reported := known.get("reported"):
            score = score_text(reported["metric"], reported["scores"])
            epoch = f"epoch {reported['epoch']}/{reported['epochs']} ({CHOSEN[reported['rule']]})"
        if not self.live:
            parts = ["diverged" if status == "diverged" else "", epoch, score, clock(time.monotonic() - since)]
            self._print(f"done: {self.labels[trial_id]}: {', '.join(filter(None, parts))}")

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self.console:
            say(self.console, text)

    def _render(self) -> Group:
        rows, tally = self._running()[:MAX_ROWS], self.tally
        bar = ProgressBar(total=tally.before + tally.total, completed=tally.before + tally.done, width=40)
        # a bar alone does not end its line
        return Group(text_grid([[bar]]), Text(tally.line()), text_grid(rows))

    def _running(self) -> list[tuple[str, str, str, str]]:
        """Return label, epoch, score and time of each running trial."""
        rows = []
        for trial_id, (since, result) in self.tally.running.items():
            epoch = f"epoch {result['epoch']}/{result['epochs']}" if result else "starting"
            score = score_text(result["metric"], result["scores"]) if result else ""
            rows.append((self.labels[trial_id], epoch, score, clock(time.monotonic() - since)))
        return rows


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

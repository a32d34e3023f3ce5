"""Figures of methods over all datasets: performance profiles and probabilities of improvement."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.figures.style import Look, empty, finish, grid, known_looks, literal
from benchmark.report.full_rows import FULL
from benchmark.report.overall import FEWEST_DATASETS, Runs, all_runs, counterpart, improvement, profile
from benchmark.report.results import Results
from benchmark.units import plural

LEVELS = 200  # points of a profile
NOTHING = f"no two methods are complete on the same {FEWEST_DATASETS} datasets, with one backbone and a seed in common"


def profiles(results: Results, title: str) -> Figure:
    """Draw the share of runs (dataset x seed) above each score, a panel per protocol and backbone."""
    found = list(all_runs(results))
    if not found:
        return empty(title, NOTHING)
    labels = {name: literal(label) for name, label in results.row_labels.items()}
    known = known_looks((labels[name] for runs in found for name in runs.scores), results)
    figure, axes = grid(1, len(found))
    for panel, runs in zip(axes[0], found, strict=True):
        _profiles_of(panel, runs, {name: known[labels[name]] for name in runs.scores})
        panel.set_title(_panel_title(runs, results), fontsize=9)
    return finish(figure, title, results.marks, known)


def _profiles_of(panel: Axes, runs: Runs, known: dict[str, Look]) -> None:
    every = np.concatenate([scores.ravel() for scores in runs.scores.values()])
    span = max(np.ptp(every), 0.01)
    levels = np.linspace(max(0.0, every.min() - 0.02 * span), min(1.0, every.max() + 0.02 * span), LEVELS)
    for name, scores in runs.scores.items():
        found, look = profile(scores, levels), known[name]
        panel.step(
            100 * levels, found.value, color=look.colour, linestyle=look.dash, marker=look.marker,
            markevery=LEVELS // 6, markersize=4, linewidth=1.2, where="post",
        )  # fmt: skip
        panel.fill_between(100 * levels, found.low, found.high, color=look.colour, alpha=0.12, step="post", linewidth=0)
    panel.set_xlabel("score (%)")
    panel.set_ylabel("share of runs above the score")
    panel.grid(visible=True, alpha=0.3)


def improvements(results: Results, title: str) -> Figure:
    """Draw the probability that a method's run is better than one of full fine-tuning, a panel per backbone."""
    found = [runs for runs in all_runs(results) if any(counterpart(name, FULL) in runs.scores for name in runs.scores)]
    if not found:
        return empty(title, f"{NOTHING}, one of them full fine-tuning")
    rows = max(len(runs.scores) for runs in found)
    figure, axes = grid(1, len(found))
    figure.set_figheight(1.8 + 0.28 * rows)
    labels = {name: literal(label) for name, label in results.row_labels.items()}
    known = known_looks((labels[name] for runs in found for name in runs.scores), results)
    for panel, runs in zip(axes[0], found, strict=True):
        compared = {name: counterpart(name, FULL) for name in runs.scores}
        names = [name for name, full in compared.items() if name != full and full in runs.scores]
        for place, name in enumerate(names):
            better, look = improvement(runs.scores[name], runs.scores[compared[name]]), known[labels[name]]
            if not np.isnan(better.low):
                panel.plot([better.low, better.high], [place, place], color=look.colour, linewidth=2)
            panel.plot(better.value, place, color=look.colour, marker=look.marker, markersize=7)
        panel.axvline(0.5, color="0.3", linewidth=1)
        panel.set_yticks(range(len(names)), [labels[name] for name in names], fontsize=8)
        panel.invert_yaxis()
        panel.set_xlim(-0.02, 1.02)
        panel.set_xlabel("probability of improvement over full fine-tuning")
        panel.set_title(_panel_title(runs, results), fontsize=9)
        panel.grid(visible=True, axis="x", alpha=0.3)
    return finish(figure, title, results.marks, {})


def _panel_title(runs: Runs, results: Results) -> str:
    """Return backbone and number of runs; the protocol where there are several, which no title of a figure names."""
    protocol = f"{literal(results.names.protocol(runs.protocol))}, " if results.cells["protocol"].nunique() > 1 else ""
    spread = "95 % by bootstrap over seeds" if len(runs.seeds) > 1 else "no interval"
    size = f"{len(runs.datasets)} datasets x {plural(len(runs.seeds), 'seed')}"
    return f"{protocol}{literal(results.names.backbone(runs.backbone))}\n{size}: {spread}"

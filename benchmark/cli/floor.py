"""`floor`: what every method should beat."""

from __future__ import annotations

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line


def floor(
    results: options.ResultsFolder,
    data_root: options.DataRoot = options.DATA_ROOT,
    cache: options.CacheFolder = None,
    json: options.Json = False,
) -> None:
    """Compute the scores that every method should beat: chance, majority class, a regression on log-mel statistics.

    `run` does this by itself; this is for results folders without them. The report shows them.

    Example: python -m benchmark floor --results OUT --data-root DATA
    """
    from benchmark.api.floor import floor as compute

    found = compute(results, data_root=data_root, cache=cache)
    if json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    for each in found:
        scores = ", ".join(f"{name} {100 * value:.1f} %" for name, value in each.scores.items())
        fold = f" fold {each.settings['fold']}" if each.settings["fold"] else ""
        say_line(f"{each.settings['dataset']}{fold}: {scores} ({each.metric}, {each.clips['test']} test clips)")

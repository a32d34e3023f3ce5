"""`plan`: what a run would do."""

from __future__ import annotations

from benchmark.cli import options
from benchmark.cli.status import print_plan


def plan(
    grid: options.GridName,
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.ResultsFolder = None,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    fold: options.Folds = [],
    seed: options.Seeds = [],
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    cache: options.CacheFolder = None,
    limit_clips: options.LimitClips = None,
    on_bad_audio: options.BadAudio = None,
    shard: options.Shard = None,
    json: options.Json = False,
) -> None:
    """Print the trials of a grid, how many are done, stale, failed and missing, and what input is missing.

    Example: python -m benchmark plan --grid quick --data-root DIR
    """
    from benchmark.orchestrator.plan import make_plan

    chosen = options.select(
        grid, data_root, checkpoints, results, method, dataset, backbone, fold, seed, settings, protocol,
        cache, limit_clips, on_bad_audio, shard,
    )  # fmt: skip
    expansion = chosen.expand()
    missing = expansion.missing_inputs
    if chosen.grid.synthesize:
        missing = [f"{line.partition(':')[0]}: synthetic audio, which `run` makes" for line in missing]
    print_plan(make_plan(expansion.requests, chosen.store), missing, chosen.store.folder, as_json=json)

"""What crosses the process boundary."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

from benchmark.orchestrator.worker_config import make_worker_config, run_setting
from benchmark.planning.packing import Share
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest


def test_a_worker_receives_the_options_whole(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    request = make_request()
    options = RunOptions(Path("data"), Path("cache"), timeout=9.0, exclusive=True, keep_weights=True)
    setting = run_setting(options, tmp_path, [request], stop=tmp_path / "stop", run="now")
    config = pickle.loads(pickle.dumps(make_worker_config(request, Share(4, 0.5), None, setting)))
    assert TrialRequest.model_validate(config["request"]) == request
    assert config["bundle"] == {"CPU": 4, "GPU": 0.5}
    received = config["setting"]
    assert (received.threads, received.workers, received.gpu_share, received.fresh_process) == (4, 3, 0.5, True)
    assert (received.results, received.stop, received.run) == (tmp_path, tmp_path / "stop", "now")
    assert received.options.data_root == Path("data").absolute()  # a worker has another working directory
    assert received.options.cache == Path("cache").absolute()
    assert (received.options.timeout, received.options.keep_weights) == (9.0, True)
    assert make_worker_config(request, Share(4, 0), None, setting)["setting"].workers == 0

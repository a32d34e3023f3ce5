"""The function that Ray Tune calls in a worker."""

from __future__ import annotations

from typing import Any


def run_in_worker(config: dict[str, Any]) -> None:
    """Run `config["request"]`; faults of the trial are kept as attempts, so the worker stays usable.

    The record is written before Tune hears of it, so that whatever Tune loses, the result is there.
    """
    import ray
    from ray import tune

    from benchmark.spec.request import TrialRequest
    from benchmark.trial.run import Setting, attempt_trial

    device = "cuda" if ray.get_gpu_ids() else "cpu"
    request = TrialRequest.model_validate(config["request"])
    setting = Setting(device=device, **config["setting"])
    outcome = attempt_trial(request, setting, lambda progress: tune.report({"status": "running", **progress}))
    tune.report({"status": outcome.status, "error": outcome.error})

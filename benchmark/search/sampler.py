"""What the search asks for next: Optuna proposes, what is too large is turned down by count, ASHA stops the weak ones.

Imported behind the start of Ray, which has to be told its settings before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop
from benchmark.search.history import Configuration, Draw, Ledger, described, spent
from benchmark.search.space import Limits, Space, Verdict, judge
from benchmark.spec.request import TrialRequest
from benchmark.trial.seeding import stream

SCORE, STUDY = "score", "search"
REDUCTION = 3  # of three configurations that reach a rung, one goes on
RUNGS = REDUCTION**2  # the first rung is at a ninth of the epochs
MOST_DRAWS = 100  # in a row that are too large

Give = Callable[[TrialRequest, Verdict], dict[str, Any]]


class Numbered(optuna.samplers.BaseSampler):
    """Optuna's TPE, seeded anew for every draw by its number.

    So a draw depends on the seed and on what was found before, and a search that is continued goes on as an undisturbed
    one.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tpe = optuna.samplers.TPESampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Optuna's hook."""
        self._tpe = optuna.samplers.TPESampler(seed=stream("search", self._seed, trial.number) % 2**32)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna's hook."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna's hook."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


class Fitting(Searcher):
    """Ray's OptunaSearch, of which only what fits is handed out; everything is kept in the ledger.

    Args:
        space: what to draw from.
        limits: what fits.
        ledger: what was found before; its unfinished configurations are handed out first.
        seed: of the draws.
        give: a request as a worker gets it.
        stop: whether the user asked to stop.
        say: tells a line.
    """

    def __init__(
        self,
        space: Space,
        limits: Limits,
        ledger: Ledger,
        seed: int,
        give: Give,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(metric=SCORE, mode="max")
        self._space, self._limits, self._ledger = space, limits, ledger
        self._give, self._stop, self._say = give, stop, say
        self._running: dict[str, tuple[str, Configuration]] = {}
        again = ledger.renumber()
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, sampler=Numbered(seed), direction="maximize", study_name=STUDY)
        for each in ledger.configurations:
            study.enqueue_trial(each.draw)
            trial = study.ask()
            space.ask(trial)
            rejected = each.state == "infeasible"
            study.tell(trial, None if rejected else _told(each), TrialState.PRUNED if rejected else TrialState.COMPLETE)
        self._optuna = OptunaSearch(
            space.ask, metric=SCORE, mode="max", points_to_evaluate=[each.draw for each in again],
            sampler=Numbered(seed), study_name=STUDY, storage=storage,
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles what it is given; nothing reads that."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Tune's hook: the ledger is the truth."""

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Tune's hook: all is set."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Tune's hook: the next configuration that fits; the end when asked to stop, or when nothing fits any more."""
        for attempt in range(0 if self._stop.asked else MOST_DRAWS):
            name = f"{trial_id}-{attempt}"
            draw: Draw = self._optuna.suggest(name) or {}
            configuration, request, verdict = self._judge(draw)
            self._ledger.put(configuration)
            if request is not None:
                self._running[trial_id] = name, configuration
                return self._give(request, verdict)
            self._say(f"infeasible: {configuration.method}: {configuration.error}")
            self._optuna.on_trial_complete(name)  # without a result: pruned
        return Searcher.FINISHED

    def _judge(self, draw: Draw) -> tuple[Configuration, TrialRequest | None, Verdict]:
        number = len(self._ledger.configurations)
        request: TrialRequest | None = None
        try:
            text, request = self._space.request(draw)
            verdict = judge(request, self._space.held.manifest.info, self._limits)
        except BenchmarkError as error:  # the method refuses the values, or the trial
            text, verdict = str(draw["method"]), Verdict(reason=str(error))
        configuration = Configuration(
            number=number,
            state="infeasible" if verdict.reason else "unfinished",
            method=text,
            lr=request.recipe.lr if request else 0.0,
            trainable=verdict.trainable,
            peak_bytes=verdict.peak_bytes,
            error=verdict.reason,
            draw=draw,
        )
        return configuration, None if verdict.reason else request, verdict

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tune's hook: an epoch."""
        name, configuration = self._running[trial_id]
        self._optuna.on_trial_result(name, result)
        if not result.get("error"):
            self._running[trial_id] = name, _with(configuration, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune's hook: at the end, pruned by ASHA, stopped by the user, or failed."""
        name, configuration = self._running.pop(trial_id)
        if error or result is None:
            ended = configuration.model_copy(update={"state": "failed", "error": "its process died"})
        elif result.get("error"):
            ended = configuration.model_copy(
                update={"state": "failed", "error": result["error"], "seconds": result["seconds"]}
            )
        elif result["stopped"]:
            ended = configuration.model_copy(update={"scores": (), "seconds": 0.0})
        else:
            state = "finished" if result["epoch"] == result["epochs"] else "pruned"
            ended = _with(configuration, result).model_copy(update={"state": state})
        self._ledger.put(ended)
        if ended.state != "unfinished":
            self._optuna.on_trial_complete(name, {SCORE: _told(ended)})
            self._say(f"[{spent(self._ledger.configurations)}] {described(ended)}")


def _told(configuration: Configuration) -> float:
    """What Optuna hears; of a failed one the worst."""
    return 0.0 if configuration.state == "failed" else configuration.score or 0.0


def _with(configuration: Configuration, result: dict[str, Any]) -> Configuration:
    scores = (*configuration.scores[: result["epoch"] - 1], result["value"])
    return configuration.model_copy(update={"scores": scores, "seconds": result["seconds"]})


def asha(epochs: int, before: Sequence[Configuration]) -> ASHAScheduler:
    """The scheduler, which has seen the earlier configurations."""
    scheduler = ASHAScheduler(
        time_attr="epoch", metric=SCORE, mode="max", max_t=epochs, grace_period=max(1, epochs // RUNGS),
        reduction_factor=REDUCTION,
    )  # fmt: skip
    for each in before:
        if each.scores:
            controller: Any = None  # which it does not look at
            trial: Any = SimpleNamespace(trial_id=str(each.number))
            scheduler.on_trial_add(controller, trial)
            for epoch in range(1, len(each.scores) + 1):
                scheduler.on_trial_result(controller, trial, {"epoch": epoch, SCORE: max(each.scores[:epoch])})
    return scheduler

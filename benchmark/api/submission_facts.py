"""What the suite knows, for the checks of submissions, which read records only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.data.dataset_info import DatasetInfo
    from benchmark.records.schema import Parameters
    from benchmark.spec.request import TrialRequest
    from benchmark.submissions.known import Known, KnownDataset


def known_to_the_suite() -> Known:
    """Return the facts of datasets, methods and backbones of this suite and of installed packages."""
    import benchmark
    from benchmark.data.registry import datasets
    from benchmark.spec.declared import suite_names
    from benchmark.submissions.known import Known

    return Known(
        release=benchmark.__version__,
        datasets={name: _facts(dataset.info) for name, dataset in datasets().items()},
        methods=_suite_methods(),
        backbones=frozenset(suite_names("backbones")),
        count=count,
    )


def _suite_methods() -> frozenset[str]:
    from benchmark.methods.origin import of_suite
    from benchmark.methods.registry import methods

    return frozenset(name for name, method in methods().items() if of_suite(method))


def _facts(info: DatasetInfo) -> KnownDataset:
    from benchmark.submissions.known import KnownDataset

    sizes = {fold: info.split_sizes(fold) for fold in info.fold_units}
    return KnownDataset(
        clips=info.clips,
        classes=len(info.classes),
        folds=info.fold_units,
        metric=info.metric,
        test_clips={fold: size["test"] for fold, size in sizes.items() if "test" in size},
        audio=info.audio.sha256 if info.audio else None,
    )


def count(request: TrialRequest, classes: int) -> Parameters | None:
    """Return the parameters of a model of the suite; None if this installation cannot build it."""
    from benchmark.errors import BenchmarkError
    from benchmark.trial.build import count_parameters

    try:
        return count_parameters(request, classes)
    except BenchmarkError:  # an option of another release, or a part that is not installed
        return None

"""Numbers that a trial can have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmark.records.schema import Epoch, Parameters, Profile, Record
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.layout import MANIFEST

SHARES = {"accuracy", "map", "mauc"}  # metrics in [0, 1]
LARGEST_D_PRIME = 20.0
CLOCKS_DIFFER = timedelta(days=1)
ROUNDING = 2.0  # seconds: times of day are whole seconds
LARGEST_WIDTH, LARGEST_DEPTH = 4096, 96  # of a backbone whose parameters are counted again
LARGEST_HEAD = 100_000  # outputs
NO_EDITS = "do not edit records"


def curves(context: Context) -> Iterator[Failure]:
    """Scores, losses and learning rates are possible, and there are as many epochs as the recipe says."""
    for path, record in context.bundle.all_records.items():
        for point in record.curves:
            for text in _impossible(point):
                yield Failure(path, f"epoch {point.epoch}: {text}; {NO_EDITS}")
        epochs, planned = len(record.curves), record.request.recipe.epochs
        ended = record.stopped_early == epochs or record.status == "diverged"
        if epochs > planned or (epochs < planned and not ended):
            yield Failure(path, f"has {epochs} epochs, its recipe {planned}; {NO_EDITS}")


def _impossible(point: Epoch) -> Iterator[str]:
    for split, metrics in point.splits.items():
        for name, value in metrics.items():
            low, high = (0.0, 1.0) if name in SHARES else (-LARGEST_D_PRIME, LARGEST_D_PRIME)
            if value is not None and not low <= value <= high:
                yield f"{name[:20]} of {split[:20]} is {value}, not between {low:g} and {high:g}"
    if point.train_loss is not None and point.train_loss < 0:
        yield f"the training loss is {point.train_loss}, below 0"
    if point.lr < 0:
        yield f"the learning rate is {point.lr}, below 0"
    if wrong := {name: value for name, value in point.seconds.items() if not 0 <= value < math.inf}:
        yield f"it took {min(wrong.values())} seconds"


def times(context: Context) -> Iterator[Failure]:
    """Times and sizes are positive, and a trial did not take longer than from its start to its end."""
    submitted = _moment(context.bundle.manifest.submitted)
    if submitted is None or submitted > datetime.now(UTC) + CLOCKS_DIFFER:
        yield Failure(MANIFEST, "was submitted at no time, or in the future; submit again with a right clock")
    for path, record in context.bundle.all_records.items():
        start, end = _moment(record.started), _moment(record.finished)
        if start is None or end is None or end < start:
            yield Failure(path, f"started {record.started[:32]!a} and ended {record.finished[:32]!a}; {NO_EDITS}")
            continue
        if submitted is not None and end > submitted + CLOCKS_DIFFER:
            yield Failure(path, f"ended after it was submitted; {NO_EDITS}")
        for text in _impossible_profile(record.profile, (end - start).total_seconds()):
            yield Failure(path, f"{text}; {NO_EDITS}")


def _impossible_profile(profile: Profile, seconds: float) -> Iterator[str]:
    """Yield what cannot be in a profile of a trial that took `seconds` from its start to its end."""
    total = profile.seconds.get("total", 0.0)
    if not total > 0 or any(value < 0 for value in profile.seconds.values()):
        yield "has times that are not positive"
    elif total > seconds + ROUNDING and not profile.resumed_epochs and not profile.shares_features:
        yield f"took {total:.1f} s, but {seconds:.0f} s passed from its start to its end"
    sizes = {name: value for name, value in profile.model_dump().items() if name.endswith("_bytes")}
    rates = {"throughput": profile.train_clips_per_second, "energy": profile.joules_per_epoch}
    for name, value in {**sizes, **rates}.items():
        if value is not None and value < 0:
            yield f"has a {name} of {value}"


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def parameters(context: Context) -> Iterator[Failure]:
    """Numbers of parameters are those that the suite counts; for code from outside, they fit each other."""
    counted: dict[str, Parameters | None] = {}
    for path, record in context.bundle.all_records.items():
        found = record.parameters
        values = found.model_dump().values()
        if min(values) < 0 or found.trainable > found.total or found.head + found.method > found.total:
            yield Failure(path, f"has {found.trainable:,} trainable of {found.total:,} parameters; {NO_EDITS}")
            continue
        if not _is_countable(record):
            continue
        key = record.request.step_key + record.request.protocol.count_unused_heads
        if key not in counted:
            counted[key] = context.known.count(record.request, record.data.classes)
        expected = counted[key]
        if expected is not None and expected != found:
            wrong = {name for name, value in expected.model_dump().items() if getattr(found, name) != value}
            name = min(wrong)
            numbers = f"{getattr(found, name):,}, the suite counts {getattr(expected, name):,}"
            yield Failure(path, f"parameters.{name} is {numbers}; {NO_EDITS}")


def _is_countable(record: Record) -> bool:
    """Return whether the model of a record can be built here: all of its code is the suite's, and it is not huge."""
    request = record.request
    outside = request.backbone.outside or any(part.source for part in request.method.parts)
    shape = request.backbone.shape
    fits = shape.width <= LARGEST_WIDTH and shape.depth <= LARGEST_DEPTH and record.data.classes <= LARGEST_HEAD
    return not outside and fits

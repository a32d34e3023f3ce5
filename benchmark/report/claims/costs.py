"""Claims about time, memory, counts of parameters and operations, and the start of the adapters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pandas as pd

from benchmark.records.schema import Parameters, StepProfile
from benchmark.report.claims.bench import Bench, base_of, with_verdict
from benchmark.report.claims.ledger import Claim, Judged, Verdict

IDENTICAL = 1e-5  # float32 rounding through twelve blocks


def ratio(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """Time or memory of one method against another's on the same GPU, of whole trials or of profiled steps."""
    datasets = [claim.dataset] if claim.dataset else bench.datasets
    table = bench.results.steps
    value = {"time": "step_seconds", "memory": "gpu_allocated_bytes"}[claim.value]
    for dataset in datasets:
        needs = tuple(("ast", dataset, method) for method in (claim.left, claim.right))
        base = base_of(claim, bench, dataset if len(datasets) > 1 else "", needs)
        found = _exclusive(claim, bench, dataset) or _profiled(table, claim, dataset, value)
        if found is None:
            yield with_verdict(
                base, "not run", "neither trials run with --exclusive nor `profile` measured both on a GPU"
            )
            continue
        ratio, where, on_gpu = found
        why = f"measured {where}"
        if not on_gpu:
            yield dataclasses.replace(
                base, verdict="not comparable", why=f"{why}, no GPU", measured=ratio, unit="ratio to full"
            )
            continue
        if claim.paper is None:
            verdict: Verdict = "reproduced" if ratio < 1 else "differs"
        else:
            verdict = "reproduced" if abs(ratio - claim.paper) <= claim.tolerance else "differs"
        yield dataclasses.replace(
            base, verdict=verdict, why=why, unit="ratio to full", measured=ratio,
            paper="below 1" if claim.paper is None else f"{claim.paper}",
            difference=ratio - (1 if claim.paper is None else claim.paper),
        )  # fmt: skip


def _exclusive(claim: Claim, bench: Bench, dataset: str) -> tuple[float, str, bool] | None:
    one, other = (bench.cell("ast", dataset, method) for method in (claim.left, claim.right))
    column = {"time": "seconds_per_epoch", "memory": "gpu_allocated_bytes"}[claim.value]
    if one is None or other is None or one["device"] != other["device"] or one["shared"] or other["shared"]:
        return None
    if one["marks"] or other["marks"] or pd.isna(one[column]) or pd.isna(other[column]):
        return None
    return float(one[column] / other[column]), f"in trials on {one['device']}", one["device"] != "cpu"


def _profiled(table: pd.DataFrame, claim: Claim, dataset: str, value: str) -> tuple[float, str, bool] | None:
    rows = table[
        (table["dataset"] == dataset)
        & (table["size"] == "base")
        & table[value].notna()
        & ~table["changed"].astype(bool)
    ]
    if value != "step_seconds":
        rows = rows[rows["whole_batch"].astype(bool)]  # memory does not scale with the clips
    for (device, _), group in sorted(rows.groupby(["device", "threads"]), key=lambda item: item[0][0] == "cpu"):
        by_method = group.drop_duplicates("method").set_index("method")
        if {claim.left, claim.right} <= set(by_method.index):
            clips = by_method["clips"] if value == "step_seconds" else 1
            values = by_method[value] / clips
            ratio = float(values[claim.left] / values[claim.right])
            return ratio, f"by `profile` on {device}", device != "cpu"
    return None


def counted(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """What a step costs by count, on each dataset."""
    for dataset in bench.datasets:
        base = dataclasses.replace(base_of(claim, bench, dataset), unit=claim.value.replace("_", " "))
        found = {}
        for method in (claim.left, claim.right):
            profile = _structure(bench, dataset, method)
            if profile is not None:
                cost = profile.cost
                values = {**cost.model_dump(), "saved_bytes_per_clip": cost.saved_bytes / cost.clips}
                found[method] = float(values[claim.value])
        if len(found) < 2:
            yield with_verdict(base, "not run", "`claims --structural` counts it")
            continue
        one, other = found[claim.left], found[claim.right]
        yield dataclasses.replace(
            base, verdict="reproduced" if one < other else "differs", paper=f"below {other:.4g}", measured=one,
            difference=one - other, why=f"{one / other:.3f} of it, by count",
        )  # fmt: skip


def count(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """Parameters that train, in millions, as the reference counts."""
    yield _number(claim, bench, claim.millions, "million parameters", lambda counts: counts.trainable_reference / 1e6)


def share(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """Parameters that train in per cent of the adapted model's, as the reference counts."""
    yield _number(
        claim, bench, claim.percent, "per cent", lambda c: 100 * c.trainable_reference / c.total_reference
    )  # fmt: skip


def _number(
    claim: Claim, bench: Bench, stated: float | None, unit: str, value_of: Callable[[Parameters], float]
) -> Judged:
    base = dataclasses.replace(base_of(claim, bench, ""), unit=unit, paper=f"{stated}")
    profile = _structure(bench, claim.dataset or "", claim.method)
    if profile is None or stated is None:
        return with_verdict(base, "not run", "`claims --structural` counts it")
    counts = profile.parameters
    value = value_of(counts)
    return dataclasses.replace(
        base,
        verdict="reproduced" if round(value, claim.digits) == stated else "differs",
        measured=value,
        difference=value - stated,
        why=claim.note or f"{counts.trainable_reference:,} of {counts.total_reference:,} parameters",
    )


def identity(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """How far a method changes the model's output before any training."""
    base = dataclasses.replace(base_of(claim, bench, ""), unit="largest change of a logit", paper="0")
    errors = [
        each.identity_error
        for each in bench.results.profiles
        if each.request.method.variant == claim.method and each.identity_error is not None
    ]
    if not errors:
        yield with_verdict(base, "not run", "`claims --structural` computes it")
        return
    verdict: Verdict = "reproduced" if max(errors) <= IDENTICAL else "differs"
    yield dataclasses.replace(
        base, verdict=verdict, measured=max(errors), difference=max(errors), n=f"{len(errors)} models",
        why="random backbone and input, adapted and not",
    )  # fmt: skip


def _structure(bench: Bench, dataset: str, method: str) -> StepProfile | None:
    """A profile of the paper's model; sizes and counts need no weights and no data."""
    for each in bench.results.profiles:
        request = each.request
        if (request.dataset.name, request.method.variant, request.backbone.size) == (dataset, method, "base") and (
            not request.recipe_changes and request.protocol.name == bench.protocol
        ):
            return each
    return None

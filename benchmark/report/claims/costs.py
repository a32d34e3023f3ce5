"""Claims about time, memory, counted parameters and operations, and the model before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pandas as pd

from benchmark.records.environment import CHECKPOINTING, checkpointing
from benchmark.records.schema import Parameters, StepProfile
from benchmark.report.claims.evidence import Evidence, Needs, unjudged, with_verdict
from benchmark.report.claims.ledger import Claim, Judged, Verdict

ROUNDING = 1e-5  # error of float32 over twelve blocks: smaller changes count as none
NOT_COUNTED = "not counted yet; `claims --structural` does it"


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Time or memory of one method divided by that of another on the same device.

    Attributes:
        value: the ratio.
        where: how and on which device it was measured.
        on_gpu: whether the device is a GPU.
        over: what was measured; there is no interval.
        quartiles: the ratio of a quick step to a slow one, and the reverse; None if single steps are not known.
    """

    value: float
    where: str
    on_gpu: bool
    over: str
    quartiles: tuple[float, float] | None = None


def ratio(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge time or memory of one method against another on the same GPU, of trials or of profiled steps."""
    datasets = [claim.dataset] if claim.dataset else evidence.datasets
    for dataset in datasets:
        needs = evidence.needs(claim.backbone, dataset, claim.left, claim.right)
        base = unjudged(claim, evidence, dataset if len(datasets) > 1 else "", needs)
        measured = _of_trials(claim, evidence, needs) or _of_profiles(claim, evidence, needs)
        yield _with_ratio(base, claim, measured)


def _with_ratio(base: Judged, claim: Claim, measured: Ratio | None) -> Judged:
    if measured is None:
        reason = "not measured for both methods on one GPU, neither by trials with --exclusive nor by `profile`"
        return with_verdict(base, "not run", reason)
    why = f"measured {measured.where}"
    base = dataclasses.replace(base, unit="ratio to full", measured=measured.value, n=f"{measured.over}, no interval")
    if measured.quartiles is not None:
        why += "; the quartiles of the steps would allow {:.2f} to {:.2f}".format(*measured.quartiles)
    if not measured.on_gpu:
        return with_verdict(base, "not comparable", f"{why}, not on a GPU")
    if measured.where.endswith(CHECKPOINTING):
        return with_verdict(base, "not comparable", f"{why}, which the official code does not do")
    if claim.paper is None:
        is_as_claimed, paper, difference = measured.value < 1, "below 1", measured.value - 1
    else:
        difference = measured.value - claim.paper
        is_as_claimed, paper = abs(difference) <= claim.tolerance, f"{claim.paper}"
    verdict: Verdict = "reproduced" if is_as_claimed else "differs"
    return dataclasses.replace(base, verdict=verdict, why=why, paper=paper, difference=difference)


def _of_trials(claim: Claim, evidence: Evidence, needs: Needs) -> Ratio | None:
    """Return the ratio of trials that did not share the device; None if there are none on the same device."""
    left, right = (evidence.cell(*need) for need in needs)
    column = {"time": "seconds_per_epoch", "memory": "gpu_allocated_bytes"}[claim.value]
    if left is None or right is None or left["device"] != right["device"] or left["shared"] or right["shared"]:
        return None
    if left["marks"] or right["marks"] or pd.isna(left[column]) or pd.isna(right[column]):
        return None
    device = left["device"]
    value = float(left[column] / right[column])
    return Ratio(value, f"in trials on {device}", not device.startswith("cpu"), "median over trials")


def _of_profiles(claim: Claim, evidence: Evidence, needs: Needs) -> Ratio | None:
    """Return the ratio of profiled steps of the paper's model, preferably on a GPU; None if there are none."""
    steps = evidence.results.steps
    if steps.empty:
        return None
    (backbone, dataset, left), (_, _, right) = needs
    column = {"time": "step_seconds", "memory": "gpu_allocated_bytes"}[claim.value]
    is_unchanged = steps["step_key"].isin({profile.request.step_key for profile in evidence.profiles})
    is_model = (steps["backbone"] == backbone) & (steps["size"] == "base")
    rows = steps[is_model & (steps["dataset"] == dataset) & steps[column].notna() & is_unchanged]
    if claim.value == "memory":
        rows = rows[rows["whole_batch"].astype(bool)]  # time is compared per clip; memory does not scale with clips
    devices = sorted(rows.groupby(["device", "threads"]), key=lambda item: str(item[0][0]).startswith("cpu"))
    for (device, _), group in devices:
        by_method = group.drop_duplicates("method").set_index("method")
        if {left, right} <= set(by_method.index):
            values = by_method[column] / (by_method["clips"] if claim.value == "time" else 1)
            value = float(values[left] / values[right])
            where, on_gpu = f"by `profile` on {device}", not str(device).startswith("cpu")
            quartiles = (
                _quartiles(*(by_method.loc[[name]].iloc[0] for name in (left, right)))
                if claim.value == "time"
                else None
            )
            return Ratio(value, where, on_gpu, "one measurement", quartiles)
    return None


def _quartiles(left: pd.Series, right: pd.Series) -> tuple[float, float] | None:
    """Return the ratio of the time per clip, of the lower quartile to the upper one, and the reverse."""
    bounds = [left[f"step_seconds_{end}"] / left["clips"] for end in ("low", "high")]
    others = [right[f"step_seconds_{end}"] / right["clips"] for end in ("high", "low")]
    if pd.isna([*bounds, *others]).any():
        return None
    low, high = (float(one / other) for one, other in zip(bounds, others, strict=True))
    return low, high


def counted(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge a counted cost of a training step of one method against another, on each dataset."""
    for dataset in evidence.datasets:
        base = dataclasses.replace(unjudged(claim, evidence, dataset), unit=claim.value.replace("_", " "))
        left, right = (_cost(claim, evidence, dataset, method) for method in (claim.left, claim.right))
        other = evidence.paper.label(claim.right, evidence.names)
        if left is None or right is None:
            yield with_verdict(base, "not run", NOT_COUNTED)
            continue
        yield dataclasses.replace(
            base, verdict="reproduced" if left < right else "differs", paper=f"below {right:.4g}", measured=left,
            difference=left - right, why=f"{left / right:.3f} times that of {other}, counted",
        )  # fmt: skip


def _cost(claim: Claim, evidence: Evidence, dataset: str, method: str) -> float | None:
    profile = _profile_of_paper(claim, evidence, dataset, method)
    if profile is None:
        return None
    cost = profile.cost
    values = {**cost.model_dump(), "saved_bytes_per_clip": cost.saved_bytes / cost.clips}
    return float(values[claim.value])


def count(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge a number of trainable parameters in millions."""

    def millions(trainable: int, _: int) -> float:
        return trainable / 1e6

    yield _number(claim, evidence, claim.millions, "million parameters", millions)


def share(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge a share of trainable parameters in per cent."""

    def percent(trainable: int, total: int) -> float:
        return 100 * trainable / total

    yield _number(claim, evidence, claim.percent, "per cent", percent)


def _number(
    claim: Claim, evidence: Evidence, paper: float | None, unit: str, value_of: Callable[[int, int], float]
) -> Judged:
    """Judge a counted number, rounded to the digits of the paper.

    Args:
        claim: the claim.
        evidence: what it is judged with.
        paper: the number of the paper.
        unit: its unit.
        value_of: the number, from the counts of trainable parameters and of all.
    """
    base = dataclasses.replace(unjudged(claim, evidence, ""), unit=unit, paper=f"{paper}")
    profile = _profile_of_paper(claim, evidence, claim.dataset or "", claim.method)
    if profile is None or paper is None:
        return with_verdict(base, "not run", NOT_COUNTED)
    trainable, total = _counts(claim, profile.parameters)
    value = value_of(trainable, total)
    return dataclasses.replace(
        base,
        verdict="reproduced" if round(value, claim.digits) == paper else "differs",
        measured=value,
        difference=value - paper,
        why=claim.note or f"{trainable:,} of {total:,} parameters",
    )


def _counts(claim: Claim, parameters: Parameters) -> tuple[int, int]:
    """Return the trainable parameters that a claim counts, and all parameters."""
    if claim.counts == "reference":
        return parameters.trainable_reference, parameters.total_reference
    head = parameters.head if claim.counts == "without_head" else 0
    return parameters.trainable - head, parameters.total - head


def identity(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge whether a method leaves the model's output unchanged before training."""
    base = dataclasses.replace(unjudged(claim, evidence, ""), unit="largest change of a logit", paper="0")
    changes = [
        profile.identity_error
        for profile in evidence.results.profiles
        if profile.identity_error is not None
        and profile.request.backbone.name == claim.backbone
        and profile.request.method.variant == evidence.paper.method(claim.method, profile.request.dataset.name)
    ]
    if not changes:
        yield with_verdict(base, "not run", "not computed yet; `claims --structural` does it")
        return
    largest = max(changes)
    verdict: Verdict = "reproduced" if largest <= ROUNDING else "differs"
    yield dataclasses.replace(
        base, verdict=verdict, measured=largest, difference=largest, n=f"{len(changes)} models",
        why="the adapted model compared with the original one, random weights and input",
    )  # fmt: skip


def _profile_of_paper(claim: Claim, evidence: Evidence, dataset: str, method: str) -> StepProfile | None:
    """Return a profile of the paper's model and recipe; its counts need neither weights nor data."""
    wanted = (claim.backbone, "base", dataset, evidence.paper.method(method, dataset))
    for profile in evidence.profiles:
        request = profile.request
        backbone = request.backbone
        is_model = (backbone.name, backbone.size_text, request.dataset.name, request.method.variant) == wanted
        is_paper = is_model and request.protocol.name == evidence.protocol
        if is_paper and not checkpointing(profile.environment):
            return profile
    return None

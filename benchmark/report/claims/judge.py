"""Verdicts: what the results say of every claim, and why nothing where they say nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.records.schema import Parameters, StepProfile
from benchmark.report.claims.ledger import Claim, Judged, Ledger, Relation, Verdict, load_ledger
from benchmark.report.evidence import Evidence
from benchmark.report.paper import measured, paper_cells
from benchmark.report.rows import steps
from benchmark.report.statistics import Interval, mean_of

Needs = tuple[tuple[str, str, str], ...]
IDENTICAL = 1e-5  # float32 rounding through twelve blocks


@dataclass(frozen=True)
class Bench:
    """What a claim is judged with."""

    evidence: Evidence
    ledger: Ledger
    protocol: str
    paper: Path | None = None

    @property
    def datasets(self) -> list[str]:
        """The paper's."""
        return self.evidence.order["datasets"]

    def cell(self, backbone: str, dataset: str, method: str) -> pd.Series | None:
        """The table cell, one that speaks for the paper where there are several."""
        cells = self.evidence.cells
        found = cells[
            (cells["protocol"] == self.protocol)
            & (cells["backbone"].str.replace(r"\[.*", "", regex=True) == backbone)
            & (cells["dataset"] == dataset)
            & (cells["method"] == method)
        ]
        if found.empty:
            return None
        best = found.assign(bad=found["marks"] != "", open=found["score"].isna()).sort_values(["bad", "open"])
        return best.iloc[0]

    def lacking(self, needs: Needs) -> tuple[Verdict, str] | None:
        """Why these cells cannot judge anything; None where they can."""
        for backbone, dataset, method in needs:
            cell = self.cell(backbone, dataset, method)
            name = f"{backbone} {dataset} {method}"
            if cell is None or not cell["done"]:
                return "not run", f"{name} was not run"
            if cell["marks"]:
                return "not comparable", f"{name}: {cell['marks']}"
            if pd.isna(cell["score"]):
                return "not run", f"{name}: {cell['done']} of {cell['expected']} trials are finished"
        return None


def judge(evidence: Evidence, protocol: str, paper: Path | None = None) -> list[Judged]:
    """Every claim of the ledger, in its order; claims about each dataset are several.

    Args:
        evidence: the results.
        protocol: whose cells count.
        paper: more of the paper's numbers.
    """
    bench = Bench(evidence, load_ledger(), protocol, paper)
    return [judged for claim in bench.ledger.claims for judged in _KINDS[claim.kind](claim, bench)]


def _order(claim: Claim, bench: Bench) -> Iterator[Judged]:
    datasets = claim.datasets or bench.datasets
    gaps = {}
    for dataset in datasets:
        needs = ((claim.backbone, dataset, claim.left), (claim.backbone, dataset, claim.right))
        base = _base(claim, bench, dataset if len(datasets) > 1 else "", needs)
        if lacking := bench.lacking(needs):
            yield _with(base, *lacking)
            continue
        one, other = (bench.cell(*need) for need in needs)
        gap = bench.evidence.difference(one, other) if one is not None and other is not None else None
        if gap is None:
            yield _with(base, "not comparable", "no predictions of shared seeds to compare")
            continue
        gaps[dataset] = gap
        yield _compared(base, gap, claim)
    if len(datasets) > 1:
        every = tuple((claim.backbone, name, method) for name in datasets for method in (claim.left, claim.right))
        base = _base(claim, bench, "average", every)
        if len(gaps) == len(datasets):
            yield _compared(base, mean_of(list(gaps.values())), claim)
        else:
            yield _with(base, *(bench.lacking(every) or ("not run", "not every dataset can be compared")))


def _compared(base: Judged, gap: Interval, claim: Claim) -> Judged:
    low, high = 100 * gap.low, 100 * gap.high
    verdict, why = decide(low, high, claim.relation, claim.margin)
    return dataclasses.replace(
        base, verdict=verdict, why=why, unit="points", measured=100 * gap.mean, low=low, high=high,
        difference=100 * gap.mean, n=f"{gap.parts} clips or classes x {gap.seeds} seeds",
    )  # fmt: skip


def decide(low: float, high: float, relation: Relation, margin: float = 0.0) -> tuple[Verdict, str]:
    """Whether a difference with this 95 % interval is as stated.

    Args:
        low: end of the interval.
        high: its other end.
        relation: `above` zero, `below` zero, or `at_least` zero but for the margin.
        margin: how far below zero still counts as equal.
    """
    if relation == "below":
        low, high = -high, -low
    bound = -margin if relation == "at_least" else 0.0
    if low > bound:
        return "reproduced", "the whole interval is on the stated side"
    if high < bound:
        return "differs", "the whole interval is on the other side"
    return "underpowered", "the interval has both sides: more seeds or folds would tell"


def _relative(claim: Claim, bench: Bench) -> Iterator[Judged]:
    needs = tuple(
        (backbone, name, method)
        for name in bench.datasets
        for backbone in ("ast", "ssast")
        for method in (claim.left, claim.right)
    )
    base = _base(claim, bench, "", needs)
    if lacking := bench.lacking(needs):
        yield _with(base, *lacking)
        return
    draws, means = [], []
    for name in bench.datasets:
        shares = []
        for backbone in ("ast", "ssast"):
            found = []
            for method in (claim.left, claim.right):
                cell = bench.cell(backbone, name, method)
                paired = bench.evidence.paired(cell) if cell is not None else None
                if cell is None or paired is None:
                    yield _with(base, "not comparable", "no predictions to compare")
                    return
                found.append(paired.interval(cell["cell"]))
            shares.append((found[0].mean / found[1].mean, found[0].draws / found[1].draws))
        means.append(shares[0][0] - shares[1][0])
        draws.append(shares[0][1] - shares[1][1])
    low, high = np.percentile(np.mean(draws, axis=0), (2.5, 97.5))
    verdict, why = decide(float(low), float(high), "above")
    mean = float(np.mean(means))
    yield dataclasses.replace(
        base, verdict=verdict, why=why, unit="share of full's score", measured=mean, difference=mean, low=float(low),
        high=float(high), n=f"{len(means)} datasets",
    )  # fmt: skip


def _score(claim: Claim, bench: Bench) -> Iterator[Judged]:
    cells, sources = paper_cells(bench.paper)
    for known in cells:
        needs = ((known.backbone, known.dataset, known.method),)
        base = dataclasses.replace(
            _base(claim, bench, "", needs),
            id=f"score-{known.backbone}-{known.dataset}-{known.method}-{known.split}",
            statement=f"{known.method} on {known.dataset} ({known.backbone}): {known.score} % on {known.split}, "
            f"{known.epoch} epoch",
            source=f"{known.source}: {sources.get(known.source, 'the user')}",
            unit="per cent",
            paper=f"{known.score}",
        )
        if lacking := bench.lacking(needs):
            yield _with(base, *lacking)
            continue
        cell = bench.cell(*needs[0])
        value = measured(bench.evidence, cell, known) if cell is not None else None
        if cell is None or value is None:
            yield _with(base, "not run", f"no {known.split} score at the {known.epoch} epoch")
            continue
        half = (cell["high"] - cell["low"]) / 2 if pd.notna(cell["low"]) else 0.0
        low, high = 100 * (value - half), 100 * (value + half)
        inside = low - known.tolerance <= known.score <= high + known.tolerance
        yield dataclasses.replace(
            base, verdict="reproduced" if inside else "differs", measured=100 * value, low=low, high=high,
            difference=100 * value - known.score, n=f"{cell['done']} trials",
            why="the paper's number is " + ("within" if inside else "outside") + " the interval and its own tolerance",
        )  # fmt: skip


def _ratio(claim: Claim, bench: Bench) -> Iterator[Judged]:
    datasets = [claim.dataset] if claim.dataset else bench.datasets
    table = steps(bench.evidence)
    value = {"time": "step_seconds", "memory": "gpu_allocated_bytes"}[claim.value]
    for dataset in datasets:
        needs = tuple(("ast", dataset, method) for method in (claim.left, claim.right))
        base = _base(claim, bench, dataset if len(datasets) > 1 else "", needs)
        found = _exclusive(claim, bench, dataset) or _profiled(table, claim, dataset, value)
        if found is None:
            yield _with(base, "not run", "neither trials run with --exclusive nor `profile` measured both on a GPU")
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
    rows = table[(table["dataset"] == dataset) & (table["size"] == "base") & table[value].notna()]
    for (device, _), group in sorted(rows.groupby(["device", "threads"]), key=lambda item: item[0][0] == "cpu"):
        by_method = group.drop_duplicates("method").set_index("method")
        if {claim.left, claim.right} <= set(by_method.index):
            clips = by_method["clips"] if value == "step_seconds" else 1
            values = by_method[value] / clips
            ratio = float(values[claim.left] / values[claim.right])
            return ratio, f"by `profile` on {device}", device != "cpu"
    return None


def _counted(claim: Claim, bench: Bench) -> Iterator[Judged]:
    for dataset in bench.datasets:
        base = dataclasses.replace(_base(claim, bench, dataset), unit=claim.value.replace("_", " "))
        found = {}
        for method in (claim.left, claim.right):
            profile = _structure(bench, dataset, method)
            if profile is not None:
                cost = profile.cost
                values = {**cost.model_dump(), "saved_bytes_per_clip": cost.saved_bytes / cost.clips}
                found[method] = float(values[claim.value])
        if len(found) < 2:
            yield _with(base, "not run", "`claims --structural` counts it")
            continue
        one, other = found[claim.left], found[claim.right]
        yield dataclasses.replace(
            base, verdict="reproduced" if one < other else "differs", paper=f"below {other:.4g}", measured=one,
            difference=one - other, why=f"{one / other:.3f} of it, by count",
        )  # fmt: skip


def _count(claim: Claim, bench: Bench) -> Iterator[Judged]:
    base = dataclasses.replace(_base(claim, bench, ""), unit="million parameters", paper=f"{claim.millions}")
    counts = _parameters(bench, claim)
    if counts is None or claim.millions is None:
        yield _with(base, "not run", "`claims --structural` counts it")
        return
    value = counts.trainable_reference / 1e6
    equal = round(value, claim.digits) == claim.millions
    yield dataclasses.replace(
        base, verdict="reproduced" if equal else "differs", measured=value, difference=value - claim.millions,
        why=claim.note or f"{counts.trainable_reference:,} parameters",
    )  # fmt: skip


def _share(claim: Claim, bench: Bench) -> Iterator[Judged]:
    base = dataclasses.replace(_base(claim, bench, ""), unit="per cent", paper=f"{claim.percent}")
    counts = _parameters(bench, claim)
    if counts is None or claim.percent is None:
        yield _with(base, "not run", "`claims --structural` counts it")
        return
    value = 100 * counts.trainable_reference / counts.total_reference
    equal = round(value, claim.digits) == claim.percent
    yield dataclasses.replace(
        base, verdict="reproduced" if equal else "differs", measured=value, difference=value - claim.percent,
        why=claim.note or f"{counts.trainable_reference:,} of {counts.total_reference:,} parameters",
    )  # fmt: skip


def _identity(claim: Claim, bench: Bench) -> Iterator[Judged]:
    base = dataclasses.replace(_base(claim, bench, ""), unit="largest change of a logit", paper="0")
    errors = [
        each.identity_error
        for each in bench.evidence.profiles
        if each.request.method.variant == claim.method and each.identity_error is not None
    ]
    if not errors:
        yield _with(base, "not run", "`claims --structural` computes it")
        return
    verdict: Verdict = "reproduced" if max(errors) <= IDENTICAL else "differs"
    yield dataclasses.replace(
        base, verdict=verdict, measured=max(errors), difference=max(errors), n=f"{len(errors)} models",
        why="random backbone and input, adapted and not",
    )  # fmt: skip


def _parameters(bench: Bench, claim: Claim) -> Parameters | None:
    profile = _structure(bench, claim.dataset or "", claim.method)
    return profile.parameters if profile else None


def _structure(bench: Bench, dataset: str, method: str) -> StepProfile | None:
    """A profile of the paper's model; sizes and counts need no weights and no data."""
    for each in bench.evidence.profiles:
        request = each.request
        if (request.dataset.name, request.method.variant, request.backbone.size) == (dataset, method, "base") and (
            not request.recipe_changes and request.protocol.name == bench.protocol
        ):
            return each
    return None


def _base(claim: Claim, bench: Bench, part: str, needs: Needs = ()) -> Judged:
    return Judged(
        id=f"{claim.id}-{part}" if part else claim.id,
        statement=f"{claim.statement} ({part})" if part else claim.statement,
        source=f"{claim.source}: {bench.ledger.sources[claim.source]}",
        verdict="not run",
        expect=claim.expect,
        why="",
        paper={"at_least": "at least equal", "above": "above", "below": "below"}[claim.relation]
        if claim.kind == "order"
        else "",
        needs=needs,
    )


def _with(base: Judged, verdict: Verdict, why: str) -> Judged:
    return dataclasses.replace(base, verdict=verdict, why=why)


_KINDS: dict[str, Callable[[Claim, Bench], Iterator[Judged]]] = {
    "order": _order,
    "relative": _relative,
    "score": _score,
    "ratio": _ratio,
    "counted": _counted,
    "count": _count,
    "share": _share,
    "identity": _identity,
}

"""Results stores: create one, submit a run to it, and check submissions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import PathLike
from benchmark.errors import ArgumentError, BenchmarkError

if TYPE_CHECKING:
    from benchmark.records.schema import Record
    from benchmark.submissions.add import Added
    from benchmark.submissions.layout import Store
    from benchmark.submissions.review import Reviewed

Names = str | Iterable[str]


@checked
def new_store(
    folder: PathLike,
    *,
    name: str | None = None,
    accepts: Iterable[str] = (),
    licence: str = "CC-BY-4.0",
) -> Store:
    """Create an empty results store, to make a git repository of.

    Args:
        folder: a new folder.
        name: name of the store; None for that of the folder.
        accepts: what it takes beside complete runs on real audio with trained backbones: `synthetic` (and nothing
            else), `partial`, `random` (weights).
        licence: licence of records and predictions, as SPDX writes it.

    Returns:
        The store.

    Raises:
        BenchmarkError: the folder is not empty, or an argument is wrong.

    Example:
        >>> benchmark.new_store("my-store", accepts=["synthetic", "partial"])
    """
    from pydantic import ValidationError

    import benchmark
    from benchmark.submissions.create import create_store
    from benchmark.submissions.layout import StoreInfo

    path = Path(folder)
    try:
        info = StoreInfo.model_validate(
            {"name": name or path.absolute().name, "accepts": list(dict.fromkeys(accepts)), "licence": licence}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ArgumentError(str(first["loc"][0]), first["msg"], first["input"]) from None
    return create_store(path, info, benchmark.__version__)


@checked
def submit(
    results: PathLike,
    *,
    store: PathLike,
    submitter: str,
    name: str | None = None,
    contact: str = "",
    note: str = "",
    methods: Names = (),
    datasets: Names = (),
    backbones: Names = (),
    sources: PathLike | Iterable[PathLike] = (),
    source_licence: str | None = None,
    dry_run: bool = False,
) -> Added:
    """Add the records of a results folder to a store, if they keep every rule; else nothing is added.

    Predictions are made as small as their score allows: those of the reported epoch, in half precision if every metric
    stays exactly the same.

    Args:
        results: results folder; it is only read.
        store: results store.
        submitter: who submits, such as an account's name in lower case.
        name: name of the submission; None for date and digest.
        contact: where questions can be sent.
        note: what is to be known of the records.
        methods: submit only these, as tables name them.
        datasets: submit only these.
        backbones: submit only these, as tables name them.
        sources: files of methods and backbones from outside the suite, as they were when the trials ran.
        source_licence: their licence, as SPDX writes it.
        dry_run: only check.

    Returns:
        The new folder, and the rules that are broken, one line each.

    Raises:
        BenchmarkError: not a results folder or store, a missing source, or a name that cannot be used.

    Example:
        >>> benchmark.submit("OUT", store="my-store", submitter="ada").failures
    """
    from benchmark.api.submission_facts import known_to_the_suite
    from benchmark.records.store import ResultStore
    from benchmark.submissions.add import add
    from benchmark.submissions.draft import About, collect, find_sources, make_manifest
    from benchmark.submissions.layout import NAME, Store

    for argument, value in (("submitter", submitter), ("name", name)):
        if value is not None and not re.fullmatch(NAME, value):
            raise ArgumentError(argument, "expected lower-case letters, digits and hyphens, at most 39", value)
    target = Store(Path(store))
    about = About(
        submitter=submitter,
        name=name,
        contact=contact,
        note=note,
        licence=target.info.licence,
        sources=[Path(one) for one in ([sources] if isinstance(sources, str | Path) else sources)],
        source_licence=source_licence,
    )
    chosen = [set([names] if isinstance(names, str) else names) for names in (methods, datasets, backbones)]

    def is_chosen(record: Record) -> bool:
        request = record.request
        found = (
            {request.method.name, request.method.variant},
            {request.dataset.name, request.task},
            {request.backbone.name, request.backbone.variant},
        )
        return all(not wanted or wanted & names for wanted, names in zip(chosen, found, strict=True))

    records, files = collect(ResultStore(Path(results)), is_chosen)
    stated, more = find_sources(records, about)
    files |= more
    return add(target, make_manifest(about, stated, files), files, known_to_the_suite(), dry_run=dry_run)


@checked
def check_submission(
    folder: PathLike, *, store: PathLike | None = None, since: str | None = None, submitter: str | None = None
) -> Reviewed:
    """Check a store, or one submission, against every rule. Nothing that is submitted is run.

    Args:
        folder: a store: all of its submissions are checked; or one submission.
        store: the store that a submission is compared with; None for the one that it is in.
        since: only what is new in a store since this commit; then other changes of submissions are faults, too.
        submitter: who made these changes; only the folder of this name may have some.

    Returns:
        The submissions that were checked, the faults, one line each, and what is marked without being a fault.

    Raises:
        BenchmarkError: not a store or submission.

    Example:
        >>> benchmark.check_submission("my-store").failures
    """
    from benchmark.api.submission_facts import known_to_the_suite
    from benchmark.submissions.layout import STORE_FILE, Store
    from benchmark.submissions.review import (
        IS_SUBMISSION,
        changed_submissions,
        find_store,
        review_folder,
        review_store,
    )

    path, known = Path(folder).absolute(), known_to_the_suite()
    if not path.is_dir():
        raise BenchmarkError(f"{folder}: no such folder; name a store or a submission")
    if (path / STORE_FILE).exists():
        whole = Store(path)
        if since is None:
            return review_store(whole, known)
        new, faults = changed_submissions(whole, since, submitter and submitter.lower())
        found = review_store(whole, known, only=new)
        found.failures[:0] = faults
        return found
    if since is not None or submitter is not None:
        raise ArgumentError("since" if since is not None else "submitter", "is for a store, not for one submission")
    place = Path(store).absolute() if store is not None else find_store(path)
    if place is None:
        raise BenchmarkError(f"{folder}: is in no store; name one with --store")
    target = Store(place)
    if path.is_relative_to(place):
        inside = path.relative_to(place).as_posix()
        if not IS_SUBMISSION.fullmatch(inside):
            raise BenchmarkError(
                f"{folder}: is no submission; name the store {place}, or a folder SUBMITTER/NAME in it"
            )
        return review_store(target, known, only={inside})
    return review_folder(path, known, target)

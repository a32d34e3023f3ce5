"""Where data, weights and code of a record come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from benchmark.records.schema import Record
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.layout import MANIFEST, SHA256
from benchmark.submissions.tree import SOURCE_FILE

OFFICIAL = "official"  # verdict of `data verify`: the publisher's files
# verdicts that fit each kind of data
VERDICTS = {
    "complete": {OFFICIAL, "complete", "re-encoded"},
    "partial": {"partial"},
    "synthetic": {"synthetic"},
}
PEFT = "peft/"  # methods of the suite whose code is in the package `peft`
DIGEST = re.compile(r"[0-9a-f]{12}")
# that allow others to run, change and pass on a method
OPEN_LICENCES = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense"),
    *("AGPL-3.0-only", "AGPL-3.0-or-later", "EUPL-1.2", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only"),
    *("GPL-3.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"),
}


def data(context: Context) -> Iterator[Failure]:
    """The data is identified, and what `data verify` said fits; records without a verdict are marked, not refused."""
    for path, record in context.bundle.all_records.items():
        if not re.fullmatch(SHA256, record.request.dataset.manifest or ""):
            yield Failure(path, "has no digest of its clips (dataset.manifest); run the trial again")
        if (verified := record.data.verified) is None:
            continue
        if verified.verdict not in VERDICTS[record.data.kind]:
            yield Failure(
                path, f"says that its data is {record.data.kind}, `data verify` says {verified.verdict[:20]!a}"
            )
        known = context.known.datasets.get(record.request.dataset.name)
        if verified.verdict == OFFICIAL and known and verified.digest != known.audio:
            yield Failure(
                path, "calls its data official, whose digest is another; run `data verify` and the trial again"
            )


def dataset_facts(context: Context) -> Iterator[Failure]:
    """Numbers of clips, classes and folds are those of the dataset; complete data has all of its clips."""
    for path, record in context.bundle.all_records.items():
        for text in _other_facts(context, record):
            yield Failure(path, f"{text}; do not edit records")


def _other_facts(context: Context, record: Record) -> Iterator[str]:
    request, found = record.request, record.data
    if request.dataset.classes not in (None, found.classes):
        yield f"has {found.classes} classes, its request {request.dataset.classes}"
    if not 0 < found.classes_present <= found.classes or not 0 < found.clips <= found.official_clips:
        yield f"has {found.clips} of {found.official_clips} clips, {found.classes_present} of {found.classes} classes"
    known = context.known.datasets.get(request.dataset.name)
    if known is None:
        return
    stated = {"clips": found.official_clips, "classes": found.classes}
    for name, value in stated.items():
        if value != (official := getattr(known, name)):
            yield f"says that {request.dataset.name} has {value} {name}, it has {official}"
    if not request.held_out:  # trials that choose a setting have validation clips in place of a fold
        if found.official_folds != len(known.folds):
            yield f"says that {request.dataset.name} has {found.official_folds} folds, it has {len(known.folds)}"
        if record.selection.metric != known.metric:
            yield f"reports {record.selection.metric}, but {request.dataset.name} is scored by {known.metric}"
    if found.kind == "complete":
        yield from _not_all_clips(record, known.clips, known.test_clips)


def _not_all_clips(record: Record, clips: int, test_clips: Mapping[int, int]) -> Iterator[str]:
    """Yield how complete data lacks clips.

    Args:
        record: the record.
        clips: official number of clips.
        test_clips: official number of test clips by fold.
    """
    request, found = record.request, record.data
    if found.clips != clips or found.classes_present != found.classes:
        yield f"calls its data complete, with {found.clips} of {clips} clips"
    expected, used = test_clips.get(request.fold), found.used.get("test")
    some_left_out = request.held_out or request.recipe.limit_clips or found.skipped
    if not some_left_out and request.protocol.openmic_test == "test_list" and expected not in (None, used):
        yield f"calls its data complete, with {used} of {expected} test clips"


def checkpoint(context: Context) -> Iterator[Failure]:
    """The checkpoint is identified; one that the suite does not declare is marked, not refused."""
    for path, record in context.bundle.all_records.items():
        backbone = record.request.backbone
        if not backbone.random_weights and not re.fullmatch(SHA256, backbone.sha256 or ""):
            yield Failure(path, "has no sha256 of its checkpoint; run the trial again")


def outside_sources(record: Record) -> dict[str, str]:
    """Return what a record runs that is not the suite's, by name: digest of a file, or package and version."""
    parts = record.request.method.parts
    found = {part.name: part.source for part in parts if part.source and not part.name.startswith(PEFT)}
    backbone = record.request.backbone
    return found | ({backbone.name: backbone.outside} if backbone.outside else {})


def sources(context: Context) -> Iterator[Failure]:
    """The source of each method and backbone from outside is there, unchanged, under a licence that others can use."""
    bundle, used = context.bundle, set[str]()
    needed: dict[str, dict[str, str]] = {}
    for path, record in bundle.all_records.items():
        for name, identity in outside_sources(record).items():
            needed.setdefault(name, {}).setdefault(identity, path)
        for part in record.request.method.parts:
            if part.source is None and not part.name.startswith(PEFT) and part.name not in context.known.methods:
                yield Failure(
                    path, f"names the method {part.name[:40]!a}, which this suite does not have, without source"
                )
    for name, identities in needed.items():
        path = next(iter(identities.values()))
        stated = bundle.manifest.methods.get(name)
        if name in context.known.methods | context.known.backbones:
            yield Failure(path, f"takes the name {name[:40]!a} of the suite for code from outside; rename it")
        if len(identities) > 1:
            yield Failure(path, f"has records of {len(identities)} versions of {name[:40]!a}; submit one version")
        if stated is None:
            yield Failure(
                MANIFEST, f"has no source and licence of {name[:40]!a}; submit with --source and --source-licence"
            )
            continue
        if stated.licence not in OPEN_LICENCES:
            usual = "MIT, Apache-2.0, BSD-3-Clause, GPL-3.0-or-later"
            yield Failure(MANIFEST, f"gives {name[:40]!a} the licence {stated.licence[:40]!a}; use one as {usual}")
        if stated.file:
            used.add(stated.file)
        yield from _other_source(context, name, next(iter(identities)), stated.file)
    for file in sorted({path for path in bundle.files if SOURCE_FILE.fullmatch(path)} - used):
        yield Failure(file, "is the source of no method in the records; remove it")


def _other_source(context: Context, name: str, identity: str, file: str | None) -> Iterator[Failure]:
    """Yield how the source of a method is not that of the trials.

    Args:
        context: the submission.
        name: of the method or backbone.
        identity: as in the request.
        file: in the submission.
    """
    if not DIGEST.fullmatch(identity):
        return  # a package and its version
    found = context.bundle.files.get(file or "")
    if found is None:
        yield Failure(MANIFEST, f"has no file of {name[:40]!a}; submit with --source FILE")
    elif not found.sha256.startswith(identity):
        yield Failure(file or "", f"is not the file that the trials of {name[:40]!a} ran ({identity}); submit that one")

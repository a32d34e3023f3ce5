"""Is this the dataset? Counts, digests, decodability, and clips that are in two splits."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.data.audio import BadAudioError, decode
from benchmark.data.dataset import Dataset, Tally, tally
from benchmark.data.manifest import Manifest
from benchmark.data.parallel import Progress, in_order

Verdict = Literal["official", "complete", "re-encoded", "partial", "synthetic"]
MEANING: dict[Verdict, str] = {
    "official": "the publisher's files, byte for byte",
    "complete": "all clips; the publisher gives no digest of the files to compare with",
    "re-encoded": "all clips, but not the publisher's bytes",
    "partial": "some of the clips: results do not speak for the dataset",
    "synthetic": "generated audio: results do not speak for the dataset",
}


class Checked(NamedTuple):
    """One file: md5 of its bytes, and what is wrong with its audio."""

    path: str
    md5: str
    bad: str | None


@dataclass(frozen=True)
class Verification:
    """What was found. `problems` are faults; `remarks` are worth knowing."""

    folder: Path
    verdict: Verdict
    clips: int
    official_clips: int
    files: int
    digest: str
    counts: Tally
    bad_files: dict[str, str]
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def verify(dataset: Dataset, data_root: Path, progress: Progress | None = None) -> Verification:
    """Read and decode every file with all cores.

    Raises:
        BenchmarkError: the folder is not there, or does not follow its layout.
    """
    manifest = dataset.manifest(data_root)
    info = manifest.info
    used = {clip.path for clip in manifest.clips}
    paths = sorted(used | set(dataset.audio_files(manifest)))
    checked: list[Checked] = []
    for each in in_order(functools.partial(_check, manifest.folder, used), paths, processes=True):
        checked.append(each)
        if progress:
            progress("reading and decoding", len(checked), len(paths))
    digest = audio_digest(checked, info.audio.prefix if info.audio else "")
    counts = tally(manifest)
    bad = {each.path: each.bad for each in checked if each.bad}
    verdict = _verdict(manifest, len(checked), digest)
    problems, remarks = [f"{path}: {reason}" for path, reason in bad.items()], []
    if manifest.kind == "complete":
        problems += [*_count_gaps(info.published, counts), *dataset.problems(manifest)]
    if verdict == "re-encoded" and info.audio and len(checked) != info.audio.files:
        remarks.append(f"the published digest is over {info.audio.files} files, here are {len(checked)}")
    remarks += _shared(manifest, checked)
    return Verification(
        manifest.folder, verdict, len(manifest.clips), info.clips, len(checked), digest, counts, bad, problems, remarks
    )


def audio_digest(files: Iterable[Checked], prefix: str) -> str:
    """sha256 of the sorted lines `md5  PREFIXpath`, joined by newlines."""
    lines = sorted(f"{each.md5}  {prefix}{each.path}" for each in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check(folder: Path, used: Collection[str], path: str) -> Checked:
    try:
        data = (folder / path).read_bytes()
    except OSError as error:
        return Checked(path, "", f"cannot be read ({error.strerror})")
    bad = None
    try:
        if path in used:
            decode(folder / path, data)
    except BadAudioError as error:
        bad = error.reason
    return Checked(path, hashlib.md5(data).hexdigest(), bad)


def _verdict(manifest: Manifest, files: int, digest: str) -> Verdict:
    if manifest.kind != "complete":
        return manifest.kind
    published = manifest.info.audio
    if published is None:
        return "complete"
    return "official" if (files, digest) == (published.files, published.sha256) else "re-encoded"


def _count_gaps(published: Mapping[str, Mapping[str, int]], counts: Tally) -> list[str]:
    return [
        f"{kind} {name}: {counts.get(kind, {}).get(name, 0)} instead of the published {expected}"
        for kind, by_name in published.items()
        for name, expected in by_name.items()
        if counts.get(kind, {}).get(name, 0) != expected
    ]


def _shared(manifest: Manifest, checked: list[Checked]) -> list[str]:
    """Equal files in different folds or splits, which let a model see test clips in training."""
    places = {clip.path: str(clip.fold if clip.fold is not None else clip.split) for clip in manifest.clips}
    equal: dict[str, list[str]] = defaultdict(list)
    for each in checked:
        if each.path in places and each.md5:
            equal[each.md5].append(each.path)
    across = [paths for paths in equal.values() if len({places[path] for path in paths}) > 1]
    if not across:
        return []
    unit = "folds" if manifest.info.folds else "splits"
    return [f"{len(across)} recordings are in more than one of the {unit}, for example {' = '.join(across[0][:2])}"]

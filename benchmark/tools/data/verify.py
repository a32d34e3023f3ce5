"""Check whether a folder is the published dataset: counts, digests, decoding, and recordings in two splits."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.data.audio import BadAudioError, cancelling, read_audio
from benchmark.data.class_gaps import class_gaps
from benchmark.data.dataset import Dataset, Measured, Tally, tally
from benchmark.data.manifest import Manifest
from benchmark.data.parallel import in_order
from benchmark.data.unused import Unused
from benchmark.progress import Progress

Verdict = Literal["official", "complete", "re-encoded", "partial", "synthetic"]
MEANING: dict[Verdict, str] = {
    "official": "the publisher's files, byte for byte",
    "complete": "all clips; no digest of the files is published to compare with",
    "re-encoded": "all clips, but not the publisher's bytes",
    "partial": "some of the clips: results are not those of the dataset",
    "synthetic": "generated audio: results are not those of the dataset",
}


class Checked(NamedTuple):
    """A file that was read.

    Attributes:
        path: relative to the dataset's folder.
        md5: of its content; empty if it cannot be read.
        bad: what is wrong with its audio; None if nothing is.
        measured: length and sample rate; None if the audio is bad or not used.
        cancels: whether its channels cancel each other.
    """

    path: str
    md5: str
    bad: str | None
    measured: Measured | None = None
    cancels: bool = False


@dataclass(frozen=True)
class Verification:
    """Result of `verify`.

    Attributes:
        folder: the dataset's.
        verdict: which kind of copy this is.
        clips: number of clips in the folder.
        official_clips: official number of clips.
        files: number of files that were read.
        digest: of the audio files, see `audio_digest`.
        counts: clips by class, fold or split.
        bad_files: what is wrong, by path.
        problems: faults.
        remarks: notes that are not faults.
        unused: files of the folder that are not used, by reason; faults in a part of a published dataset, unless one
            of its rules leaves them out.
    """

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
    unused: list[Unused] = field(default_factory=list)


def verify(dataset: Dataset, data_root: Path, progress: Progress | None = None) -> Verification:
    """Read and decode every file, with all cores.

    Raises:
        BenchmarkError: the folder does not exist, or does not follow its layout.
    """
    manifest = dataset.manifest(data_root)
    info = manifest.info
    used = {clip.path for clip in manifest.clips}
    paths = sorted(used | set(dataset.audio_files(manifest)))
    checked: list[Checked] = []
    for file in in_order(functools.partial(_check, manifest.folder, used), paths, processes=True):
        checked.append(file)
        if progress:
            progress("reading and decoding", len(checked), len(paths))
    digest = audio_digest(file._replace(path=dataset.published_path(file.path)) for file in checked)
    counts = tally(manifest)
    bad = {file.path: file.bad for file in checked if file.bad}
    verdict = _verdict(manifest, len(checked), digest)
    problems, remarks = [f"{path}: {reason}" for path, reason in bad.items()], dataset.remarks(manifest)
    unused = dataset.unused(manifest)
    if info.archive and manifest.kind == "partial":  # some of them may be what is lacking
        problems += [str(group) for group in unused if not group.intended]
    if manifest.absent:
        (remarks if info.archive else problems).append(manifest.absent_text)
    remarks += class_gaps(manifest, manifest.folds, bad)
    if manifest.kind == "complete":
        problems += [*_count_gaps(info.published, counts), *dataset.problems(manifest)]
    if verdict == "re-encoded" and info.audio and len(checked) != info.audio.files:
        remarks.append(f"the published digest covers {info.audio.files} files, this folder has {len(checked)}")
    if verdict not in {"official", "synthetic"}:
        remarks += dataset.alterations(manifest, {file.path: file.measured for file in checked if file.measured})
    if cancelled := [file.path for file in checked if file.cancels]:
        remarks.append(cancelling(cancelled))
    remarks += _shared(manifest, checked)
    return Verification(
        manifest.folder, verdict, len(manifest.clips), info.clips, len(checked), digest, counts, bad, problems, remarks,
        unused,
    )  # fmt: skip


def audio_digest(files: Iterable[Checked]) -> str:
    """Return the sha256 of the sorted lines `md5  path`, joined by newlines."""
    lines = sorted(f"{file.md5}  {file.path}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check(folder: Path, used: Collection[str], path: str) -> Checked:
    try:
        data = (folder / path).read_bytes()
    except OSError as error:
        return Checked(path, "", f"cannot be read ({error.strerror})")
    md5 = hashlib.md5(data).hexdigest()
    if path not in used:
        return Checked(path, md5, None)
    try:
        audio = read_audio(folder / path, data)
    except BadAudioError as error:
        return Checked(path, md5, error.reason)
    return Checked(path, md5, None, Measured(audio.seconds, audio.rate), audio.cancels)


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
    """Return a remark on equal files in different folds or splits: a model would see test clips in training."""
    places = {clip.path: str(clip.fold if clip.fold is not None else clip.split) for clip in manifest.clips}
    equal: dict[str, list[str]] = defaultdict(list)
    for file in checked:
        if file.path in places and file.md5:
            equal[file.md5].append(file.path)
    across = [paths for paths in equal.values() if len({places[path] for path in paths}) > 1]
    if not across:
        return []
    unit = "folds" if manifest.info.folds else "splits"
    return [f"{len(across)} recordings are in more than one of the {unit}, for example {' = '.join(across[0][:2])}"]

"""The layout of both versions of Speech Commands: word folders and two lists of files."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import Archive, DatasetInfo
from benchmark.data.locate import find_metadata
from benchmark.data.manifest import Clip, Manifest, Split
from benchmark.data.metadata_files import file_names, folder_names, read_lines
from benchmark.data.synthetic import Sound, Wave, texture, word
from benchmark.errors import BenchmarkError
from benchmark.units import plural

NOISE_FOLDER = "_background_noise_"
LISTS: dict[Split, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}
RATE = 16_000
OFFICIAL_NAME = re.compile(r"[0-9a-f]{8}_nohash_[0-9]+\.wav")
MOST_PER_CLASS = 2**27 - 1  # constant of the publisher's rule
VALIDATION_PERCENT, TEST_PERCENT = 10, 10

WORDS_V1 = (
    "bed bird cat dog down eight five four go happy house left marvin nine no off on one right seven sheila six stop "
    "three tree two up wow yes zero"
).split()
WORDS_V2 = sorted([*WORDS_V1, "backward", "follow", "forward", "learn", "visual"])


def which_set(file: str) -> Split:
    """Return the split of a recording by the publisher's rule, which keeps all recordings of a speaker in one split.

    Source: P. Warden, arXiv:1804.03209, section 7; the README of the archives.
    """
    speaker = file.rpartition("/")[2].partition("_nohash_")[0]
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MOST_PER_CLASS + 1)
    percent = number * (100 / MOST_PER_CLASS)
    if percent < VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < VALIDATION_PERCENT + TEST_PERCENT else "train"


def _key(path: str) -> str:
    """Return WORD/FILE of a path in either way of writing it, in lower case."""
    return "/".join(path.replace("\\", "/").split("/")[-2:]).casefold()


def list_digest(paths: Iterable[str]) -> str:
    """Return the sha256 of a list of files; their order does not matter."""
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


class SpeechCommands(Synthesizable):
    """Read word folders, `validation_list.txt` and `testing_list.txt`; files in neither list are for training.

    All words are classes. Some other benchmarks use 10 words, "unknown" and "silence" instead.

    Args:
        version: 1 or 2.
        words: the classes.
        splits: official number of clips per split.
        archive: its size in bytes and its sha256.
        lists: `list_digest` of the official lists by split; None if unknown.
    """

    def __init__(
        self,
        *,
        version: int,
        words: Sequence[str],
        splits: Mapping[str, int],
        archive: tuple[int, str],
        lists: Mapping[Split, str] | None = None,
    ) -> None:
        clips = sum(splits.values())
        size, digest = archive
        self.lists = lists or {}
        folder = f"speech_commands_v0.0{version}"
        of_torchaudio = f"SpeechCommands/{folder}"
        self.info = DatasetInfo(
            name=f"speech_commands_v{version}",
            label=f"Speech Commands V{version}",
            description=f"{clips} recordings of {len(words)} words, up to 1 s, official validation and test lists",
            folders=(folder, of_torchaudio),
            classes=tuple(words),
            clips=clips,
            seconds=1,
            rate=16_000,
            lengths=(0, 1),
            metric="accuracy",
            licence="CC BY 4.0",
            homepage="https://www.tensorflow.org/datasets/catalog/speech_commands",
            citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, 2018",
            by_hand=(
                f"get http://download.tensorflow.org/data/{folder}.tar.gz, make that folder and unpack the archive, "
                "which has no top folder, inside it"
            ),
            splits=("train", "validation", "test"),
            archive=Archive(
                file=f"{folder}.tar.gz",
                urls=(f"http://download.tensorflow.org/data/{folder}.tar.gz",),
                hash=f"sha256:{digest}",
                certain=True,
                top="",
                bytes=size,
            ),
            published={"split": splits},
            notes=("results are not comparable with the 12-class task of other benchmarks",),
        )

    def read(self, folder: Path) -> list[Clip]:
        """Read one clip per WAV file of the word folders; see `Dataset.read`."""
        listed = self._lists(folder)
        words = [name for name in folder_names(folder) if not name.startswith("_")]
        if unknown := sorted(set(words) - set(self.info.classes)):
            raise BenchmarkError(f"{folder}: folder '{unknown[0]}' is not a word of {self.info.label}")
        clips = []
        for label, spoken in enumerate(self.info.classes):
            for name in file_names(folder / spoken, (".wav",)) if spoken in words else ():
                path = f"{spoken}/{name}"
                split = listed.get(_key(path), "train")
                speaker = name.partition("_nohash_")[0]
                clips.append(Clip.at(folder, path, (label,), split=split, place=str(folder), group=speaker))
        self._check_rule(folder, clips)
        return clips

    def _lists(self, folder: Path) -> dict[str, Split]:
        """Return the splits of both lists by the key of the file.

        Raises:
            BenchmarkError: a list is missing, or names a file twice, or something else than files of the words.
        """
        listed: dict[str, Split] = {}
        for split, name in LISTS.items():
            path = find_metadata(folder, (name,), self.info, f"the publisher's list of the {split} clips")
            for line in read_lines(path):
                key = _key(line)
                word, slash, _ = key.partition("/")
                if not slash or word not in self.info.classes:
                    raise BenchmarkError(f"{path}: '{line}' is not WORD/FILE with a word of {self.info.label}")
                if key in listed:
                    raise BenchmarkError(f"{path}: {line} is listed twice, in this list or in both")
                listed[key] = split
        return listed

    def _check_rule(self, folder: Path, clips: Sequence[Clip]) -> None:
        """Compare the splits of the publisher's recordings with its rule, which holds for parts of the dataset, too.

        Raises:
            BenchmarkError: a recording is in another split.
        """
        official = [clip for clip in clips if OFFICIAL_NAME.fullmatch(clip.path.rpartition("/")[2].lower())]
        wrong = [clip for clip in official if which_set(clip.path.lower()) != clip.split]
        if wrong:
            first, rule = wrong[0], which_set(wrong[0].path.lower())
            raise BenchmarkError(
                f"{folder}: {first.path} is a {first.split} clip by the lists and a {rule} clip by the publisher's "
                f"rule, one of {plural(len(wrong), 'such clip')}: {' or '.join(LISTS.values())} is cut off or of "
                f"another copy; get both again: {self.info.by_hand}"
            )

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has exactly the words, or some of them and the dataset's name."""
        words = {name for name in folder_names(folder) if not name.startswith("_")}
        return words == set(self.info.classes) or (bool(words & set(self.info.classes)) and super().recognises(folder))

    def left_out(self, path: PurePosixPath) -> str | None:
        """Return a reason for the recordings of noise."""
        return "background noise, which is no class" if path.parts[0] == NOISE_FOLDER else None

    def misplaced(self, path: PurePosixPath) -> str:
        """Return why a file is no clip."""
        return "not WORD/FILE.wav"

    def remarks(self, manifest: Manifest) -> list[str]:
        """Say how many listed clips a part of the dataset lacks."""
        listed = self._lists(manifest.folder)
        missing = len(listed.keys() - {_key(clip.path) for clip in manifest.clips})
        found = super().remarks(manifest)
        return [*found, f"{missing:,} of {len(listed):,} listed files are not there"] if missing else found

    def problems(self, manifest: Manifest) -> list[str]:
        """Check that the lists are the publisher's."""
        faults = []
        for split, expected in self.lists.items():
            digest = list_digest(clip.path for clip in manifest.clips if clip.split == split)
            if digest != expected:
                faults.append(f"{LISTS[split]} has sorted sha256 {digest} instead of {expected}")
        return faults

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 16 kHz mono words of up to 1 s, split by the publisher's rule; see `Synthesizable.synthetic`."""
        listed: dict[Split, list[str]] = {split: [] for split in LISTS}
        for label in range(classes):
            missing = dict.fromkeys(self.info.splits, clips_per_class)
            speakers = itertools.count()
            while any(missing.values()):
                speaker = next(speakers)
                name = f"{hashlib.sha1(str(speaker).encode()).hexdigest()[:8]}_nohash_0.wav"
                path, split = f"{self.info.classes[label]}/{name}", which_set(name)
                if missing[split]:
                    missing[split] -= 1
                    if split in listed:
                        listed[split].append(path)
                    yield Sound(path, functools.partial(word, label, speaker, seed, RATE, seconds), RATE)
        for split, name in LISTS.items():
            (folder / name).write_text("".join(f"{path}\n" for path in sorted(listed[split])))
        yield Sound(f"{NOISE_FOLDER}/pink_noise.wav", functools.partial(_noise, seed), RATE)


def _noise(seed: int) -> Wave:
    return texture(0, seed, 10, RATE)

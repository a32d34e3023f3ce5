"""Preparing and verifying datasets: archives good and hostile, copies of every kind."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from benchmark.data.dataset import Dataset, Synthesizable
from benchmark.data.dataset_info import Archive, AudioDigest
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.tools.data.measure import ALL_FOLDS, describe, level_statistics, write_folder_recipe
from benchmark.tools.data.prepare import prepare
from benchmark.tools.data.verify import verify
from tests.data.audio_files import encoded, flac_announcing, id3v2, vbr_mp3, without_xing
from tests.tools.test_download import Handler, part_of

pytest_plugins = ["tests.tools.test_download"]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small ESC-50 and Speech Commands V1."""
    root = tmp_path_factory.mktemp("synthetic")
    for name in ("esc50", "speech_commands_v1"):
        dataset = get_dataset(name)
        assert isinstance(dataset, Synthesizable)
        dataset.synthesize(root, classes=2, clips_per_class=1, seed=0)
    return root


def zipped(folder: Path, target: Path) -> Path:
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", folder.parent, folder.name))


def archive_of(dataset: Dataset, **changes: object) -> Dataset:
    """The dataset with other info about its archive."""
    other = type(dataset).__new__(type(dataset))
    other.__dict__.update(dataset.__dict__)
    assert dataset.info.archive
    other.info = replace(dataset.info, archive=replace(dataset.info.archive, **changes))
    return other


def test_an_archive_at_hand_is_unpacked(synthetic: Path, tmp_path: Path) -> None:
    file = zipped(synthetic / "ESC-50-master", tmp_path / "esc.zip")
    console = Console(file=io.StringIO(), width=300)
    place = prepare(get_dataset("esc50"), tmp_path / "data", str(file), console)
    assert place == tmp_path / "data" / "ESC-50-master"
    assert get_dataset("esc50").manifest(tmp_path / "data").digest == get_dataset("esc50").manifest(synthetic).digest
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ESC-50-master"]
    assert "a repacked archive or another file; `data verify` compares the audio" in console.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(
        BenchmarkError, match=r"exists already; `python -m benchmark data verify esc50 --data-root .*` checks it"
    ):
        prepare(get_dataset("esc50"), tmp_path / "data", str(file), QUIET)


def test_an_archive_without_a_top_folder_gets_one(synthetic: Path, tmp_path: Path) -> None:
    file = tmp_path / "speech_commands_v0.01.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(synthetic / "speech_commands_v0.01", ".")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    dataset = archive_of(get_dataset("speech_commands_v1"), hash=f"sha256:{digest}", bytes=1000)
    place = prepare(dataset, tmp_path / "data", str(file), QUIET)
    assert place == tmp_path / "data" / "speech_commands_v0.01"
    assert len(get_dataset("speech_commands_v1").manifest(tmp_path / "data").clips) == 6
    with pytest.raises(BenchmarkError, match=r"sha256 \w+ instead of 7439354"):
        prepare(archive_of(get_dataset("speech_commands_v1"), bytes=9), tmp_path / "other", str(file), QUIET)
    assert not list((tmp_path / "other").iterdir())


def test_a_download_is_checked_unpacked_and_removed(
    server: tuple[str, type[Handler]], synthetic: Path, tmp_path: Path
) -> None:
    address, handler = server
    content = zipped(synthetic / "ESC-50-master", tmp_path / "esc.zip").read_bytes()
    handler.files["/esc.zip"] = content
    good = {"urls": (f"{address}/esc.zip",), "certain": True}
    dataset = archive_of(get_dataset("esc50"), hash=f"md5:{hashlib.md5(content).hexdigest()}", **good)
    prepare(dataset, tmp_path / "data", None, QUIET)
    assert len(dataset.manifest(tmp_path / "data").clips) == 10
    assert not list((tmp_path / "data" / ".downloads").iterdir())
    dataset = archive_of(get_dataset("esc50"), hash="md5:" + "0" * 32, **good)
    with pytest.raises(BenchmarkError, match=r"could not be downloaded .*hash.*by hand: get the archive"):
        prepare(dataset, tmp_path / "wrong", None, QUIET)
    assert not (tmp_path / "wrong" / "ESC-50-master").exists()
    prepare(archive_of(get_dataset("esc50"), urls=()), tmp_path / "mirror", f"{address}/esc.zip", QUIET)
    assert (tmp_path / "mirror" / "ESC-50-master" / "meta" / "esc50.csv").is_file()


def test_a_download_is_kept_when_the_disk_is_full(
    server: tuple[str, type[Handler]], synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    handler.files["/esc.zip"] = zipped(synthetic / "ESC-50-master", tmp_path / "esc.zip").read_bytes()
    dataset, root = archive_of(get_dataset("esc50"), urls=(f"{address}/esc.zip",)), tmp_path / "data"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extract", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(dataset, root, None, QUIET)
    assert [path.name for path in (root / ".downloads").iterdir()]
    del handler.files["/esc.zip"]  # the next call does not need it
    assert prepare(dataset, root, None, QUIET).is_dir()
    assert not list((root / ".downloads").iterdir())


def test_an_interrupted_download_goes_on(server: tuple[str, type[Handler]], synthetic: Path, tmp_path: Path) -> None:
    address, handler = server
    content = zipped(synthetic / "ESC-50-master", tmp_path / "esc.zip").read_bytes()
    handler.files["/esc.zip"] = content
    downloads = tmp_path / "data" / ".downloads"
    downloads.mkdir(parents=True)
    part_of(downloads / "ESC-50-master.zip", f"{address}/esc.zip").write_bytes(content[:1000])
    prepare(archive_of(get_dataset("esc50"), urls=(f"{address}/esc.zip",)), tmp_path / "data", None, QUIET)
    assert handler.asked == ["bytes=1000-"]
    assert len(get_dataset("esc50").manifest(tmp_path / "data").clips) == 10


def test_what_cannot_be_downloaded_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        BenchmarkError, match=r"GTZAN cannot be downloaded: the original address no longer.*--from FILE"
    ):
        prepare(get_dataset("gtzan"), tmp_path, None, QUIET)
    with pytest.raises(BenchmarkError, match="no such file"):
        prepare(get_dataset("gtzan"), tmp_path, str(tmp_path / "genres.tar.gz"), QUIET)


def test_a_full_disk_is_told_before(tmp_path: Path) -> None:
    dataset = archive_of(get_dataset("esc50"), bytes=10**18)
    with pytest.raises(BenchmarkError, match=r"B are free, 2\.2 EB are needed to unpack ESC-50-master\.zip"):
        prepare(dataset, tmp_path, None, QUIET)


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_that_unpacks_to_too_much_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "ESC-50-master").mkdir(parents=True)
    (tmp_path / "in" / "ESC-50-master" / "zeros").write_bytes(bytes(10**6))
    file = shutil.make_archive(str(tmp_path / "bomb"), kind, tmp_path / "in")
    monkeypatch.setattr("benchmark.tools.data.room.ALLOWED", 0)
    with pytest.raises(BenchmarkError, match=r"bomb\..*: unpacks to more than .*B, 100 times its size or more"):
        prepare(get_dataset("esc50"), tmp_path / "data", file, QUIET)
    assert not list((tmp_path / "data").iterdir())


def test_a_disk_that_becomes_full_keeps_the_download(
    server: tuple[str, type[Handler]], synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    handler.files["/esc.zip"] = zipped(synthetic / "ESC-50-master", tmp_path / "esc.zip").read_bytes()
    monkeypatch.setattr("benchmark.tools.data.room.SPARE", 10**18)
    with pytest.raises(BenchmarkError, match="are free, too little to unpack"):
        prepare(archive_of(get_dataset("esc50"), urls=()), tmp_path / "data", f"{address}/esc.zip", QUIET)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".downloads"]
    assert len(list((tmp_path / "data" / ".downloads").iterdir())) == 1


def bad_zip(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
            archive.writestr("ESC-50-master/meta/esc50.csv", "x")
            archive.writestr(name, "x")
        return folder / "bad.zip"

    return make


def bad_tar(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "bad.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            archive.addfile(member)
        return folder / "bad.tar.gz"

    return make


def cut(folder: Path) -> Path:
    with tarfile.open(folder / "cut.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("ESC-50-master/audio/a.wav")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(os.urandom(100_000)))
    os.truncate(folder / "cut.tar.gz", 50_000)
    return folder / "cut.tar.gz"


def cut_zip(folder: Path) -> Path:
    path = bad_zip("ESC-50-master/b")(folder)
    path.write_bytes(path.read_bytes()[:-10])
    return path


def page(folder: Path) -> Path:
    (folder / "page.zip").write_text("<html>404</html>")
    return folder / "page.zip"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bad_zip("../evil"), r"'\.\./evil' is a link, a device or a path that leaves the folder"),
        (bad_zip("/tmp/evil"), "leaves the folder"),
        (bad_zip("ESC-50-master/../../evil"), "leaves the folder"),
        (bad_tar("../evil"), "leaves the folder"),
        (bad_tar("/tmp/evil"), "leaves the folder"),
        (bad_tar("ESC-50-master/link", tarfile.SYMTYPE, "/etc"), "leaves the folder"),
        (bad_tar("ESC-50-master/link", tarfile.SYMTYPE, "../../x"), "leaves the folder"),
        (bad_tar("ESC-50-master/link", tarfile.LNKTYPE, "../../x"), "leaves the folder"),
        (bad_tar("ESC-50-master/device", tarfile.CHRTYPE), "leaves the folder"),
        (bad_tar("other/a.wav"), r"has no folder ESC-50-master; is it the archive of ESC-50\?"),
        (bad_tar("ESC-50-master/a.wav"), r"esc50\.csv: cannot be read"),
        (cut, "cannot be unpacked"),
        (cut_zip, "cannot be unpacked"),
        (page, "cannot be unpacked"),
    ],
)
def test_a_hostile_archive_leaves_nothing(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    file = make(tmp_path)
    with pytest.raises(BenchmarkError, match=message) as caught:
        prepare(get_dataset("esc50"), tmp_path / "data", str(file), QUIET)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").iterdir())
    assert not (tmp_path / "evil").exists()


# ---- verify


def small(tmp_path: Path, synthetic: Path, **info: object) -> Dataset:
    """ESC-50's layout under `tmp_path`, without the marker, as if the dataset had 10 clips."""
    shutil.copytree(synthetic / "ESC-50-master", tmp_path / "ESC-50-master")
    (tmp_path / "ESC-50-master" / "SYNTHETIC.json").unlink()
    dataset = archive_of(get_dataset("esc50"))
    dataset.info = replace(dataset.info, **{"clips": 10, "published": {}, "audio": None, **info})
    dataset.problems = lambda manifest: []  # type: ignore[method-assign]
    return dataset


def test_verify_tells_the_four_kinds_of_copies_apart(synthetic: Path, tmp_path: Path) -> None:
    assert verify(get_dataset("esc50"), synthetic).verdict == "synthetic"
    dataset = small(tmp_path, synthetic, audio=AudioDigest(10, "", "0" * 64))
    digest = verify(dataset, tmp_path).digest
    lines = sorted(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  audio/{path.name}"
        for path in (tmp_path / "ESC-50-master" / "audio").iterdir()
    )
    assert digest == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    dataset.info = replace(dataset.info, audio=AudioDigest(10, "", digest))
    assert verify(dataset, tmp_path).verdict == "official"
    clip = next((tmp_path / "ESC-50-master" / "audio").iterdir())
    soundfile.write(clip, *soundfile.read(clip), subtype="PCM_24")
    assert verify(dataset, tmp_path).verdict == "re-encoded"
    dataset.info = replace(dataset.info, clips=11)
    assert verify(dataset, tmp_path).verdict == "partial"
    dataset.info = replace(dataset.info, clips=10, audio=None)
    assert verify(dataset, tmp_path).verdict == "complete"


def test_verify_names_every_fault(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic, published={"fold": {"1": 2, "2": 3}})
    first, second, third, fourth = sorted((tmp_path / "ESC-50-master" / "audio").iterdir())[:4]
    first.write_bytes(b"")
    os.truncate(second, 1000)
    fourth.write_bytes(third.read_bytes())
    seen = []
    found = verify(dataset, tmp_path, lambda *progress: seen.append(progress))
    assert found.bad_files == {
        f"audio/{first.name}": "is empty",
        f"audio/{second.name}": "is cut off: 0 % of its audio is there",
    }
    assert found.problems[2:] == ["fold 2: 2 instead of the published 3"]
    # the two equal files are in one fold
    assert found.remarks == ["2 classes have no test clips: dog (fold 1), rooster (fold 1)"]
    assert seen[-1] == ("reading and decoding", 10, 10)


def test_verify_finds_a_recording_in_two_folds(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    clips = sorted((tmp_path / "ESC-50-master" / "audio").iterdir())
    clips[-1].write_bytes(clips[0].read_bytes())
    [remark] = verify(dataset, tmp_path).remarks
    assert remark.startswith(f"1 recordings are in more than one of the folds, for example audio/{clips[0].name} = ")


def test_the_metadata_has_to_be_the_publishers(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    del dataset.problems
    [problem] = verify(dataset, tmp_path).problems
    assert problem.startswith("meta/esc50.csv has sha256")
    speech = get_dataset("speech_commands_v1")
    found = speech.problems(speech.manifest(synthetic))
    assert [line.split()[0] for line in found] == ["validation_list.txt", "testing_list.txt"]
    lists = synthetic / "speech_commands_v0.01"
    swapped = tmp_path / "speech_commands_v0.01"
    shutil.copytree(lists, swapped)
    (swapped / "testing_list.txt").write_text((lists / "validation_list.txt").read_text())
    (swapped / "validation_list.txt").write_text((lists / "testing_list.txt").read_text())
    with pytest.raises(BenchmarkError, match="by the publisher's rule, one of 4 such clips"):
        speech.manifest(tmp_path)


def altered(tmp_path: Path, **folds: tuple[float, float, int]) -> list[str]:
    """What `verify` remarks on clips of UrbanSound8K: by fold, length by the metadata, length, sample rate."""
    folder = tmp_path / "UrbanSound8K"
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold, (listed, seconds, rate) in folds.items():
        name = f"{100 + int(fold[4:])}-3-0-0.wav"
        (folder / "audio" / fold).mkdir(parents=True)
        wave = np.random.default_rng(int(fold[4:])).normal(0, 0.1, round(seconds * rate))
        soundfile.write(folder / "audio" / fold / name, wave, rate)
        lines.append(f"{name},{name[:3]},1.5,{1.5 + listed},1,{fold[4:]},3,dog_bark")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines))
    return verify(get_dataset("urbansound8k"), tmp_path).remarks


def test_urbansound8k_that_was_repeated_or_cut_is_altered(tmp_path: Path) -> None:
    remarks = altered(
        tmp_path,
        fold1=(0.6, 4, 44_100),
        fold2=(4, 4, 8000),
        fold3=(4, 2, 8000),
        fold4=(1, 1.02, 8000),
        fold5=(4, 5, 8000),
    )
    assert remarks == [
        "altered: 1 of 5 clips (such as audio/fold5/105-3-0-0.wav) do not last the published 0.0545 to 4 s",
        "altered: 2 of 5 clips (such as audio/fold1/101-3-0-0.wav) are longer than in the metadata: repeated or padded",
        "altered: 1 of 5 clips (such as audio/fold3/103-3-0-0.wav) are shorter than in the metadata: cut",
    ]


@pytest.mark.parametrize(("rates", "is_reported"), [((16_000,), True), ((16_000, 44_100), False)])
def test_urbansound8k_of_one_rate_was_resampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: tuple[int, ...], is_reported: bool
) -> None:
    monkeypatch.setattr("benchmark.data.datasets.urbansound8k.VARIED", 4)
    remarks = altered(tmp_path, **{f"fold{fold}": (1, 1, rates[fold % len(rates)]) for fold in range(1, 5)})
    text = "altered: all 4 clips have 16000 Hz, where the publisher's vary: resampled"
    assert remarks == [text] * is_reported


def test_esc50_that_was_resampled_or_trimmed_is_altered(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    first, second = sorted((tmp_path / "ESC-50-master" / "audio").iterdir())[:2]
    soundfile.write(first, np.full(5 * 16_000, 0.1), 16_000)
    soundfile.write(second, np.full(3 * 44_100, 0.1), 44_100)
    assert verify(dataset, tmp_path).remarks == [
        f"altered: 1 of 10 clips (such as audio/{first.name}) do not have the published 44100 Hz: resampled",
        f"altered: 1 of 10 clips (such as audio/{second.name}) do not last the published 5 s",
    ]


def cancel(path: Path) -> None:
    """Replace a clip by one whose channels cancel each other."""
    wave, rate = soundfile.read(path)
    soundfile.write(path, np.stack([wave, -wave], axis=1), rate)


def test_clips_whose_channels_cancel_are_reported(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    clip = min((tmp_path / "ESC-50-master" / "audio").iterdir())
    assert describe(dataset, tmp_path)["here"]["notes"] == []
    cancel(clip)
    text = f"1 clip whose channels cancel each other, so that their mean is nearly silent: audio/{clip.name}"
    assert verify(dataset, tmp_path).remarks == [text]
    assert describe(dataset, tmp_path)["here"]["notes"] == [text]


def test_gtzan_counts_its_unused_clips_in_the_digest(tmp_path: Path) -> None:
    for name in ("jazz.00033", "jazz.00054"):  # the first is not in the filtered lists
        path = tmp_path / "genres_original" / "jazz" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(100), 22_050)
    found = verify(get_dataset("gtzan"), tmp_path)
    assert (found.clips, found.files, found.verdict) == (1, 2, "partial")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    lines = [f"{md5}  genres/jazz/jazz.{number}.wav" for number in ("00033", "00054")]
    assert found.digest == hashlib.sha256("\n".join(lines).encode()).hexdigest()


# ---- stats and describe


def test_statistics_are_of_the_training_clips(synthetic: Path) -> None:
    dataset = get_dataset("esc50")
    manifest = dataset.manifest(synthetic)
    found = level_statistics(dataset, manifest, None, (1, 2), None)
    assert found["recipe"] == {"mean": -6.6268077, "std": 5.358466}
    rows = found["training clips of fold"]
    assert rows["1"]["clips"] == 8
    assert rows["1"]["mean"] != rows["2"]["mean"]
    from torchaudio.compliance import kaldi

    from benchmark.data.audio import decode, remove_mean
    from benchmark.data.frontend import torch

    banks = [
        kaldi.fbank(
            torch.from_numpy(remove_mean(decode(manifest.folder / manifest.clips[i].path))).unsqueeze(0),
            htk_compat=True, use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0,
        )
        for i in manifest.splits(1)["train"]
    ]  # fmt: skip
    cells = torch.cat(banks).double()
    assert rows["1"]["mean"] == pytest.approx(float(cells.mean()), abs=1e-5)
    assert rows["1"]["std"] == pytest.approx(float(cells.std(unbiased=False)), abs=1e-5)
    with pytest.raises(BenchmarkError, match="esc50: has no fold 6"):
        level_statistics(dataset, manifest, None, (6,), None)


def test_describe_counts_clips_lengths_and_formats(synthetic: Path, tmp_path: Path) -> None:
    here = describe(get_dataset("esc50"), synthetic)["here"]
    assert here["clips"] == 10
    assert here["class"]["dog"] == 5
    assert here["fold"] == {str(fold): 2 for fold in range(1, 6)}
    assert here["format"] == {"WAV PCM_16 44100 Hz mono": 10}
    assert sum(here["seconds"].values()) == 10
    assert "no folder" in describe(get_dataset("esc50"), tmp_path)["here"]


def test_lengths_are_those_of_the_audio(tmp_path: Path) -> None:
    """Headers announce nothing, or something else."""
    for number in range(12):
        path = tmp_path / "own" / "ab"[number % 2] / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flac_announcing(encoded("FLAC", "PCM_16", 0.5, seed=number), 0))
    (tmp_path / "own" / "a" / "x.mp3").write_bytes(without_xing(vbr_mp3(0.5)))
    dataset = get_dataset("folder:own")
    here = describe(dataset, tmp_path)["here"]
    assert here["hours"] == round(13 * 0.5 / 3600, 2)
    assert here["format"] == {"FLAC PCM_16 16000 Hz mono": 12, "MP3 MPEG_LAYER_III 16000 Hz mono": 1}
    wave = np.random.default_rng(1).normal(0, 0.1, 8000)
    soundfile.write(tmp_path / "own" / "b" / "1.flac", np.stack([wave, -wave], axis=1), 16_000)
    path, remarks = write_folder_recipe(dataset, tmp_path, None, None)
    assert "frames: 64" in path.read_text()
    assert remarks == [
        "1 clip whose channels cancel each other, so that their mean is nearly silent: b/1.flac",
        ALL_FOLDS,
    ]
    assert "on the clips of all folds, so on test clips, too" in ALL_FOLDS


def test_what_a_run_decodes_is_measured(tmp_path: Path) -> None:
    """libsndfile alone opens no Ogg file after a tag, and no CAF file of unknown length."""
    for number in range(12):
        path = tmp_path / "own" / "ab"[number % 2] / f"{number}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(id3v2(500) + encoded("OGG", "VORBIS", 2, seed=number))
    dataset = get_dataset("folder:own")
    here = describe(dataset, tmp_path)["here"]
    assert (here["format"], here["seconds"]) == ({"OGG VORBIS 16000 Hz mono": 12}, {"2.00": 12})
    path, _ = write_folder_recipe(dataset, tmp_path, None, None)
    assert "frames: 208" in path.read_text()


def test_archives_are_stated_for_all() -> None:
    for name in ("esc50", "urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic"):
        archive = get_dataset(name).info.archive
        assert isinstance(archive, Archive)
        algorithm, digest = archive.hash.split(":")
        assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size


def test_an_archive_as_on_kaggle_is_unpacked(synthetic: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    shutil.copytree(synthetic / "ESC-50-master" / "audio", top / "audio" / "audio" / "44100")
    shutil.copy(synthetic / "ESC-50-master" / "meta" / "esc50.csv", top / "esc50.csv")
    file = Path(shutil.make_archive(str(tmp_path / "archive"), "zip", top))
    place = prepare(get_dataset("esc50"), tmp_path / "data", str(file), QUIET)
    assert place == tmp_path / "data" / "ESC-50-master"
    assert len(get_dataset("esc50").manifest(tmp_path / "data").clips) == 10
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ESC-50-master"]


def test_an_archive_that_lacks_listed_clips_is_refused(synthetic: Path, tmp_path: Path) -> None:
    shutil.copytree(synthetic / "ESC-50-master", tmp_path / "ESC-50-master")
    next((tmp_path / "ESC-50-master" / "audio").iterdir()).unlink()
    file = zipped(tmp_path / "ESC-50-master", tmp_path / "esc.zip")
    with pytest.raises(BenchmarkError, match=r"esc\.zip: lacks 1 listed clip, such as audio/"):
        prepare(get_dataset("esc50"), tmp_path / "data", str(file), QUIET)


def test_the_publishers_files_are_known_in_the_layout_of_kaggle(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    dataset.info = replace(dataset.info, audio=AudioDigest(10, "", verify(dataset, tmp_path).digest))
    folder = tmp_path / "ESC-50-master"
    (folder / "audio").rename(tmp_path / "moved")
    (folder / "audio" / "audio").mkdir(parents=True)
    (tmp_path / "moved").rename(folder / "audio" / "audio" / "44100")
    (folder / "meta" / "esc50.csv").rename(folder / "esc50.csv")
    assert verify(dataset, tmp_path).verdict == "official"


def test_verify_counts_audio_that_no_row_lists(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    table = tmp_path / "ESC-50-master" / "meta" / "esc50.csv"
    table.write_text("".join(f"{line}\n" for line in table.read_text().splitlines()[:-2]))
    found = verify(dataset, tmp_path)
    assert (found.clips, found.verdict) == (8, "partial")
    [problem] = found.problems
    assert problem.startswith("2 files not used: not in the metadata (such as audio/")
    assert [len(group.paths) for group in found.unused] == [2]


def test_verify_names_listed_clips_without_a_file(synthetic: Path, tmp_path: Path) -> None:
    dataset = small(tmp_path, synthetic)
    next((tmp_path / "ESC-50-master" / "audio").glob("1-*")).unlink()
    found = verify(dataset, tmp_path)
    assert (found.clips, found.problems) == (9, [])
    assert found.remarks[0].endswith("is not there")
    assert "(fold 1)" in found.remarks[1]
    described = describe(dataset, tmp_path)["here"]
    assert described["notes"][0].startswith("1 listed clip without a file, such as audio/1-")
    rows = level_statistics(dataset, dataset.manifest(tmp_path), None, (), None)
    assert rows["left out"] == [found.remarks[0]]

"""The audio cache: content-keyed, equal to decoding, rebuilt when damaged; without it, runs go on."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmark.data import array_shard, parallel
from benchmark.data.audio import RATE, BadAudioError, decode, remove_mean
from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import filter_bank
from benchmark.data.manifest import Clip
from benchmark.errors import BenchmarkError
from tests.data.audio_files import encoded, flac_announcing, mp3, wav_with_size, without_xing

Obstacle = Callable[[pytest.MonkeyPatch], str]


def write(path: Path, seed: int, samples: int = 12_000) -> None:
    wave = np.random.default_rng(seed).normal(0, 0.1, samples)
    soundfile.write(path, wave, RATE, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six short recordings."""
    place = tmp_path / "data"
    place.mkdir()
    for number in range(6):
        write(place / f"{number}.wav", number)
    return place


def clips_of(folder: Path) -> list[Clip]:
    return [Clip.at(folder, path.name, (0,), place="test") for path in sorted(folder.glob("*.wav"))]


def fill(folder: Path, cache: Path, mixed: bool = True, **options: bool) -> tuple[int, list[BadAudioError]]:
    """Fill a cache as a run does; how many clips it lacked, and the bad files."""
    audio, clips = AudioStore(folder, cache, 128), clips_of(folder)
    paths = {clip.path for clip in clips} if mixed else set()
    lacking = audio.lacking(clips, paths)
    return len(lacking), audio.fill(lacking, paths, **{"stop": True, **options})


def check(folder: Path, cache: Path | None) -> None:
    """What a cache gives is what decoding gives."""
    audio = AudioStore(folder, cache, 128)
    audio.lacking(clips_of(folder), set())
    for clip in clips_of(folder):
        wave = decode(folder / clip.path)
        assert np.array_equal(audio.wave(clip), wave)
        bank = filter_bank(torch.from_numpy(remove_mean(wave)).unsqueeze(0), 128)[0]
        assert np.array_equal(audio.bank(clip), bank.numpy())


def test_what_was_cached_is_read_and_not_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert fill(folder, cache) == (6, [])
    assert fill(folder, cache) == (0, [])
    check(folder, cache)
    monkeypatch.setattr("benchmark.data.audio_store.decode", None)
    audio = AudioStore(folder, cache, 128)
    assert all(len(audio.wave(clip)) == 12_000 for clip in clips_of(folder))


def test_only_what_is_needed_is_cached(folder: Path, tmp_path: Path) -> None:
    assert fill(folder, tmp_path / "cache", mixed=False) == (6, [])
    assert not list((tmp_path / "cache").glob("waves-*/*.f32"))
    assert fill(folder, tmp_path / "cache", mixed=True) == (6, [])  # now the waveforms
    assert len(list((tmp_path / "cache").glob("banks128-*/*.f32"))) == 1
    write(folder / "7.wav", 7)
    assert fill(folder, tmp_path / "cache") == (1, [])


def test_another_file_of_equal_size_and_name_is_seen(folder: Path, tmp_path: Path) -> None:
    fill(folder, tmp_path / "cache")
    write(folder / "3.wav", 99)
    assert fill(folder, tmp_path / "cache") == (1, [])
    check(folder, tmp_path / "cache")


def test_equal_content_elsewhere_is_known(folder: Path, tmp_path: Path) -> None:
    fill(folder, tmp_path / "cache")
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy)  # other times of change
    assert fill(tmp_path / "copy", tmp_path / "cache") == (0, [])


@pytest.mark.parametrize("kind", ["waves", "banks128"])
def test_a_damaged_array_is_decoded_again_and_costs_no_other(folder: Path, tmp_path: Path, kind: str) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [shard] = cache.glob(f"{kind}-*/*.f32")
    with shard.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\xff")
    with pytest.warns(UserWarning, match="a part of the audio cache is damaged") as caught:
        check(folder, cache)
    assert len(caught) == 1
    assert fill(folder, cache) == (1, [])
    check(folder, cache)


def test_a_cache_that_cannot_be_read_now_is_decoded_around(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    original = Path.open

    def open_(self: Path, mode: str = "r", *rest: object, **options: object) -> object:
        if self.suffix == ".f32":
            raise OSError(errno.ESTALE, "Stale file handle")
        return original(self, mode, *rest, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        with pytest.warns(UserWarning, match=r"cannot be read now \(Stale file handle\); audio is decoded instead"):
            check(folder, cache)
    assert fill(folder, cache) == (0, [])
    check(folder, cache)


def no_room(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    return r"does not fit on its disk: .*, about .* \(0 B free\)"


def read_only(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as root, who may write everywhere
    return r"cannot be written \(it is read-only\); make room, .*--cache none"


@pytest.mark.parametrize("obstacle", [no_room, read_only])
def test_a_cache_that_cannot_grow_is_read_and_the_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: Obstacle
) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    write(folder / "7.wav", 7)
    (folder / "8.wav").write_bytes(b"")
    before = {path: path.stat() for path in cache.glob("*s*-*/*")}
    text = obstacle(monkeypatch)
    with pytest.warns(UserWarning, match=text) as caught:
        assert fill(folder, cache) == (2, [])  # as without a cache: whoever reads a bad file names it
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=text):
        _, [bad] = fill(folder, cache, stop=False)
    assert bad.path.name == "8.wav"
    bad.path.unlink()
    assert {path: path.stat() for path in cache.glob("*s*-*/*")} == before
    check(folder, cache)


def test_a_disk_that_fills_up_is_one_warning(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad files are still looked for."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (folder / "5.wav").write_bytes(b"")
    monkeypatch.setattr(os, "fsync", full)
    text = r"cannot be written \(No space left on device\); make room, .*--cache none"
    with pytest.warns(UserWarning, match=text) as caught:
        lacked, [bad] = fill(folder, tmp_path / "cache", stop=False)
    assert len(caught) == 1
    assert (lacked, bad.path.name) == (6, "5.wav")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in {".tmp", ".f32", ".npz"}]


def test_the_estimate_is_about_right(folder: Path, tmp_path: Path) -> None:
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
    paths = {clip.path for clip in clips}
    estimate = audio.estimate(clips, paths)
    assert estimate is not None
    audio.fill(audio.lacking(clips, paths), paths, stop=True)
    size = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.f32"))
    assert estimate.bytes == pytest.approx(size, rel=0.05)


def test_the_estimate_and_the_run_do_not_trust_headers(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    contents = {
        "0.wav": flac_announcing(encoded("FLAC", "PCM_16", 1), 0),
        "1.wav": wav_with_size(encoded("WAV", "PCM_16", 1), 0, 0),
        "2.wav": without_xing(mp3(1)),
        "3.wav": flac_announcing(encoded("FLAC", "PCM_16", 1), 0)[:9000],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    estimate = AudioStore(folder, tmp_path / "cache", 128).estimate(clips_of(folder), set())
    assert estimate is not None
    assert estimate.bytes == pytest.approx(4 * 100 * 128 * 4, rel=0.1)  # clips, frames, bands, bytes
    _, [bad] = fill(folder, tmp_path / "cache", stop=False)
    assert bad.path.name == "3.wav"
    bad.path.unlink()
    check(folder, tmp_path / "cache")


def write_stereo(path: Path, left: np.ndarray, right: np.ndarray) -> None:
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")


def test_clips_whose_channels_cancel_are_known(folder: Path, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 40_000)
    write_stereo(folder / "6.wav", wave, -wave)
    write_stereo(folder / "7.wav", wave + 0.3, 0.3 - 0.97 * wave)  # 36 dB below, with a constant
    write_stereo(folder / "8.wav", wave, -0.8 * wave)  # 19 dB below
    write_stereo(folder / "9.wav", wave, np.zeros_like(wave))
    write_stereo(folder / "silent.wav", np.zeros(500), np.zeros(500))
    (folder / "x.wav").write_bytes(b"")
    shutil.copy(folder / "6.wav", folder / "copy.wav")
    for _ in range(2):  # the second time all is in the cache
        audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
        audio.fill(audio.lacking(clips, set()), set(), stop=False)
        assert audio.cancelling(clips) == ["6.wav", "7.wav", "copy.wav"]
    assert audio.cancelling(clips[:6]) == []
    assert AudioStore(folder, None, 128).cancelling(clips) == []


def test_a_cache_where_a_file_stands_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(BenchmarkError, match=r"cannot be written \(.*\); make room"):
        fill(folder, tmp_path / "cache")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.EIO])
def test_a_good_file_that_cannot_be_read_now_is_not_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    original = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self.name == "3.wav":
            raise OSError(number, os.strerror(number), str(self))
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        for cache in (tmp_path / "cache", None):
            audio, clips = AudioStore(folder, cache, 128), clips_of(folder)
            audio.lacking(clips, set())
            with pytest.raises(OSError, match=r"3\.wav"):
                audio.fill(clips, set(), stop=False)
    assert fill(folder, tmp_path / "cache", mixed=False, stop=False)[1] == []


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ELOOP])
def test_a_file_that_may_not_be_read_is_bad(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def read_bytes(self: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    audio, clips = AudioStore(folder, None, 128), clips_of(folder)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    bad = audio.fill(clips, set(), stop=False)
    assert [error.reason for error in bad] == [f"cannot be read ({os.strerror(number)})"] * 6


def test_a_file_that_could_not_be_identified_is_no_changed_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.data.file_digests.FileDigests._read", lambda *_: None)
        lacking = audio.lacking(clips, set())
    assert audio.fill(lacking, set(), stop=False) == []
    assert fill(folder, tmp_path / "cache", mixed=False) == (6, [])


def test_digests_that_cannot_be_read_now_are_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [digests] = (cache / "sources").iterdir()
    before, original = digests.read_bytes(), Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self == digests:
            raise OSError(errno.EIO, "Input/output error")
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    AudioStore(folder, cache, 128).lacking(clips_of(folder)[:1], set())
    assert original(digests) == before


def test_a_cache_can_be_sent_to_another_process_without_its_content(folder: Path, tmp_path: Path) -> None:
    fill(folder, tmp_path / "cache")
    audio = AudioStore(folder, tmp_path / "cache", 128)
    [clip, *_] = clips_of(folder)
    audio.bank(clip)
    content = pickle.dumps(audio)
    assert len(content) < 20_000
    assert np.array_equal(pickle.loads(content).bank(clip), audio.bank(clip))


def test_what_was_complete_before_an_error_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_shard, "SHARD_BYTES", 1)  # a shard a clip
    (folder / "4.wav").write_bytes(b"RIFF")
    with pytest.raises(BadAudioError, match=r"4\.wav: cannot be decoded"):
        fill(folder, tmp_path / "cache")
    assert fill(folder, tmp_path / "cache", stop=False)[0] == 2


def test_bad_files_are_collected_when_asked(folder: Path, tmp_path: Path) -> None:
    (folder / "2.wav").write_bytes(b"")
    os.truncate(folder / "5.wav", 10_000)
    for cache in (tmp_path / "cache", None):
        audio, clips = AudioStore(folder, cache, 128), clips_of(folder)
        bad = audio.fill(audio.lacking(clips, set()) if cache else clips, set(), stop=False)
        assert [error.path.name for error in bad] == ["2.wav", "5.wav"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": null}', "nonsense"])
def test_damaged_digests_are_made_again(folder: Path, tmp_path: Path, content: str) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [digests] = (cache / "sources").iterdir()
    digests.write_text(content)
    assert fill(folder, cache) == (0, [])
    check(folder, cache)


def test_a_file_that_changes_while_it_is_read_is_not_cached(folder: Path, tmp_path: Path) -> None:
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
    lacking = audio.lacking(clips, set())
    before = (folder / "0.wav").read_bytes()
    write(folder / "0.wav", 77)
    [bad] = audio.fill(lacking, set(), stop=False)
    assert bad.reason == "changed while it was read"
    (folder / "0.wav").write_bytes(before)
    assert fill(folder, tmp_path / "cache", mixed=False) == (1, [])
    check(folder, tmp_path / "cache")


def test_equal_files_are_stored_once(folder: Path, tmp_path: Path) -> None:
    for number in range(6, 30):
        shutil.copy(folder / "0.wav", folder / f"{number}.wav")
    fill(folder, tmp_path / "cache")
    size = sum(path.stat().st_size for path in (tmp_path / "cache").glob("waves-*/*.f32"))
    assert size == 6 * 12_000 * 4
    check(folder, tmp_path / "cache")


def test_what_was_made_before_an_interruption_is_kept(folder: Path, tmp_path: Path) -> None:
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)

    def interrupt(what: str, number: int, total: int) -> None:
        if (what, number) == ("decoding", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audio.fill(audio.lacking(clips, set()), set(), stop=True, progress=interrupt)
    assert fill(folder, tmp_path / "cache", mixed=False) == (2, [])


def test_many_files_are_done_by_processes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arrays and the same bad files as with threads. `test_parallel.py` has the processes themselves."""

    def pool(function: Callable[[Clip], object], workers: int) -> Executor:
        monkeypatch.setattr(parallel, "_function", pickle.loads(pickle.dumps(function)))
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(parallel, "_process_pool", pool)
    (folder / "6.wav").write_bytes(b"RIFF")
    for name, processes in (("threads", False), ("processes", True)):
        monkeypatch.setattr("benchmark.data.parallel.WORTH_PROCESSES", 2)
        audio, clips = AudioStore(folder, tmp_path / name, 128), clips_of(folder)
        bad = audio.fill(audio.lacking(clips, set()), set(), stop=False, processes=processes)
        assert [(error.path.name, error.reason) for error in bad] == [
            ("6.wav", "cannot be decoded (Format not recognised)")
        ]
    threads, processes_ = (next((tmp_path / n).glob("banks128-*/*.f32")) for n in ("threads", "processes"))
    assert threads.read_bytes() == processes_.read_bytes()


def test_every_one_of_equal_bad_files_is_named(folder: Path, tmp_path: Path) -> None:
    for number in (1, 2, 4):
        (folder / f"{number}.wav").write_bytes(b"")
    _, bad = fill(folder, tmp_path / "cache", stop=False)
    assert [error.path.name for error in bad] == ["1.wav", "2.wav", "4.wav"]


def test_equal_files_are_mixed_if_one_of_them_is(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "0.wav", folder / "9.wav")
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
    audio.fill(audio.lacking(clips, {"0.wav"}), {"0.wav"}, stop=True)
    assert audio.lacking(clips, {"0.wav"}) == []


def test_without_a_cache_everything_is_decoded_and_nothing_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "5.wav").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    audio, clips = AudioStore(folder, None, 128), clips_of(folder)
    seen: list[tuple[str, int, int]] = []
    assert audio.lacking(clips, {"0.wav"}, lambda *progress: seen.append(progress)) == []
    assert seen == []
    bad = audio.fill(clips, {"0.wav"}, stop=False, progress=lambda *progress: seen.append(progress))
    assert [(error.path.name, error.reason) for error in bad] == [("5.wav", "is empty")]
    assert seen == [("decoding", number, 6) for number in range(1, 7)]
    with pytest.raises(BadAudioError, match=r"5\.wav: is empty"):
        audio.fill(clips, set(), stop=True)
    with pytest.raises(BenchmarkError, match="there is no audio cache to fill"):
        audio.estimate(clips, set())
    (folder / "5.wav").unlink()
    check(folder, None)
    assert sorted(tmp_path.rglob("*")) == [path for path in before if path.name != "5.wav"]


def test_decisions_about_the_cache_are_logged(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="benchmark.data")
    cache = tmp_path / "cache"
    fill(folder, cache)
    assert "6 of 6 clips have to be added to the audio cache" in caplog.text
    assert "decoding 6 files for 6 clips" in caplog.text
    caplog.clear()
    [index] = cache.glob("banks128-*/*.npz")
    index.write_bytes(b"nonsense")
    fill(folder, cache)
    assert f"{index}: damaged index ignored" in caplog.text
    assert f"{index}: damaged index removed" in caplog.text
    caplog.clear()
    fill(folder, cache)
    assert "found 6 arrays in 1 shards" in caplog.text
    assert "0 of 6 clips have to be added" in caplog.text

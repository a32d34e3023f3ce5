"""The audio cache: content-keyed, shared by several writers, rebuilt when damaged, clear when it cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmark.data import array_cache as cache_module
from benchmark.data.array_cache import ArrayCache
from benchmark.data.audio import RATE, BadAudioError, decode, remove_mean
from benchmark.data.audio_cache import DiskCache
from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import filter_bank
from benchmark.data.manifest import Clip
from benchmark.errors import BenchmarkError


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


def test_arrays_are_views_of_the_file(folder: Path, tmp_path: Path) -> None:
    fill(folder, tmp_path / "cache")
    audio = AudioStore(folder, tmp_path / "cache", 128)
    [clip, *_] = clips_of(folder)
    first, second = (audio.stored.wave(clip) for _ in range(2))
    assert first is not None
    assert second is not None
    assert np.shares_memory(first, second)
    assert first.base is not None


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


@pytest.mark.parametrize("damage", ["flip", "cut", "index", "gone"])
def test_a_damaged_cache_is_made_again(folder: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [shard] = cache.glob("banks128-*/*.f32")
    if damage == "flip":
        content = bytearray(shard.read_bytes())
        content[5000] ^= 0xFF
        shard.write_bytes(content)
    elif damage == "cut":
        os.truncate(shard, 1000)
    elif damage == "index":
        shard.with_suffix(".npz").write_bytes(b"PK nonsense")
    else:
        shard.unlink()
    audio = AudioStore(folder, cache, 128)
    if damage == "flip":
        with pytest.warns(UserWarning, match="a part of the audio cache is damaged"):
            check(folder, cache)
    else:
        assert len(audio.lacking(clips_of(folder), set())) == 6
    assert fill(folder, cache) == (6, [])
    check(folder, cache)
    assert fill(folder, cache) == (0, [])


def test_a_cache_can_be_sent_to_another_process_without_its_content(folder: Path, tmp_path: Path) -> None:
    fill(folder, tmp_path / "cache")
    audio = AudioStore(folder, tmp_path / "cache", 128)
    [clip, *_] = clips_of(folder)
    audio.bank(clip)
    content = pickle.dumps(audio)
    assert len(content) < 20_000
    assert np.array_equal(pickle.loads(content).bank(clip), audio.bank(clip))


def _fill_slowly(folder: Path, cache: Path, pause: float) -> None:
    original = cache_module.Filler.add

    def add(self: cache_module.Filler, key: str, values: np.ndarray) -> None:
        time.sleep(pause)
        original(self, key, values)

    cache_module.Filler.add = add  # type: ignore[method-assign]
    fill(folder, cache)


def _start(*arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_fill_slowly, args=arguments)
    process.start()
    return process


def wait_for(path: Path, pattern: str) -> None:
    for _ in range(1200):
        if list(path.glob(pattern)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} in {path}")


def test_two_processes_fill_one_cache(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    processes = [_start(folder, cache, 0.02) for _ in range(2)]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    check(folder, cache)
    assert fill(folder, cache) == (0, [])
    assert len(list(cache.glob("banks128-*/*.f32"))) == 1  # the second waited and found everything
    assert not list(cache.rglob("*.tmp"))


def test_two_machines_fill_one_cache_at_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks between them, both write, and nothing is lost."""
    cache = tmp_path / "cache"
    first = _start(folder, cache, 0.3)
    wait_for(cache, "banks128-*/.*.tmp")
    monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # locks that do not reach the other machine
    assert fill(folder, cache) == (6, [])
    first.join(120)
    assert first.exitcode == 0
    check(folder, cache)
    assert fill(folder, cache) == (0, [])


def test_a_killed_filler_leaves_nothing_that_counts(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = _start(folder, cache, 1.0)
    wait_for(cache, "banks128-*/.*.tmp")
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert list(cache.rglob("*.tmp"))
    assert fill(folder, cache) == (6, [])
    check(folder, cache)
    assert not list(cache.rglob("*.tmp"))


def test_what_was_complete_before_an_error_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 1)  # a shard a clip
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


def test_a_full_disk_is_one_clear_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: cache_module.Filler, key: str, values: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.Filler, "add", no_room)
    with pytest.raises(
        BenchmarkError, match=r"cannot be written \(No space left on device\); make room, .*--cache none"
    ):
        fill(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_no_room_is_told_before(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audio, clips = AudioStore(folder, tmp_path / "cache", 128), clips_of(folder)
    paths = {clip.path for clip in clips}
    estimate = audio.estimate(clips, paths)
    audio.fill(audio.lacking(clips, paths), paths, stop=True)
    size = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.f32"))
    assert estimate.bytes == pytest.approx(size, rel=0.05)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    with pytest.raises(BenchmarkError, match=r"does not fit on its disk: 6 clips, about .* \(0\.0 GB free\)"):
        AudioStore(folder, tmp_path / "other", 128).estimate(clips, paths)


def test_a_read_only_cache_is_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    original = Path.open

    def read_only(self: Path, mode: str = "r", *rest: object, **options: object) -> object:
        if "w" in mode and self.is_relative_to(cache):
            raise OSError(30, "Read-only file system")
        return original(self, mode, *rest, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", read_only)  # the tests may run as root, who may write everywhere
    check(folder, cache)
    write(folder / "7.wav", 7)
    with pytest.raises(BenchmarkError, match=r"cannot be written \(Read-only file system\)"):
        fill(folder, cache)


def test_a_cache_where_a_file_stands_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(BenchmarkError, match=r"cannot be written \(.*\); make room"):
        fill(folder, tmp_path / "cache")


def test_an_empty_cache_has_nothing(tmp_path: Path) -> None:
    empty = ArrayCache(tmp_path)
    assert "00" * 32 not in empty
    assert empty.get("00" * 32) is None
    assert empty.get(None) is None


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": null}', "nonsense"])
def test_damaged_digests_are_made_again(folder: Path, tmp_path: Path, content: str) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [digests] = (cache / "sources").iterdir()
    digests.write_text(content)
    assert fill(folder, cache) == (0, [])
    check(folder, cache)


@pytest.mark.parametrize("keep", [20, 300, -1])
def test_a_cut_or_changed_index_is_made_again(folder: Path, tmp_path: Path, keep: int) -> None:
    cache = tmp_path / "cache"
    fill(folder, cache)
    [index] = cache.glob("banks128-*/*.npz")
    content = bytearray(index.read_bytes())
    if keep < 0:
        content[len(content) // 2] ^= 0xFF
    index.write_bytes(content[:keep] if keep > 0 else content)
    fill(folder, cache)
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


def test_a_machine_leaves_the_drafts_of_one_with_a_longer_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = DiskCache(tmp_path / "cache", folder, 128).banks.folder
    place.mkdir(parents=True)
    theirs, ours = (place / f".{host}-{'0' * 32}.tmp" for host in ("node-1", "node"))
    theirs.touch()
    ours.touch()
    monkeypatch.setattr("socket.gethostname", lambda: "node")
    fill(folder, tmp_path / "cache")
    assert theirs.exists()
    assert not ours.exists()


def test_many_files_are_done_by_processes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arrays and the same bad files as with threads."""
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
    assert f"{index}: broken part of the audio cache ignored" in caplog.text
    assert f"{index}: broken part of the audio cache removed" in caplog.text
    caplog.clear()
    fill(folder, cache)
    assert "found 6 arrays in 1 shards" in caplog.text
    assert "0 of 6 clips have to be added" in caplog.text

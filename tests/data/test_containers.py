"""Files whose headers do not give their length are read to their end, or are bad; good files keep their samples."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.data.audio import BadAudioError, Wave, decode
from tests.data.audio_files import (
    FRAME_SAMPLES,
    RATE,
    ape,
    chunk,
    encoded,
    flac_announcing,
    id3v1,
    id3v2,
    lyrics3,
    mp3,
    mp3_frames,
    mp3_in_wav,
    ogg_pages,
    replaced,
    vbr_mp3,
    wav_with_size,
    with_chunks,
    without_xing,
)

Make = Callable[[], bytes]
PATH = Path("a.audio")


def same(wave: Wave, expected: Wave) -> bool:
    """Whether two waveforms are equal; the last bit of MP3 depends on where libmpg123's buffers lie in memory."""
    return wave.shape == expected.shape and np.allclose(wave, expected, rtol=0, atol=1e-7)


def libsndfile(content: bytes) -> Wave:
    """What libsndfile reads of a file whose header is right."""
    wave, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert rate == RATE
    return wave.mean(axis=1)


def wav(**options: int) -> bytes:
    return encoded("WAV", "PCM_16", **options)


def flac(seconds: float = 2, **options: int) -> bytes:
    return encoded("FLAC", "PCM_16", seconds, **options)


def vorbis(seconds: float = 4, **options: int) -> bytes:
    return encoded("OGG", "VORBIS", seconds, **options)


TRUE_LENGTH: dict[str, tuple[Make, Make]] = {  # a file with a header that is unfinished or wrong, and with a right one
    "wav-sizes-0": (lambda: wav_with_size(wav(), 0, 0), wav),
    "wav-data-0": (lambda: wav_with_size(wav(), 0), wav),
    "wav-sizes-of-an-empty-file": (lambda: wav_with_size(wav(), 0, 36), wav),
    "wav-sizes-of-a-pipe": (lambda: wav_with_size(wav(), 0xFFFFFFFF, 0xFFFFFFFF), wav),
    "wav-signed-sizes-of-a-pipe": (lambda: wav_with_size(wav(), 0x7FFFFFFF, 0x7FFFFFFF), wav),
    "wav-only-riff-0": (lambda: replaced(wav(), 4, bytes(4)), wav),
    "wav-float-data-0": (lambda: wav_with_size(encoded("WAV", "FLOAT"), 0, 0), lambda: encoded("WAV", "FLOAT")),
    "wav-24-bit-data-0": (lambda: wav_with_size(encoded("WAVEX", "PCM_24"), 0), lambda: encoded("WAVEX", "PCM_24")),
    "rifx-data-0": (
        lambda: wav_with_size(encoded("WAV", "PCM_16", endian="BIG"), 0),
        lambda: encoded("WAV", "PCM_16", endian="BIG"),
    ),
    "rf64-data-0": (lambda: replaced(encoded("RF64", "PCM_16"), 20, bytes(16)), lambda: encoded("RF64", "PCM_16")),
    "au-unknown": (lambda: replaced(encoded("AU", "PCM_16"), 8, b"\xff" * 4), lambda: encoded("AU", "PCM_16")),
    "au-0": (lambda: replaced(encoded("AU", "PCM_16"), 8, bytes(4)), lambda: encoded("AU", "PCM_16")),
    "caf-unknown": (lambda: caf_with_size(-1), lambda: encoded("CAF", "PCM_16")),
    "caf-0": (lambda: caf_with_size(0), lambda: encoded("CAF", "PCM_16")),
    "aiff-0": (lambda: aiff_with_size(0), lambda: encoded("AIFF", "PCM_16")),
    "aiff-8": (lambda: aiff_with_size(8), lambda: encoded("AIFF", "PCM_16")),
    "flac-unknown": (lambda: flac_announcing(flac(), 0), flac),
    "flac-unknown-with-tags": (lambda: id3v2(5000) + flac_announcing(flac(), 0) + ape(4000) + id3v1(), flac),
    "flac-too-few": (lambda: flac_announcing(flac(), RATE), flac),
    "flac-far-too-many": (lambda: flac_announcing(flac(), 2**36 - 1), flac),
    "flac-stereo-24-bit-unknown": (
        lambda: flac_announcing(encoded("FLAC", "PCM_24", 2, channels=2), 0),
        lambda: encoded("FLAC", "PCM_24", 2, channels=2),
    ),
}


def caf_with_size(size: int) -> bytes:
    content = encoded("CAF", "PCM_16")
    return replaced(content, content.index(b"data") + 4, struct.pack(">q", size))


def aiff_with_size(size: int) -> bytes:
    content = encoded("AIFF", "PCM_16")
    return replaced(content, content.index(b"SSND") + 4, struct.pack(">I", size))


@pytest.mark.parametrize("name", TRUE_LENGTH)
def test_a_header_with_a_wrong_length_does_not_matter(name: str) -> None:
    make, right = TRUE_LENGTH[name]
    assert np.array_equal(decode(PATH, make()), libsndfile(right()))


UNCHANGED: dict[str, Make] = {  # files that libsndfile reads completely, whatever else they hold
    "wav-chunks": lambda: with_chunks(wav(), before=chunk(b"LIST", b"x" * 999), after=chunk(b"id3 ", b"\xff" * 9000)),
    "wav-odd-chunk-without-padding": lambda: wav() + chunk(b"LIST", b"x" * 999)[:-1] + chunk(b"cue ", b"x" * 4000),
    "wav-large-chunk-cut-off": lambda: wav() + chunk(b"bext", b"x" * 9000)[:5000],
    "wav-bytes-after": lambda: wav() + b"\1\2\3" * 100,
    "wav-zeros-after": lambda: wav() + bytes(30_000),
    "wav-tags-after": lambda: wav() + ape(5000) + id3v1(),
    "wav-id3v2-after": lambda: wav() + id3v2(9000),
    "wav-8-bit": lambda: encoded("WAV", "PCM_U8"),
    "wav-24-bit": lambda: encoded("WAV", "PCM_24"),
    "wav-double": lambda: encoded("WAV", "DOUBLE"),
    "wav-alaw": lambda: encoded("WAV", "ALAW"),
    "wav-gsm": lambda: encoded("WAV", "GSM610"),
    "wav-6-channels": lambda: encoded("WAVEX", "PCM_16", channels=6),
    "wav-empty-data-and-more-chunks": lambda: with_chunks(wav(), before=chunk(b"fact", bytes(4))),
    "wav-of-mp3": lambda: mp3_in_wav(mp3()),
    "w64": lambda: encoded("W64", "PCM_16"),
    "caf": lambda: encoded("CAF", "PCM_16"),
    "caf-alac": lambda: encoded("CAF", "ALAC_16"),
    "aifc-little-endian": lambda: encoded("AIFF", "PCM_16", endian="LITTLE"),
    "8svx": lambda: encoded("SVX", "PCM_16"),
    "nist": lambda: encoded("NIST", "PCM_16"),
    "flac": flac,
    "flac-id3v1": lambda: flac() + id3v1(),
    "flac-picture-after": lambda: flac() + ape(70_000) + id3v1(),
    "flac-zeros-after": lambda: flac() + bytes(500),
    "flac-id3v2": lambda: id3v2(100_000) + flac(),
    "flac-6-channels": lambda: flac(channels=6),
    "flac-silence": lambda: flac_of(np.zeros(RATE)),
    "flac-one-sample": lambda: flac_of(np.full(1, 0.1)),
    "ogg": vorbis,
    "ogg-bytes-after": lambda: vorbis() + id3v1(),
    "ogg-flac": lambda: encoded("OGG", "FLAC") if "FLAC" in soundfile.available_subtypes("OGG") else vorbis(),
    "mp3": mp3,
    "mp3-vbr": vbr_mp3,
    "mp3-picture": lambda: id3v2(130_000) + mp3(),
    "mp3-id3v1": lambda: mp3() + id3v1(),
    "mp3-ape": lambda: mp3() + ape(30_000) + id3v1(),
    "mp3-lyrics": lambda: mp3() + ape(900) + lyrics3(4000) + id3v1(),
    "mp3-zeros-after": lambda: mp3() + bytes(5000),
}


def flac_of(wave: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


@pytest.mark.parametrize("name", UNCHANGED)
def test_a_good_file_keeps_its_samples(name: str) -> None:
    content = UNCHANGED[name]()
    equal = same if "mp3" in name else np.array_equal
    assert equal(decode(PATH, content), libsndfile(content))


SEVERAL: dict[str, tuple[Make, Make]] = {  # recordings one after the other, and between two of them
    "mp3": (mp3, lambda: b""),
    "mp3-tag-between": (mp3, lambda: id3v2(3000)),
    "mp3-tags-between": (mp3, lambda: id3v1() + id3v2(200)),
    "ogg": (vorbis, lambda: b""),
    "opus": (lambda: encoded("OGG", "OPUS", 4), lambda: b""),
    "flac": (flac, lambda: b""),
    "flac-tag-between": (flac, id3v1),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_recordings_that_follow_each_other_are_read_all(name: str) -> None:
    make, between = SEVERAL[name]
    expected = np.tile(libsndfile(make()), 3)
    assert same(decode(PATH, (make() + between()) * 2 + make()), expected)


def test_recordings_with_one_and_two_channels_follow_each_other() -> None:
    stereo = encoded("MP3", "MPEG_LAYER_III", 3, channels=2)
    assert same(decode(PATH, mp3() + stereo), np.concatenate([libsndfile(mp3()), libsndfile(stereo)]))


@pytest.mark.parametrize("form", [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")])
def test_recordings_of_several_rates_are_bad(form: tuple[str, str]) -> None:
    with pytest.raises(BadAudioError, match="holds several recordings of different sample rates"):
        decode(PATH, encoded(*form) + encoded(*form, rate=44_100))


@pytest.mark.parametrize("before", [b"", id3v2(9000)], ids=["", "tag"])
@pytest.mark.parametrize("after", [b"", id3v1(), ape(900) + id3v1()], ids=["", "id3v1", "ape"])
def test_an_mp3_without_a_xing_frame_is_read_to_its_end(before: bytes, after: bytes) -> None:
    """Of a variable bit rate, whose first frame tells nothing."""
    for whole in (mp3(9), mp3(), vbr_mp3()):
        content = without_xing(whole)
        wave = decode(PATH, before + content + after)
        assert len(wave) == FRAME_SAMPLES * (len(mp3_frames(whole)) - 1)
    first = libsndfile(content)  # as far as it reads
    assert same(wave[: len(first)], first)


def test_an_mp3_without_a_xing_frame_in_a_wav_file_is_read_to_its_end() -> None:
    frames = len(mp3_frames(mp3())) - 1
    assert len(decode(PATH, mp3_in_wav(without_xing(mp3())))) == frames * FRAME_SAMPLES


def test_frames_after_the_announced_ones_are_read() -> None:
    content = mp3() + without_xing(mp3(3))
    frames = len(mp3_frames(mp3(3))) - 1
    assert len(decode(PATH, content)) == 2 * RATE + frames * FRAME_SAMPLES


def test_no_mp3_is_padded_to_many_times_its_size() -> None:
    """libsndfile guesses from the first frame, which may be twenty times as large as all others."""
    large, small = (b"\xff\xf3" + bytes([index << 4 | 2 << 2, 0xC0]) for index in (14, 1))  # 160 and 8 kbit/s
    content = large.ljust(720, b"\0") + small.ljust(36, b"\0") * 400_000
    with pytest.raises(BadAudioError, match="frames are too many and too unlike"):
        decode(Path("x.mp3"), content)


def test_an_mp3_with_a_constant_bit_rate_keeps_its_samples() -> None:
    content = without_xing(mp3(5, mode="CONSTANT"))
    assert len({len(frame) for frame in mp3_frames(content)}) == 1
    assert same(decode(PATH, content), libsndfile(content))


BAD: dict[str, tuple[Make, str]] = {
    "mp3-cut-in-a-frame": (lambda: without_xing(mp3())[:-50], "cut off: its last frame is incomplete"),
    "mp3-cut-in-a-frame-early": (
        lambda: b"".join(mp3_frames(vbr_mp3())[1:200])[:-5],
        "cut off: its last frame is incomplete",
    ),
    "mp3-second-one-cut": (lambda: mp3() + mp3()[:4000], "cut off|cannot be decoded"),
    "mp3-and-ogg": (lambda: mp3() + vorbis(), "bytes follow its last frame"),
    "mp3-hole": (lambda: hole(without_xing(mp3(6))), "bytes between its frames are no audio"),
    "ogg-cut-at-a-page": (lambda: b"".join(ogg_pages(vorbis())[:-1]), "cut off: its last page is missing"),
    "ogg-cut-in-a-page": (lambda: vorbis()[:-50], "cut off: its last page is incomplete"),
    "ogg-half": (lambda: b"".join(ogg_pages(vorbis())[:4]), "cut off: its last page is missing"),
    "ogg-page-missing": (lambda: without_page(vorbis()), "pages in its middle are missing"),
    "ogg-and-mp3": (lambda: vorbis() + mp3(), "bytes follow its last page"),
    "ogg-page-damaged": (lambda: flipped(vorbis(), 9000), "checksum of page"),
    "ogg-second-one-cut": (lambda: vorbis() + b"".join(ogg_pages(vorbis())[:-1]), "its last page is missing"),
    "opus-cut-at-a-page": (lambda: b"".join(ogg_pages(encoded("OGG", "OPUS"))[:-1]), "its last page is missing"),
    "flac-unknown-cut": (lambda: flac_announcing(flac(), 0)[:30_000], "lost sync"),
    "flac-unknown-cut-shortly": (lambda: flac_announcing(flac(), 0)[:-7], "lost sync"),
    "flac-cut-at-a-frame": (lambda: flac_announcing(flac(), 3 * RATE), "cut off: 67 %"),
    "flac-second-one-cut": (lambda: flac() + flac()[:20_000], "cut off|lost sync"),
    "wav-holds-more": (lambda: wav_with_size(wav(), 32_000), "announces 32000 bytes of audio, and 32000 more follow"),
    "wav-noise-after": (lambda: wav() + wav()[44:], "announces 64000 bytes of audio, and 64000 more follow"),
    "wav-twice": (lambda: wav() + wav(), "announces 64000 bytes of audio, and 64044 more follow"),
    "wav-two-data-chunks": (lambda: with_chunks(wav(), after=wav()[36:]), "holds 2 chunks of audio"),
    "wav-no-samples": (
        lambda: with_chunks(wav_with_size(wav(), 0)[:44], after=chunk(b"LIST", b"x" * 999)),
        "no samples",
    ),
    "adpcm-holds-more": (lambda: wav_with_size(encoded("WAV", "IMA_ADPCM"), 4096), "announces 4096 bytes"),
    "au-twice": (lambda: encoded("AU", "PCM_16") * 2, "more follow"),
    "aiff-twice": (lambda: encoded("AIFF", "PCM_16") * 2, "more follow"),
    "rf64-twice": (lambda: encoded("RF64", "PCM_16") * 2, "more follow"),
    "caf-twice": (lambda: encoded("CAF", "PCM_16") * 2, "more follow"),
    "w64-twice": (lambda: encoded("W64", "PCM_16") * 2, "more follow"),
    "w64-cut": (lambda: half(encoded("W64", "PCM_16")), "cut off: 50 %"),
    "caf-cut": (lambda: half(encoded("CAF", "PCM_16")), "cut off: 4. %"),
    "nist-cut": (lambda: half(encoded("NIST", "PCM_16")), "cut off: 49 %"),
    "nist-twice": (lambda: encoded("NIST", "PCM_16") * 2, "more follow"),
    "8svx-cut": (lambda: half(encoded("SVX", "PCM_16")), "cut off: 50 %"),
}


def without_page(content: bytes) -> bytes:
    pages = ogg_pages(content)
    return b"".join(pages[:3] + pages[4:])


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def hole(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(900) + content[third + 900 :]


def flipped(content: bytes, place: int) -> bytes:
    return replaced(content, place, bytes([content[place] ^ 255]))


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read_completely_is_bad(name: str) -> None:
    make, reason = BAD[name]
    with pytest.raises(BadAudioError, match=reason):
        decode(PATH, make())

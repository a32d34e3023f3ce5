"""Submissions made to harm: whatever is in them, a check says in one line per fault what is wrong, and runs nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.api.submit import check_submission
from benchmark.errors import BenchmarkError
from benchmark.submissions import arrays, bundle, tree
from benchmark.submissions.arrays import parse_arrays
from benchmark.submissions.bundle import read_bundle
from benchmark.submissions.reading import MAX_JSON_BYTES, RefusedError, parse_json, read_bytes
from tests.conftest import Cli
from tests.submissions.conftest import Tampered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "more than 32 levels"),
        ('{"a":' * 50 + "1" + "}" * 50, "more than 32 levels"),
        ('{"a": 1, "a": 2}', "has a key twice"),
        ('{"a": NaN}', "has the number NaN"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too large"),
        ('{"a": 99999999999999999999}', "too large"),
        ('{"a": "\\u202egnp.exe"}', r"invisible character U\+202E"),
        ('{"a": ["fine", "\\u0000"]}', r"invisible character U\+0000"),
        ('{"a\\u200b": 1}', r"invisible character U\+200B"),
        ("{'a': 1}", "is not valid JSON"),
        ('{"a": "never ends', "is not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse_json(text.encode())


def test_json_in_no_text_encoding_is_refused() -> None:
    with pytest.raises(RefusedError, match="is not valid JSON"):
        parse_json(b'{"a": "\xff\xfe"}')


def test_brackets_within_texts_are_no_levels() -> None:
    assert parse_json(json.dumps({"a": '[{"' * 100, "b": [1.5, None]}).encode())["b"] == [1.5, None]


def test_quotes_without_an_end_take_no_quadratic_time() -> None:
    for text in (b'"\\"' * 300_000, b'\\"' * 300_000 + b"\\", b'"' * 300_001):
        with pytest.raises(RefusedError):
            parse_json(text)


def npz(**content: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    return buffer.getvalue()


def zipped(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    """Return an array file with any header."""
    text = header.encode() + b" " * 20 + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"


class Harmful:
    """Leaves a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("/tmp/unpickled-by-a-submission",)


def test_arrays_are_read_as_numpy_reads_them() -> None:
    written = {
        "epochs": np.array([2]),
        "clips_test": np.array(["a.wav", "ä.wav"]),
        "logits_test": np.asfortranarray(np.arange(6, dtype=np.float16).reshape(1, 2, 3)),
    }
    read = parse_arrays(npz(**written))
    assert all(np.array_equal(read[name], array) and read[name].dtype == array.dtype for name, array in written.items())
    assert set(read) == set(written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no predictions file, or damaged"),
        (b"not a zip file" * 10, "after its end"),
        (npz(epochs=np.array([1]))[:-30], "after its end"),
        (npz(epochs=np.array([1])) + b"RIFF....WAVE", "after its end"),
        (b"RIFF....WAVE" + npz(epochs=np.array([1])), "between its members"),
        (npz(audio=np.zeros(3)), r"a member 'audio\.npy', which is no array of predictions"),
        (zipped("../../evil.npy", b""), r"a member '\.\./\.\./evil\.npy'"),
        (zipped("epochs.npy", npy(HEADER % ("|O", "(1,)"), pickle.dumps(Harmful()))), "only numbers and short texts"),
        (zipped("epochs.npy", npy(HEADER % ("<f8", "(10000000, 10000000)"))), "does not fit"),
        (zipped("epochs.npy", npy(HEADER % ("<f8", "(-1,)"), b"\0" * 8)), "does not fit"),
        (zipped("epochs.npy", npy(HEADER % ("<U0", "(999999999,)"))), "only numbers and short texts"),
        (zipped("epochs.npy", npy(HEADER % ("<U99999", "(1,)"), b"\0" * 4 * 99999)), "only numbers and short texts"),
        (zipped("epochs.npy", npy(HEADER % ("<i8", "(1,)"), b"\0" * 16)), "does not fit"),
        (zipped("epochs.npy", npy("__import__('os').system('true')")), "no predictions file, or damaged"),
        (zipped("epochs.npy", npy("(" * 5000)), "no predictions file, or damaged"),
        (zipped("epochs.npy", b"hello"), "no predictions file, or damaged"),
        (zipped("epochs.npy", npy(HEADER % ("<i8", "(1,)"), b"\0" * 8), zipfile.ZIP_BZIP2), "packed in another way"),
    ],
)
def test_arrays_that_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse_arrays(content)
    assert not Path("/tmp/unpickled-by-a-submission").exists()


def test_an_archive_that_grows_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = npz(logits_test=np.zeros((1, 1000, 50)))  # 400 kB in less than 1 kB
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 100_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(RefusedError, match="grows to"):
        parse_arrays(content)


def test_a_member_that_grows_beyond_its_announced_size_is_refused() -> None:
    content = bytearray(npz(epochs=np.zeros(1000)))
    place = content.rindex(b"PK\1\2")  # the list of members says 200 bytes, its data is longer
    content[place + 24 : place + 28] = (200).to_bytes(4, "little")
    with pytest.raises(RefusedError, match=r"does not fit|damaged"):
        parse_arrays(bytes(content))


def test_overlapping_members_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("epochs.npy", "classes.npy"):
            archive.writestr(name, npy(HEADER % ("<i8", "(1,)"), b"\0" * 8))
        archive.filelist[1].header_offset = 0  # both are the same bytes
    with pytest.raises(RefusedError, match="between its members"):
        parse_arrays(buffer.getvalue())


def test_thousands_of_members_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(1000):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(RefusedError, match="more than 32 members"):
        parse_arrays(buffer.getvalue())


def test_an_encrypted_member_is_refused() -> None:
    content = bytearray(npz(epochs=np.array([1])))
    content[content.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(RefusedError, match="is encrypted"):
        parse_arrays(bytes(content))


def test_links_and_devices_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "hard").hardlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("link", "cannot be read"), ("hard", "another hard link"), ("pipe", "no ordinary file")):
        with pytest.raises(RefusedError, match=message):
            read_bytes(tmp_path / name, 100)
    (tmp_path / "large").write_bytes(b"0" * 101)
    with pytest.raises(RefusedError, match="is larger than"):
        read_bytes(tmp_path / "large", 100)


def reading_faults(it: Tampered) -> list[str]:
    return list(map(str, read_bundle(it.folder).failures))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trials/ast/esc50/linear/clip.wav", "is no file of a submission"),
        ("notes.txt", "is no file of a submission"),
        (".git/config", "is no file of a submission"),
        ("trials/.hidden/esc50/linear/f1-s0-000000000000.json", "is no file of a submission"),
        ("methods/m\u00edne.py", "is no file of a submission"),
        ("methods/\u202eyp.py", "is no file of a submission"),
        ("methods/a\nb.py", "is no file of a submission"),
        ("methods/aux.py", "has a name that not every system can store"),
        ("methods/con.py", "has a name that not every system can store"),
        ("a/b/c/d/e/f/g/h/i/j", "has folders that are too deep"),
    ],
)
def test_files_that_may_not_be_there(tampered: Tampered, name: str, message: str) -> None:
    path = tampered.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    [fault] = reading_faults(tampered)
    assert message in fault


def test_links_in_a_submission_are_refused(tampered: Tampered) -> None:
    path = tampered.record()
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/etc/passwd")
    (tampered.folder / "tuning").symlink_to("/etc")
    (tampered.folder / "methods").mkdir()
    (tampered.folder / "methods" / "mine.py").write_bytes(content)
    (tampered.folder.parent / "copy.py").hardlink_to(tampered.folder / "methods" / "mine.py")
    assert sum("is a link" in fault for fault in reading_faults(tampered)) == 2
    path.unlink()
    (tampered.folder / "tuning").unlink()
    assert reading_faults(tampered) == ["methods/mine.py: has another hard link; copy its content"]


def test_a_submission_that_is_a_link_is_refused(tampered: Tampered) -> None:
    (tampered.folder.parent / "second").symlink_to(tampered.folder)
    failures = check_submission(tampered.folder.parents[2]).failures
    assert len(failures) == 1
    assert "second: is no folder of a submission" in failures[0]


def test_what_is_beside_the_submitters_is_refused(tampered: Tampered) -> None:
    folder = tampered.folder.parents[1]
    (folder / "eve").symlink_to(tampered.folder.parent)
    (folder / "Ada").mkdir()
    (folder / "virus.exe").write_text("")
    failures = check_submission(folder.parent).failures
    assert failures == [
        f"submissions/{name}: is no folder of a submitter; remove it" for name in ("Ada", "eve", "virus.exe")
    ]
    with pytest.raises(BenchmarkError, match="is no submission; name the store"):
        check_submission(tampered.folder.parent)


def test_names_that_differ_in_case_only_are_refused(tampered: Tampered) -> None:
    (tampered.folder / "methods").mkdir()
    (tampered.folder / "methods" / "mine.py").write_text("")
    (tampered.folder / "methods" / "Mine.py").write_text("")
    [fault] = reading_faults(tampered)
    assert "in upper and lower case only" in fault


def test_absurd_numbers_of_files_are_refused(tampered: Tampered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_FILES", 5)
    assert reading_faults(tampered) == ["has more than 5 files; split it into several submissions"]


def test_absurd_sizes_are_refused(tampered: Tampered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_BYTES", 1000)
    [fault] = reading_faults(tampered)
    assert "at most 1,000 are taken" in fault
    monkeypatch.undo()
    with tampered.record().open("wb") as handle:  # sparse: it takes no room
        handle.truncate(MAX_JSON_BYTES + 1)
    [fault] = reading_faults(tampered)
    assert "is larger than" in fault


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "does not follow the schema"),
        ("{}", "does not follow the schema"),
        ('{"schema_version": 99}', "is of schema version 99, this program knows"),
        ("[" * 10_000, "more than 32 levels"),
    ],
)
def test_records_that_are_none(tampered: Tampered, content: str, message: str) -> None:
    tampered.record().write_text(content)
    [fault] = reading_faults(tampered)
    assert message in fault


def test_records_that_contradict_themselves_are_refused(tampered: Tampered) -> None:
    tampered.edit(tampered.record(fold=1), lambda record: record["selection"].update(epoch=0))
    tampered.edit(tampered.record(fold=2), lambda record: record["curves"][0]["seconds"].clear())
    tampered.edit(tampered.record(fold=3), lambda record: record["curves"][0].update(epoch=7))
    faults = reading_faults(tampered)
    assert len(faults) == 3
    assert "reports epoch 0" in faults[0]
    assert "epochs without the seconds of data, eval, train" in faults[1]
    assert "epochs are not numbered from 1" in faults[2]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"store_version": 1}', '{"store_version": 9}'])
def test_a_manifest_that_is_none_is_one_line(tampered: Tampered, content: str, cli: Cli) -> None:
    (tampered.folder / "submission.json").write_text(content)
    with pytest.raises(BenchmarkError):
        read_bundle(tampered.folder)
    done = cli("check-submission", tampered.folder.parents[2])
    assert done.returncode == 1
    assert "fault: submissions/ada/first/submission.json: " in done.stdout
    assert "Traceback" not in done.stderr


def test_control_characters_of_names_do_not_reach_the_terminal(tampered: Tampered, cli: Cli) -> None:
    (tampered.folder / "a\x1b[31mred").write_text("")
    done = cli("check-submission", tampered.folder)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "a\\x1b[31mred: is no file of a submission" in done.stdout

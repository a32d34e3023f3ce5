"""Tables of a user's own audio as people write them: read rightly, or refused; never misread without a word."""

from __future__ import annotations

import shlex
import unicodedata
from pathlib import Path

import pytest

from benchmark.data.datasets.folder import Folder
from benchmark.data.datasets.own_table import MISSING
from benchmark.data.manifest import Manifest
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from tests.conftest import Cli

LETTERS = "abcd"
ROWS = (("a.wav", "cat", 1), ("b.wav", "dog", 1), ("c.wav", "cat", 2), ("d.wav", "dog", 2))
EXPECTED = [("a.wav", (0,), 1), ("b.wav", (1,), 1), ("c.wav", (0,), 2), ("d.wav", (1,), 2)]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for letter in LETTERS:
        touch(tmp_path / "mine" / f"{letter}.wav")
    return tmp_path / "mine"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def read(folder: Path) -> Manifest:
    return get_dataset("folder:mine").manifest(folder.parent)


def listing(manifest: Manifest) -> list[tuple[str, tuple[int, ...], int | None]]:
    return [(clip.path, clip.labels, clip.fold) for clip in manifest.clips]


def rows(delimiter: str = ",", head: str = "path,label,fold", form: str = "{path},{label},{fold}") -> str:
    lines = [head, *(form.format(path=path, label=label, fold=fold) for path, label, fold in ROWS)]
    return "".join(f"{line}\n" for line in lines).replace(",", delimiter)


@pytest.mark.parametrize(
    "table",
    [
        rows(";").encode(),
        rows("\t").encode(),
        ("sep=;\n" + rows(";")).encode(),
        rows().encode("utf-16"),
        rows("\t").encode("utf-16-le").replace(b"p\0a\0t\0h\0", b"\xff\xfep\0a\0t\0h\0", 1),
        rows().replace("\n", "\r\n").encode(),
        rows(head="Path,Label,Fold").encode(),
        rows(head="filename,category,fold").encode(),
        rows(head=" File_Name , CLASS , folds ").encode(),
        rows(form="{path},{label},{fold}.0").encode(),
        rows(form="{path},{label},fold{fold}").encode(),
        rows(form="{path},{label},Fold {fold}").encode(),
        rows(head=",path,label,fold", form="0,{path},{label},{fold}").encode(),
        rows(head=",path,label,fold,", form="0,{path},{label},{fold},").encode(),
        rows(form="./{path},{label},{fold}").encode(),
        rows(form=".\\{path},{label},{fold}").encode(),
        rows(form="/home/ann/mine/{path},{label},{fold}").encode(),
        rows(form="C:\\data\\mine\\{path},{label},{fold}").encode(),
        (rows() + ",,\n\n,,\n").encode(),
        rows(form='"{path}","{label}","{fold}"').encode(),
        rows().replace(".wav", ".WAV").encode(),
    ],
)
def test_the_same_table_in_other_forms(mine: Path, table: bytes) -> None:
    (mine / "clips.csv").write_bytes(table)
    manifest = read(mine)
    assert listing(manifest) == EXPECTED
    assert manifest.info.classes == ("cat", "dog")
    (mine / "clips.csv").write_text(rows())
    assert read(mine).digest == manifest.digest


def test_names_of_windows_text_are_read_and_reported(mine: Path) -> None:
    (mine / "clips.csv").write_bytes(rows().replace("cat", "kätzchen").encode("cp1252"))
    manifest = read(mine)
    assert manifest.info.classes == ("dog", "kätzchen")
    assert "clips.csv is not UTF-8 and was read as Windows text (cp1252): check names with accents" in manifest.remarks


def test_folds_from_0_are_counted_from_1_and_reported(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace(",1\n", ",0\n").replace(",2\n", ",1\n"))
    manifest = read(mine)
    assert listing(manifest) == EXPECTED
    assert manifest.info.folds == (1, 2)
    assert manifest.remarks == ("folds are counted from 1: fold 0 of the table is fold 1",)


def test_other_column_names_are_reported(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows(head="filename,category,fold"))
    assert read(mine).remarks == ("columns of clips.csv: filename as path, category as label",)


def test_absolute_paths_of_this_machine(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows(form=f"{mine}/{{path}},{{label}},{{fold}}"))
    assert listing(read(mine)) == EXPECTED


def test_absolute_paths_into_two_folders_are_refused(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows(form="/home/{fold}/{path},{label},{fold}"))
    with pytest.raises(BenchmarkError, match=r"line 4: '/home/2/c\.wav' is in another folder than the absolute paths"):
        read(mine)


@pytest.mark.parametrize("path", ["/home/ann/z.wav", "C:\\z.wav", "../a.wav", "x\\..\\..\\a.wav"])
def test_paths_out_of_the_folder_are_refused(mine: Path, path: str) -> None:
    (mine / "clips.csv").write_text(rows().replace("a.wav", path))
    with pytest.raises(BenchmarkError, match=r"line 2: .* is outside the folder"):
        read(mine)


@pytest.mark.parametrize(("in_table", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_with_accents_are_found_in_either_unicode_form(tmp_path: Path, in_table: str, on_disk: str) -> None:
    place = tmp_path / "mine"
    for path, label, _ in ROWS:
        touch(place / unicodedata.normalize(on_disk, f"{label}é") / unicodedata.normalize(on_disk, f"ü{path}"))
    form = unicodedata.normalize(in_table, "{label}é/ü{path},{label},{fold}")
    (place / "clips.csv").write_text(rows(form=form))
    manifest = read(place)
    assert len(manifest.clips) == 4
    assert all((place / clip.path).is_file() for clip in manifest.clips)


def test_a_name_that_fits_two_files_is_not_guessed(mine: Path) -> None:
    touch(mine / "A.wav")
    (mine / "clips.csv").write_text(rows().replace("a.wav", "a.WAV"))
    manifest = read(mine)
    assert [clip.path for clip in manifest.absent] == ["a.WAV"]


def test_labels_in_two_unicode_forms_are_one_class(mine: Path) -> None:
    text = rows().replace("cat", unicodedata.normalize("NFC", "café"), 1)
    (mine / "clips.csv").write_text(text.replace("cat", unicodedata.normalize("NFD", "café")))
    assert len(read(mine).info.classes) == 2


def test_classes_that_differ_only_in_spelling_are_reported(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", "Cat", 1))
    assert read(mine).remarks == ("the classes 'Cat' and 'cat' differ only in spelling",)


@pytest.mark.parametrize("content", [rows().encode("utf-16-le"), b"PK\3\4\0\0"])
def test_a_table_that_is_no_text_says_so(mine: Path, content: bytes) -> None:
    (mine / "clips.csv").write_bytes(content)
    with pytest.raises(BenchmarkError, match="is no text, or UTF-16 without its mark; save it as UTF-8"):
        read(mine)


@pytest.mark.parametrize("other", ["cat\u200b", "CAT", "c-a-t", "ｃａｔ"])
def test_spellings_that_look_alike_are_reported(mine: Path, other: str) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", other, 1))
    assert bool(read(mine).remarks) == (other != "c-a-t")


def test_one_file_in_two_spellings_is_listed_twice(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows() + "A.WAV,cat,2\n")
    with pytest.raises(BenchmarkError, match=r"line 6: a\.wav is listed twice"):
        read(mine)


@pytest.mark.parametrize("spelling", ["Train", "TRAINING", "training", "trn"])
def test_splits_by_their_usual_names(mine: Path, spelling: str) -> None:
    table = f"path,label,split\na.wav,cat,{spelling}\nb.wav,dog,{spelling}\nc.wav,cat,Testing\nd.wav,dog,TEST\n"
    (mine / "clips.csv").write_text(table)
    manifest = read(mine)
    assert [clip.split for clip in manifest.clips] == ["train", "train", "test", "test"]


def test_a_split_that_corpora_use_differently_is_reported_or_refused(mine: Path) -> None:
    table = "path,label,split\na.wav,cat,train\nb.wav,dog,dev\nc.wav,cat,eval\nd.wav,dog,eval\n"
    (mine / "clips.csv").write_text(table)
    assert read(mine).remarks == ("'dev' is read as validation", "'eval' is read as test")
    (mine / "clips.csv").write_text(table.replace("d.wav,dog,eval", "d.wav,dog,test"))
    with pytest.raises(BenchmarkError, match="'eval' and 'test' are both test clips: rename one"):
        read(mine)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("c.wav,cat", 'c.wav,"cat,dog"', "label 'cat,dog' may be one name or several labels: write several as a|b"),
        ("c.wav,cat", "c.wav,cat;dog", "label 'cat;dog' may be one name or several labels"),
        ("c.wav,cat", "c.wav,cat; bird", "label 'cat; bird' may be"),
        ("c.wav,cat", "c.wav,cat/dog", "label 'cat/dog' may be"),
        ("c.wav,cat", "c.wav,dog + cat", r"label 'dog \+ cat' may be"),
        ("b.wav,dog", "b.wav,nan", "line 3: label 'nan' stands for a missing value"),
        ("b.wav,dog", "b.wav,NaN", "line 3: label 'NaN' stands for a missing value"),
        ("b.wav,dog", "b.wav,None", "line 3: label 'None' stands for a missing value"),
        ("b.wav,dog", "b.wav,<NA>", "line 3: label '<NA>' stands for a missing value"),
        ("b.wav,dog", "b.wav,null", r'line 3: label .* write `names: \["null"\]` into .*/mine/columns\.yaml$'),
        ("b.wav,dog", "b.wav,none", "line 3: label 'none' stands for a missing value"),
        ("b.wav,dog", "b.wav,#NA", "line 3: label '#NA' stands for a missing value"),
        ("b.wav,dog", "b.wav,-nan", "line 3: label '-nan' stands for a missing value"),
        ("b.wav,dog", "b.wav,1.#IND", "line 3: label '1.#IND' stands for a missing value"),
        ("b.wav,dog", "b.wav,dog|nan", "line 3: label 'nan' stands for a missing value"),
        ("b.wav,dog,1", "b.wav,dog,1,2", "line 3: has more values than columns"),
        ("b.wav,dog,1", "b.wav,dog,1.5", "line 3: fold '1.5' is not one of"),
        ("b.wav,dog,1", "b.wav,dog,nan", "line 3: fold 'nan' is not one of"),
        ("b.wav,dog,1", "b.wav,dog,-1", "line 3: fold '-1' is not one of"),
        (
            "path,label",
            "path,name",
            r"column 'label' is missing \(there are: path, name, fold\); name it with `python -m benchmark data ",
        ),
        (
            "path,label",
            "file,filename",
            r"the columns 'file' and 'filename' could both be the path: choose with `python -m benchmark data ",
        ),
        ("path,label,fold", "path,label,part", "needs a column 'fold' or a column 'split', but not both"),
    ],
)
def test_what_would_be_misread_is_refused(mine: Path, old: str, new: str, message: str) -> None:
    (mine / "clips.csv").write_text(rows().replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=message) as caught:
        read(mine)
    assert "\n" not in str(caught.value)


def test_a_class_may_have_the_name_of_a_missing_value(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", "None"))
    (mine / "columns.yaml").write_text('names: ["None"]\n')
    assert read(mine).info.classes == ("None", "dog")
    Folder("mine").choose_columns(mine.parent, "fold=fold", None)
    assert read(mine).info.classes == ("None", "dog")


def test_every_missing_value_of_pandas_is_known() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert {value.casefold() for value in STR_NA_VALUES if value} <= MISSING


def test_a_path_that_no_disk_can_have_is_an_absent_clip(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("c.wav", f"{'c' * 300}.wav"))
    assert [clip.path for clip in read(mine).absent] == [f"{'c' * 300}.wav"]


def test_the_suggested_command_decides(mine: Path, cli: Cli) -> None:
    (mine / "clips.csv").write_text(rows().replace("c.wav,cat", 'c.wav,"cat,dog"'))
    with pytest.raises(BenchmarkError) as caught:
        read(mine)
    suggested = str(caught.value).partition("`python -m benchmark ")[2].partition("`")[0]
    assert "no file can be decoded" in cli(*shlex.split(suggested)).stderr  # the audio is none, but the table is read
    assert "labels are separated by ','" in read(mine).remarks[0]


def test_names_with_a_slash_are_classes(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", "animal/cat").replace("dog", "animal/dog"))
    manifest = read(mine)
    assert (manifest.info.classes, manifest.remarks) == (("animal/cat", "animal/dog"), ())


def test_a_number_in_two_forms_is_reported(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", "1").replace("dog", "1.0"))
    assert read(mine).remarks == ("the classes '1' and '1.0' differ only in spelling",)


def test_a_name_with_a_comma_is_one_class_and_reported(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows().replace("cat", '"Boat, water vehicle"'))
    manifest = read(mine)
    assert manifest.info.classes == ("Boat, water vehicle", "dog")
    [remark] = manifest.remarks
    assert remark.endswith("with commas or semicolons are taken as one name each: 'Boat, water vehicle'")


def test_columns_and_separator_are_chosen_once_and_kept(mine: Path) -> None:
    (mine / "clips.csv").write_text(
        "file,filename,target,what,fold\n" + "".join(f"x,{p},{n},{w},{f}\n" for n, (p, w, f) in enumerate(ROWS))
    )
    dataset = Folder("mine")
    for text, message in (
        ("path=nothing,label=what", "column 'nothing' is missing"),
        ("path=", "expected KEY=COLUMN"),
        ("way=filename", "way"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            dataset.choose_columns(mine.parent, text, None)
        assert not (mine / "columns.yaml").exists()
    dataset.choose_columns(mine.parent, "path=filename,label=what", None)
    assert listing(read(mine)) == EXPECTED


@pytest.mark.parametrize(("separator", "classes"), [(",", ("cat", "dog")), ("|", ("cat", "cat,dog", "dog"))])
def test_the_separator_decides_what_a_comma_means(mine: Path, separator: str, classes: tuple[str, ...]) -> None:
    (mine / "clips.csv").write_text(rows().replace("c.wav,cat", 'c.wav,"cat,dog"'))
    Folder("mine").choose_columns(mine.parent, "", separator)
    manifest = read(mine)
    assert manifest.info.classes == classes
    assert f"labels are separated by '{separator}', as columns.yaml says" in manifest.remarks


def test_both_fold_and_split_until_one_is_chosen(mine: Path) -> None:
    head, form = "path,label,fold,split", "{path},{label},{fold},train"
    (mine / "clips.csv").write_text(rows(head=head, form=form))
    with pytest.raises(BenchmarkError, match="but not both"):
        read(mine)
    Folder("mine").choose_columns(mine.parent, "fold=fold", None)
    assert listing(read(mine)) == EXPECTED


def test_a_listed_clip_without_a_file_is_kept_apart(mine: Path) -> None:
    (mine / "clips.csv").write_text(rows() + "e.wav,dog,1\n")
    manifest = read(mine)
    assert (listing(manifest), manifest.kind, manifest.info.clips) == (EXPECTED, "partial", 5)
    assert [clip.path for clip in manifest.absent] == ["e.wav"]
    with pytest.raises(BenchmarkError, match=r"e\.wav is not there: get them, or use the other 4 clips with --on-bad"):
        manifest.require_all()
    for letter in LETTERS:
        (mine / f"{letter}.wav").unlink()
    with pytest.raises(BenchmarkError, match=r"has no clips of mine: 5 clips listed, but not one file is there"):
        read(mine)

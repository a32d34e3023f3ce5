"""Checkpoints of the hub, from a server on this machine that speaks its protocol, and from a cache folder."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from rich.console import Console

from benchmark.api.checkpoint import fetch_checkpoints, verify_checkpoint
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.models import hub
from benchmark.models.fit import fit
from benchmark.models.outside import resolve_backbones
from benchmark.models.weights import digest, locate
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import BackboneChoice, Shape
from benchmark.spec.request import TrialRequest
from tests.checkpoints import hugging_face, official_ast
from tests.conftest import Cli, json_of
from tests.hub_server import HubServer, Repository, serving

REPO = "MIT/tiny-ast"
QUIET = Console(quiet=True)
COMMITS = {"main": "a" * 40, "old": "b" * 40}
SHAPE = Shape(width=192, depth=1, heads=3)


def weights(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    tensors = hugging_face(official_ast(SHAPE, classes=4))
    torch.save({name: tensor + seed for name, tensor in tensors.items()}, buffer)
    return buffer.getvalue()


CONFIG = json.dumps({"model_type": "audio-spectrogram-transformer", "num_attention_heads": 3}).encode()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Yield a hub with one model, in two commits."""
    files = {
        COMMITS["main"]: {"README.md": b"hello", "config.json": CONFIG, "pytorch_model.bin": weights()},
        COMMITS["old"]: {"config.json": CONFIG, "pytorch_model.bin": weights(1)},
    }
    server = HubServer({REPO: Repository(files, dict(COMMITS))})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with serving(server, monkeypatch):
        yield server


def located(text: str, folder: Path) -> BackboneChoice:
    [choice] = resolve_backbones(text, "test")
    found, path = locate(choice, folder)
    assert path is not None
    return fit(found, path)


def test_a_repository_is_downloaded_once_and_recorded_by_commit_and_digest(served: HubServer, tmp_path: Path) -> None:
    first = located(f"ast[weights=hf:{REPO}]", tmp_path)
    assert first.weights == f"hf:{REPO}"
    assert first.pretrained is not None
    assert first.pretrained.commit == COMMITS["main"]
    assert first.shape == SHAPE
    folder = tmp_path / "hub" / "models--MIT--tiny-ast" / "snapshots" / COMMITS["main"]
    assert first.sha256 == digest(folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", "pytorch_model.bin"}  # not the README
    sent = [path for command, path, _ in served.requests if command == "GET" and "resolve" in path]
    assert len(sent) == 2
    again = located(f"ast[weights=hf:{REPO}@{COMMITS['main']}]", tmp_path)
    assert again == first  # one trial, however the revision is written
    before = len(served.requests)
    hub.fetch(f"hf:{REPO}@{COMMITS['main']}", QUIET)
    assert len(served.requests) == before  # a commit that is in the cache is not asked for
    old = located(f"ast[weights=hf:{REPO}@old]", tmp_path)
    assert old.pretrained is not None
    assert (old.pretrained.commit, old.sha256 == first.sha256) == (COMMITS["old"], False)


def test_the_commit_is_no_part_of_the_id_and_the_digest_is(
    served: HubServer, make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    base = make_request()

    def request(revision: str) -> TrialRequest:
        backbone = located(f"ast[weights=hf:{REPO}@{revision}]", tmp_path)
        return TrialRequest.model_validate({**base.model_dump(), "backbone": backbone.model_dump()})

    one, other = request("main"), request("old")
    served.repos[REPO].commits["main"] = "c" * 40  # a commit that changes another file
    served.repos[REPO].files["c" * 40] = {**served.repos[REPO].files[COMMITS["main"]], "README.md": b"more"}
    moved = request("main")
    assert moved.backbone.pretrained is not None
    assert moved.backbone.pretrained.commit == "c" * 40
    assert moved.id == one.id != other.id
    assert one.marks[0] == f"weights of hf:{REPO}"


def test_an_interrupted_download_is_continued(served: HubServer, tmp_path: Path) -> None:
    body = served.repos[REPO].files[COMMITS["main"]]["pytorch_model.bin"]
    served.cut_at = 2_000_000  # a file is written by the MiB
    with pytest.raises(MissingInputError, match="the download was interrupted, the same call continues it"):
        hub.fetch(f"hf:{REPO}", QUIET)
    [partial] = (tmp_path / "hub" / "models--MIT--tiny-ast" / "blobs").glob("*.part")
    assert partial.stat().st_size == 2**20
    served.cut_at = None
    served.requests.clear()
    found = hub.fetch(f"hf:{REPO}", QUIET)
    assert (found.folder / "pytorch_model.bin").read_bytes() == body
    assert ("GET", f"/{REPO}/resolve/{COMMITS['main']}/pytorch_model.bin", f"bytes={2**20}-") in served.requests
    assert not list(partial.parent.glob("*.part*"))


def test_a_damaged_download_is_refused(served: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = tmp_path / "hub" / "models--MIT--tiny-ast" / "blobs"
    blobs.mkdir(parents=True)
    body = served.repos[REPO].files[COMMITS["main"]]["pytorch_model.bin"]
    (blobs / f"{hashlib.sha256(body).hexdigest()}.part").write_bytes(bytes(1000))
    with pytest.raises(BenchmarkError, match=r"pytorch_model.bin: the download is damaged .* call the same again"):
        hub.fetch(f"hf:{REPO}", QUIET)
    assert (hub.fetch(f"hf:{REPO}", QUIET).folder / "pytorch_model.bin").read_bytes() == body


def test_one_commit_is_the_same_files_whatever_another_program_left(
    served: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit, cache = COMMITS["main"], tmp_path / "hub"
    tensors = safetensors.torch.save(hugging_face(official_ast(SHAPE, classes=4)))
    served.repos[REPO].files[commit]["model.safetensors"] = tensors
    text = f"hf:{REPO}@{commit}"
    whole = digest(hub.fetch(text, QUIET).folder)
    for left in (("pytorch_model.bin", "config.json"), ("model.safetensors",), ("pytorch_model.bin",)):
        for name in ("hub", "home"):
            shutil.rmtree(tmp_path / name)
        folder = cache / "models--MIT--tiny-ast" / "snapshots" / commit
        folder.mkdir(parents=True)
        for name in left:
            (folder / name).write_bytes(served.repos[REPO].files[commit][name])
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        if "config.json" in left:
            hub.fetch(text)
            assert f"using commit {commit} from {cache}, though it may lack files" in capsys.readouterr().err
        else:
            with pytest.raises(MissingInputError, match="does not have it"):
                hub.fetch(text, QUIET)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        assert digest(hub.fetch(text, QUIET).folder) == whole
    (folder / "config.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingInputError, match="does not have it"):
        hub.fetch(text, QUIET)


def test_without_network_the_cache_is_used_and_said(
    served: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hub.fetch(f"hf:{REPO}", QUIET)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch(f"hf:{REPO}") == first
    said = capsys.readouterr().err
    assert f"note: hf:{REPO}: the hub is not asked because HF_HUB_OFFLINE is set; using commit aaaa" in said
    with pytest.raises(MissingInputError, match=r"HF_HUB_OFFLINE is set; .*hub does not have it"):
        hub.fetch(f"hf:{REPO}@old", QUIET)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub.fetch(f"hf:{REPO}", QUIET) == first
    with pytest.raises(MissingInputError, match=r"http://127.0.0.1:9 cannot be reached \(.*\); .*hub does not have it"):
        hub.fetch("hf:MIT/other", QUIET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:MIT/nosuch", "has no repository MIT/nosuch, or it is private"),
        ("hf:a--b/c", "hf:a--b/c: Cannot have -- or .. in repo_id"),
        ("hf:é/b", "hf:é/b: Repo id must"),
        (f"hf:{REPO}@nosuch", "the repository has no revision 'nosuch'"),
        (f"hf:{REPO}@empty", "holds neither model.safetensors nor pytorch_model.bin"),
        (f"hf:{REPO}@index", "lacks model-00001-of-00002.safetensors, which its index names"),
        (f"hf:{REPO}@broken", "model.safetensors.index.json is not an index of a sharded checkpoint"),
    ],
)
def test_a_wrong_id_is_one_line(served: HubServer, text: str, expected: str) -> None:
    served.repos[REPO].commits |= {"empty": "d" * 40, "index": "e" * 40, "broken": "f" * 40}
    index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
    served.repos[REPO].files |= {"d" * 40: {"README.md": b"none"}, "e" * 40: {"model.safetensors.index.json": index}}
    served.repos[REPO].files["f" * 40] = {"model.safetensors.index.json": b"[1, 2]"}
    with pytest.raises(BenchmarkError) as caught:
        hub.fetch(text, QUIET)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["hf:MIT", "hf:MIT/a@", "hf:MIT/a b"])
def test_a_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION"):
        resolve_backbones(f"ast[weights={text}]", "--backbone")


def test_several_revisions_are_fetched_one_after_the_other(served: HubServer, tmp_path: Path) -> None:
    main, old = fetch_checkpoints([f"ast[weights=hf:{REPO}@main,hf:{REPO}@old]"], tmp_path, console=QUIET)
    assert (main.backbone, main.path.name) == (f"ast[weights=hf:{REPO}@main]", COMMITS["main"])
    assert (old.backbone, old.path.name) == (f"ast[weights=hf:{REPO}@old]", COMMITS["old"])
    with pytest.raises(BenchmarkError, match=r"names 2 backbones; name one"):
        verify_checkpoint("ssast[size=tiny,small]", tmp_path)


def test_a_run_says_that_a_revision_has_moved(served: HubServer, cli: Cli, tmp_path: Path) -> None:
    run = [
        "run", "--grid", "smoke", "--method", "linear", "--no-report", "--results", tmp_path / "out", "--set",
        "recipe.epochs=1", "--backbone", f"ast[weights=hf:{REPO}]",
    ]  # fmt: skip
    done = cli(*run)
    assert done.returncode == 0, done.stdout + done.stderr
    served.repos[REPO].commits["main"] = COMMITS["old"]
    planned = cli("plan", *run[1:5], *run[6:])
    assert "its weights have changed: sha256" in planned.stdout
    assert "(commit aaaaaaaaaaaa) in earlier records" in planned.stdout
    [record] = ResultStore(tmp_path / "out").records()
    assert record.request.backbone.pretrained is not None
    assert record.request.backbone.pretrained.commit == COMMITS["main"]
    done = cli("checkpoint", "fetch", f"ast[weights=hf:{REPO}@old]", "--json")
    [fetched] = json_of(done, "checkpoint fetch")
    assert (fetched["backbone"], Path(fetched["path"]).name) == (f"ast[weights=hf:{REPO}@old]", COMMITS["old"])
    wrong = cli("plan", "--grid", "smoke", "--backbone", "ast[weights=hf:MIT/nosuch]", "--results", tmp_path / "out")
    assert (wrong.returncode, "has no repository MIT/nosuch" in wrong.stderr) == (2, True)

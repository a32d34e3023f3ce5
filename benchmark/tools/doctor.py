"""Check the installation; each failed check says what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement

from benchmark import mps, nvml
from benchmark.commands import command, install
from benchmark.data.dataset import Dataset
from benchmark.data.parallel import usable_cores
from benchmark.data.registry import available, get_dataset
from benchmark.errors import BenchmarkError, MissingInputError, first_line
from benchmark.files import existing_folder
from benchmark.models.weights import locate
from benchmark.planning.node import host_memory
from benchmark.spec.backbone import load_backbone, resolve_backbones
from benchmark.temporary import SHARED_MEMORY, ray_folder
from benchmark.units import data_size, plural

DISTRIBUTION = "aat-benchmark"
INSTALL = install()
Verdict = Literal["ok", "warning", "fault"]
SPARE_BYTES = 5e9
SHM_BYTES = 1e9
MEMORY_BYTES = 8e9


@dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
        check: name of the check.
        verdict: `ok`, `warning` or `fault`.
        text: what was found.
        fix: what to do; empty if everything is fine.
    """

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


def examine(data_root: Path, checkpoints: Path, results: Path, cache: Path | None) -> Iterator[Finding]:
    """Yield the results of all checks that do not need Ray.

    Args:
        data_root: where the datasets are.
        checkpoints: folder of pre-trained backbones.
        results: results folder.
        cache: folder of the audio cache; None for no cache.
    """
    yield from _packages()
    yield from _libraries()
    yield examine_gpu()
    yield from (_space(name, path) for name, path in (("results", results), ("cache", cache)) if path)
    yield _temporary()
    yield _shared_memory()
    yield _memory()
    yield _loopback()
    yield from _datasets(data_root)
    yield from _checkpoints(checkpoints)


def _packages() -> Iterator[Finding]:
    """Compare installed versions with the requirements of the distribution."""
    yield Finding("python", "ok", f"{platform.python_version()} on {sys.platform} {platform.machine()}")
    try:
        wanted = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages", "fault", f"{DISTRIBUTION} itself is not installed, so its requirements are unknown", INSTALL
        )
        return
    wrong = []
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version}, required is {requirement.specifier}")
    if wrong:
        yield Finding("packages", "fault", "; ".join(wrong), INSTALL)
    else:
        yield Finding("packages", "ok", "all required versions are installed")


def _libraries() -> Iterator[Finding]:
    """Test compiled parts, which fail if torch and torchaudio are of different builds."""

    def fbank() -> None:
        import torch
        from torchaudio.compliance import kaldi

        kaldi.fbank(torch.zeros(1, 16000), sample_frequency=16000)

    def files() -> None:
        importlib.import_module("soundfile").available_formats()

    checks: dict[str, Callable[[], None]] = {"torchaudio": fbank, "soundfile": files}
    for name, check in checks.items():
        try:
            check()
        except Exception as error:
            line = first_line(error)
            fix = f"install torch and torchaudio of the same build: {INSTALL}"
            yield Finding(name, "fault", line, fix)
        else:
            yield Finding(name, "ok", importlib.metadata.version(name))


def examine_gpu() -> Finding:
    """Test that torch can use every GPU that trials may use."""
    import torch

    driver, cards, usable = nvml.driver(), nvml.cards(), nvml.gpus()
    if driver is None:
        return Finding("gpu", "ok", "none; trials run on the CPU")
    if cards and not usable:
        return _no_usable_gpu(len(cards))
    if not torch.cuda.is_available():
        text = f"{len(usable)} with driver {driver}, but torch (built for CUDA {torch.version.cuda}) cannot use it"
        return Finding("gpu", "fault", text, "update the driver, or install a torch version that was built for it")
    if (seen := torch.cuda.device_count()) > len(usable) and not any(card.mig for card in cards):
        text = f"torch sees {plural(seen, 'GPU')}, but the driver's library lists {len(usable)}, which trials use"
        return Finding("gpu", "warning", text, "`nvidia-smi` shows which GPU does not answer; reset it or restart")
    try:
        for index in range(torch.cuda.device_count()):
            (torch.ones(8, 8, device=f"cuda:{index}") @ torch.ones(8, 8, device=f"cuda:{index}")).sum().item()
    except RuntimeError as error:
        return Finding("gpu", "fault", first_line(error), "free the GPU; nvidia-smi shows its processes")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    service = "running" if mps.is_running() else "not running" if mps.is_installed() else "not installed"
    return Finding("gpu", "ok", f"{', '.join(names)}; driver {driver}, CUDA {torch.version.cuda}, MPS {service}")


def _no_usable_gpu(cards: int) -> Finding:
    """Return why none of the cards can be used."""
    visible, number = os.environ.get(nvml.VISIBLE), plural(cards, "GPU")
    if visible is None:
        text = f"all of {number} are in MIG mode without an instance; trials run on the CPU"
        return Finding("gpu", "warning", text, "create an instance (nvidia-smi mig -cgi ... -C), or switch MIG off")
    if visible in {"", "-1", "NoDevFiles"}:  # the usual ways to say that none is wanted
        return Finding("gpu", "ok", f"{nvml.VISIBLE}={visible!r} hides all of {number}; trials run on the CPU")
    text = f"{nvml.VISIBLE}={visible!r} names none of {number}; trials run on the CPU"
    return Finding("gpu", "warning", text, "`nvidia-smi -L` shows indices and UUIDs; or unset the variable")


def _space(name: str, path: Path) -> Finding:
    """Test that a folder can be written and its disk has free space."""
    existing = existing_folder(path)
    if not os.access(existing, os.W_OK):
        return Finding(
            name, "fault", f"{path}: {existing} cannot be written", "use another folder, or change permissions"
        )
    free = shutil.disk_usage(existing).free
    text = f"{path}: {data_size(free)} free"
    if free < SPARE_BYTES:
        return Finding(name, "warning", text, "`plan` shows what a grid needs; `clean` removes unneeded files")
    return Finding(name, "ok", text)


def _temporary() -> Finding:
    """Test that there is a folder for Ray's sockets and logs."""
    try:
        folder = ray_folder()
    except BenchmarkError as error:
        return Finding("temporary", "fault", str(error), "make room there, or set TMPDIR to another folder")
    return Finding("temporary", "ok", f"{folder}: {data_size(shutil.disk_usage(existing_folder(folder)).free)} free")


def _shared_memory() -> Finding:
    """Test the size of /dev/shm, which data workers use."""
    size = shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0
    if size < SHM_BYTES:
        fix = "in a container: --shm-size=2g; without it data is loaded more slowly"
        return Finding("/dev/shm", "warning", data_size(size), fix)
    return Finding("/dev/shm", "ok", data_size(size))


def _memory() -> Finding:
    """Test the available memory, of the container if there is one."""
    total = host_memory()
    free = min(psutil.virtual_memory().available, total)
    text = f"{data_size(free)} available of {data_size(total)}, {usable_cores()} cores"
    if free < MEMORY_BYTES:
        return Finding("memory", "warning", text, "run fewer trials at once (--cpus); `plan` shows what one needs")
    return Finding("memory", "ok", text)


def _loopback() -> Finding:
    """Test the network interface that Ray uses."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError as error:
        return Finding("loopback", "fault", str(error), "Ray needs the interface 127.0.0.1: ip link set lo up")
    return Finding("loopback", "ok", "127.0.0.1 answers")


def _datasets(data_root: Path) -> Iterator[Finding]:
    """Check the layout of the datasets under the data root, and that no clip is in two folds or splits."""
    names = available(data_root)
    if not names:
        fix = f"`{command('data', 'list', '--data-root', data_root)}` shows how to get each dataset"
        yield Finding("data", "warning", f"no dataset under {data_root}", fix)
    for name in names:
        verify = f"`{command('data', 'verify', name, '--data-root', data_root)}`"
        dataset = get_dataset(name)
        try:
            manifest = dataset.manifest(data_root)
            manifest.require_all()
            units: dict[str, set[object]] = {}
            for clip in manifest.clips:
                units.setdefault(clip.path, set()).add((clip.fold, clip.split))
            twice = sum(len(names_of_clip) > 1 for names_of_clip in units.values())
        except BenchmarkError as error:
            yield Finding(name, "fault", str(error), _get_again(dataset, data_root))
            continue
        text = f"{manifest.kind}, {len(manifest.clips)} of {manifest.info.clips} clips in {manifest.folder}"
        if twice:
            yield Finding(name, "fault", f"{text}; {twice} clips are in two folds or splits", verify)
        else:
            verdict: Verdict = "ok" if manifest.kind == "complete" else "warning"
            yield Finding(name, verdict, text, f"{verify} compares digests and decodes every file")


def _get_again(dataset: Dataset, data_root: Path) -> str:
    """Return how to replace a copy; `data prepare` never replaces one."""
    archive, info = dataset.info.archive, dataset.info
    prepare = f"`{command('data', 'prepare', info.name, '--data-root', data_root)}`"
    how = prepare if archive and archive.urls else info.by_hand
    return f"or remove {dataset.locate(data_root)} and get it again: {how}"


def _checkpoints(folder: Path) -> Iterator[Finding]:
    """Read the official checkpoints, and compare them with their published digests."""
    from benchmark.models.fit import fit  # imports torch

    for name in ("ast", "ssast"):
        fetch = f"`{command('checkpoint', 'fetch', name, '--checkpoints', folder)}`"
        try:
            choice, path = locate(resolve_backbones(name, "doctor")[0], folder)
            assert path is not None
            fit(choice, path)
        except MissingInputError as error:
            yield Finding(name, "warning", str(error).partition(";")[0], fetch)
            continue
        except BenchmarkError as error:
            yield Finding(name, "fault", str(error), f"remove it, then {fetch}")
            continue
        published = load_backbone(name).checkpoints[choice.size].sha256
        if published and choice.sha256 != published:
            yield Finding(name, "fault", f"{path}: sha256 is not the published one", f"remove it, then {fetch}")
        else:
            compared = "as published" if published else "(none is published to compare with)"
            yield Finding(name, "ok", f"{path}: sha256 {compared}", "`checkpoint verify` tests a forward pass")

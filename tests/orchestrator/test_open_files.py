"""The limit of open files is raised as far as it may be; one that is too low is an error before Ray starts."""

from __future__ import annotations

import resource

import pytest

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.open_files import allow_open_files

NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "cores", "raised"),
    [
        ((256, 4096), 2, 4096),
        ((256, 10**6), 2, 4096),
        ((256, NONE), 2, 4096),
        ((1024, 10**6), 2000, 8056),
        ((10**6, 10**6), 64, None),
        ((NONE, NONE), 64, None),
        ((256, 256), 50, None),
        ((64, 64), 2, None),
        ((64, 256), 50, 256),
    ],
)
def test_the_limit_is_raised(
    limits: tuple[int, int], cores: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
    allow_open_files(cores)
    assert asked == ([] if raised is None else [(raised, limits[1])])


@pytest.mark.parametrize(
    ("limits", "cores", "message"),
    [
        ((256, 256), 64, r"may open 256 files, but Ray needs about 312 with 64 cores: .*ulimit -n 4096.*--cpus 50\)"),
        ((48, 48), 2, r"may open 48 files, but Ray needs about 64 with 2 cores: raise the limit \(ulimit -n 4096\)$"),
    ],
)
def test_a_limit_that_is_too_low_is_one_line(
    limits: tuple[int, int], cores: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    with pytest.raises(BenchmarkError, match=message):
        allow_open_files(cores)

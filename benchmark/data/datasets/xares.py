"""Tasks of X-ARES: `xares:TASK` is a public clip classification task, unpacked from its tars (webdataset)."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmark.data.manifest import Split
from benchmark.data.unpacked import UnpackedDataset
from benchmark.errors import BenchmarkError, closest
from benchmark.spec.yaml import Spec, read_yaml, validate

TASKS = Path(__file__).with_name("xares_tasks.yaml")
RECORD = "https://zenodo.org/records/{number}"
ARCHIVE = "https://zenodo.org/api/records/{number}/files-archive"


class Task(Spec):
    """One task, as X-ARES declares it.

    Attributes:
        title: as in X-ARES' tables.
        label: key of the label in a clip's JSON.
        classes: number of classes.
        zenodo: number of the record that holds the tars.
        tars: file names by split, or one text with `{fold}`; with `*` where there are several.
        folds: first and last fold; None where there are splits.
        separator: between several labels of a clip; None if a clip has one.
        crop: seconds of the parts into which X-ARES cuts clips; None if it takes them whole.
    """

    title: str
    label: str
    classes: int
    zenodo: int
    tars: dict[Split, str] | str
    folds: tuple[int, int] | None = None
    separator: str | None = None
    crop: float | None = None

    @property
    def parts(self) -> list[tuple[str, Split | None, int | None]]:
        """Return file names, split and fold (from 1) of every part."""
        if isinstance(self.tars, dict):
            return [(name, split, None) for split, name in self.tars.items()]
        first, last = self.folds or (0, 0)
        return [(self.tars.format(fold=fold), None, fold - first + 1) for fold in range(first, last + 1)]


class Tasks(Spec):
    """The content of the table.

    Attributes:
        tasks: by name.
        refused: why other tasks are refused, by name.
    """

    tasks: dict[str, Task]
    refused: dict[str, str]


class Xares(UnpackedDataset):
    """Read `xares/TASK`, which `data prepare` unpacks from X-ARES' tars.

    Args:
        task: name of a task.

    Raises:
        BenchmarkError: an unknown task, or one that does not classify clips.
    """

    PREFIX = "xares:"

    def __init__(self, task: str) -> None:
        known = tasks()
        if reason := known.refused.get(task):
            raise BenchmarkError(
                f"{self.PREFIX}{task}: {reason}; only public tasks with labels for whole clips can be run"
            )
        if task not in known.tasks:
            raise BenchmarkError(f"{self.PREFIX}{task}: no task of X-ARES{closest(task, known.tasks)}")
        self.task = known.tasks[task]
        notes = []
        if self.task.folds:
            notes.append("X-ARES chooses the epoch of each fold on its test fold; here the protocol's rule decides")
        if self.task.folds and self.task.folds[0] == 0:
            notes.append("folds are counted from 1: fold 0 of X-ARES is fold 1")
        if self.task.crop:
            notes.append(
                f"X-ARES cuts clips into parts of {self.task.crop:g} s, each with the label; "
                "here the recipe's frames count"
            )
        super().__init__(
            f"{self.PREFIX}{task}",
            label=f"X-ARES {self.task.title}",
            description="a task of X-ARES",
            place=f"xares/{task}",
            homepage=RECORD.format(number=self.task.zenodo),
            notes=notes,
        )

    @property
    def where_from(self) -> str:
        """Return what is unpacked; see `UnpackedDataset.where_from`."""
        return f"its tars ({self.info.homepage})"

    @property
    def archive_address(self) -> str:
        """Return the address of all tars of the task in one zip file."""
        return ARCHIVE.format(number=self.task.zenodo)


@functools.cache
def tasks() -> Tasks:
    """Return the tasks that can be run, and why others are refused."""
    return validate(Tasks, read_yaml(TASKS), str(TASKS))

"""Folders in which Weights & Biases keeps runs: which are nowhere else, which are being written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .findings import Kept
from .kinds import WANDB_LINK, WANDB_RUN, Kind

_FILE = re.compile(rf"(?P<run>(?:(?s:.+)/)?{WANDB_RUN})/(?s:.+)", re.ASCII)
_LINK = re.compile(rf"(?:(?s:.+)/)?{WANDB_LINK}", re.ASCII)
_DATA, _SYNCED = ".wandb", ".synced"


def run_of(path: str) -> str | None:
    """The folder of the run to which a file belongs; None where it belongs to none."""
    found = _FILE.fullmatch(path)
    return found["run"] if found else None


def is_link_to_a_run(path: str) -> bool:
    """Whether W&B gives such a name to a link to its latest run."""
    return _LINK.fullmatch(path) is not None


@dataclass(frozen=True)
class WandbRuns:
    """The runs among some files."""

    unsynced: frozenset[str] = frozenset()
    """Folders of offline runs that `wandb sync` has not uploaded."""
    in_use: Mapping[str, int] = field(default_factory=dict)
    """A process that has a file of the run open, by the run's folder."""

    @classmethod
    def among(cls, paths: Collection[str], root: Path) -> WandbRuns:
        """Find them; `root` is where the paths begin."""
        if not any(run_of(path) for path in paths):
            return cls()
        in_use = {run: pid for path, pid in open_files(root).items() if (run := run_of(path))}
        return cls(frozenset(_unsynced(paths)), in_use)

    def kept(self, path: str) -> Kept | None:
        """The folder that stays with a file because a process has a file of a run in it open."""
        folder = run_of(path)
        if folder is None and is_link_to_a_run(path):
            beside = path.rpartition("/")[0]
            folder = next((run for run in self.in_use if run.rpartition("/")[0] == beside), None)
        if folder is None or folder not in self.in_use:
            return None
        return Kept(f"{folder}/", f"in use by process {self.in_use[folder]}")

    def kind(self, path: str) -> Kind:
        """What the file of a run is selected by."""
        return Kind.UNSYNCED if run_of(path) in self.unsynced else Kind.TRACKERS


def _unsynced(paths: Collection[str]) -> Iterable[str]:
    known = frozenset(paths)
    for path in known:
        run = run_of(path) or ""
        is_data = run.rpartition("/")[2].startswith("offline-") and path.endswith(_DATA)
        if is_data and path + _SYNCED not in known:
            yield run


def open_files(root: Path) -> dict[str, int]:
    """Files below a directory that a process has open, as far as /proc tells (Linux)."""
    found = {}
    target = root.resolve()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError, ValueError):
            found[link.readlink().relative_to(target).as_posix()] = int(link.parts[2])
    return found

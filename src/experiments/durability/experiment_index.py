"""What was last read of each experiment, kept in one file beside them: a cache, never the truth.

It may be deleted, damaged or replaced at any time: what it does not hold is read anew, and a
directory that cannot be written does without. Each writer replaces the whole file by one rename, so
that readers and other writers need no lock; of two at once the last one's work is kept.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from .files import replacing

INDEX_NAME = ".experiments-index.json"
SETTLED_NS = 2_000_000_000
"""A file that changed later than so long ago may change again without another time of change.

Two seconds is the coarsest that file systems tell.
"""
LARGEST_BYTES = 1 << 28
_PRIVATE_FILE = 0o600

Identity = tuple[int, int, int]
"""Of a file: time of change in ns, size, inode."""


@dataclass(frozen=True)
class Stamp:
    """The two files of which an entry tells, as they were just before they were read."""

    experiment: Identity
    results: Identity | None
    """None where there is no `results.json`."""

    @property
    def latest_change(self) -> int:
        """When the later one changed, in ns since the epoch."""
        return max(self.experiment[0], self.results[0] if self.results else 0)


def stamp_of(paths: ExperimentPaths) -> Stamp | None:
    """The stamp of an experiment; None where there is none."""
    experiment = _identity(paths.experiment)
    return None if experiment is None else Stamp(experiment, _identity(paths.results))


class ExperimentIndex:
    """The entries of one output directory, each valid only while its experiment's stamp is."""

    def __init__(
        self, output_dir: Path, form: str, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Read what there is.

        Args:
            output_dir: where experiments lie.
            form: what the entries tell and how; those of another form are passed over.
            clock_ns: the wall clock, in ns since the epoch.
        """
        self._path = output_dir / INDEX_NAME
        self._form = form
        self._began = clock_ns()  # before any file is looked at
        self._found = _entries(_read(self._path), form)
        self._kept: dict[str, Any] = {}

    def get(self, experiment_id: str, stamp: Stamp) -> Mapping[str, Any] | None:
        """What was kept of an experiment whose files are still the same; None otherwise."""
        entry = self._found.get(experiment_id)
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] != _plain(stamp):
            return None
        if not isinstance(entry[1], Mapping):
            return None
        self._kept[experiment_id] = entry
        return entry[1]

    def put(self, experiment_id: str, stamp: Stamp, content: Mapping[str, Any]) -> None:
        """Keep what was read after the stamp was taken, unless that was too soon after a change."""
        self._kept.pop(experiment_id, None)
        if stamp.latest_change + SETTLED_NS <= self._began:
            self._kept[experiment_id] = [_plain(stamp), content]

    def save(self) -> None:
        """Write what was asked for and kept this time, if it is news; all else is dropped."""
        if self._kept == self._found:
            return
        text = json.dumps({"form": self._form, "entries": self._kept})  # ASCII: any text fits in
        with suppress(StorageError), replacing(self._path, len(text)) as temporary:
            temporary.touch(_PRIVATE_FILE)
            temporary.write_text(text, encoding="ascii")


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand of them: cheaper
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _plain(stamp: Stamp) -> list[list[int] | None]:
    return [list(stamp.experiment), list(stamp.results) if stamp.results else None]


def _read(path: Path) -> bytes:
    """A regular file's content; nothing where there is something else, which is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _entries(content: bytes, form: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("form") != form:
        return {}
    entries = document.get("entries")
    return entries if isinstance(entries, dict) else {}

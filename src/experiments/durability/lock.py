"""One writer at a time: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ..domain.errors import ExperimentLockedError

PATIENCE_SECONDS = 1.5
"""Children of a killed orchestrator may take a moment to go."""
_POLL_SECONDS = 0.05


class FileLock:
    """An exclusive `flock` on a file, held between `__enter__` and `__exit__`.

    Args:
        path: the file, created where it is absent.
        patience_seconds: how long entering waits for another holder to go.

    Raises:
        ExperimentLockedError: when another process still holds it after that.
    """

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        deadline = time.monotonic() + self._patience_seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise locked_error(self._path)
            time.sleep(_POLL_SECONDS)
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def locked_error(path: Path) -> ExperimentLockedError:
    """The error that names who holds the lock."""
    holders = ", ".join(str(pid) for pid in holders_of(path))
    return ExperimentLockedError(
        "the experiment is locked by another process" + (f" ({holders})" if holders else ""),
        where=str(path),
        remedy="wait for it to end, or stop it, then repeat the command",
    )


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock just now; a file that is absent or unreadable is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def holders_of(path: Path) -> list[int]:
    """Processes that have the file open, as far as /proc tells (Linux; elsewhere empty)."""
    found = set()
    target = path.resolve()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == target:
                found.add(int(link.parts[2]))
    return sorted(found - {os.getpid()})


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

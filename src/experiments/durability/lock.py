"""One writer at a time: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ..domain.errors import ExperimentLockedError, StorageError

PATIENCE_SECONDS = 1.5
"""Children of a killed holder may take a moment to go."""
DYING_SECONDS = 0.5
"""A holder that is there after so long was not just killed, and is not waited for any longer."""
_POLL_SECONDS = 0.05


class FileLock:
    """An exclusive `flock` on a file, held between `__enter__` and `__exit__`.

    Args:
        path: the file, created where it is absent.
        patience_seconds: how long entering waits for another holder to go.
        waits_for_the_living: whether it waits so long also for a holder that is alive and well,
            and not only for what a killed one has left.

    Raises:
        ExperimentLockedError: when another process still holds it after that.
        StorageError: when its file system has no locks.
    """

    def __init__(
        self,
        path: Path,
        patience_seconds: float = PATIENCE_SECONDS,
        *,
        waits_for_the_living: bool = False,
    ) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._refuses_soon = not waits_for_the_living
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            self._take(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        _write_holder(descriptor)
        self._descriptor = descriptor
        return self

    def _take(self, descriptor: int) -> None:
        begun = time.monotonic()
        while not _try_lock(descriptor, self._path):
            waited = time.monotonic() - begun
            is_hopeless = self._refuses_soon and waited >= DYING_SECONDS
            if waited >= self._patience_seconds or (is_hopeless and _holder_lives(descriptor)):
                raise locked_error(self._path)
            time.sleep(_POLL_SECONDS)

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


def check_locks(folder: Path) -> None:
    """Refuse a folder, which need not exist, on a file system that has no locks.

    Raises:
        StorageError: naming the remedy.
    """
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    try:
        file = tempfile.TemporaryFile(dir=existing)  # noqa: SIM115 - only this may fail unheard
    except OSError:
        return  # who writes there next says it better
    with file:
        _try_lock(file.fileno(), existing)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock just now.

    A file that is absent or unreadable is free, and so is one where there are no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # shared: several may look at once, and NFS gives no other to who only reads
        return not _try_lock(descriptor, path, fcntl.LOCK_SH)
    except StorageError:
        return False
    finally:
        os.close(descriptor)


def wait_for_lock(path: Path, seconds: float) -> bool:
    """Wait until a process holds the lock; whether one does."""
    deadline = time.monotonic() + seconds
    while not (is_held := is_locked(path)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return is_held


def holders_of(path: Path) -> list[int]:
    """Processes that have the file open, as far as /proc tells (Linux; elsewhere empty)."""
    found = set()
    target = path.resolve()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == target:
                found.add(int(link.parts[2]))
    return sorted(found - {os.getpid()})


def _write_holder(descriptor: int) -> None:
    """Leave a word of who holds the lock: only that, for the lock itself is the system's."""
    with suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _holder_lives(descriptor: int) -> bool:
    """Whether the last process that took the lock is on this machine, and not dead."""
    try:
        pid = int(os.pread(descriptor, 20, 0))
        os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended that nobody has taken notice of (Linux; elsewhere never)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False


def _try_lock(descriptor: int, path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether the lock was free.

    Raises:
        StorageError: when there are no locks, as on Lustre that was mounted without them.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(
            f"its file system does not support locks ({error.strerror})",
            where=str(path),
            remedy="mount it with locks (Lustre: -o flock; NFS: a lock service), or choose another"
            " place, for results by --output-dir",
        ) from error
    return True

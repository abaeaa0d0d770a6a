"""How long training has given no sign of life."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


class Heartbeats:
    """Sees that files are touched, by this machine's clock alone; one thread uses it.

    Only a change counts, of a file's time or its existence, never what the time is: it may have
    been set by a machine whose clock differs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[int | None, float]] = {}

    def silent_seconds(self, path: Path) -> float:
        """Seconds since the file was seen to change, or since the first question about it."""
        now, mark = self._clock(), _mark(path)
        before, since = self._seen.get(path, (mark, now))
        if mark != before:
            since = now
        self._seen[path] = mark, since
        return now - since

    def forget(self, path: Path) -> None:
        """Begin anew with the next question about the file."""
        self._seen.pop(path, None)


def _mark(path: Path) -> int | None:
    """The time of the last change in nanoseconds; None where there is no such file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # a file server tells its newest time then
    except OSError:
        return None
    try:
        return os.fstat(file).st_mtime_ns
    except OSError:
        return None
    finally:
        os.close(file)

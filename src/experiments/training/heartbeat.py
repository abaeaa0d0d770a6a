"""A sign of life: a file that is touched while training advances, and only then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""How often training is looked at; the file is touched no more often."""


@dataclass
class Tally:
    """Counts work that was done: one thread counts, any thread may read."""

    count: int = 0


@contextmanager
def working(tally: Tally, at_most_seconds: float) -> Iterator[None]:
    """Count as work what the block waits for, for so long at most.

    For what other processes do on this one's behalf, which nothing here gives away.
    """
    ended = threading.Event()

    def count() -> None:
        deadline = time.monotonic() + at_most_seconds
        while not ended.wait(INTERVAL_SECONDS) and time.monotonic() < deadline:
            tally.count += 1

    thread = threading.Thread(target=count, name="working", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Heartbeat:
    """Touches a file while a number that stands for work done changes.

    The file exists inside the block and is gone after it. A thread of its own looks at the number,
    so that nothing is added to training; a disk that refuses does training no harm.

    Args:
        path: the file; None touches nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._activity: Callable[[], int] = lambda: 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_complained = False

    def __enter__(self) -> Self:
        if self._path is not None:
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            _touch(self._path)
            self._thread = threading.Thread(
                target=self._beat, args=[self._path], name="heartbeat", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None and self._path is not None:
            self._thread.join()
            with suppress(OSError):
                self._path.unlink()

    def follow(self, activity: Callable[[], int]) -> None:
        """Look at this number from now on; it is called in another thread.

        What it raises counts as no change, and is logged once.
        """
        self._activity = activity

    def _beat(self, path: Path) -> None:
        last = 0
        while not self._ended.wait(INTERVAL_SECONDS):
            current = self._count(last)
            if current != last:
                _touch(path)
            last = current

    def _count(self, last: int) -> int:
        try:
            return self._activity()
        except Exception as error:
            if not self._has_complained:
                self._has_complained = True
                logger.warning(
                    "whether training makes progress cannot be determined", exc_info=error
                )
            return last


def _touch(path: Path) -> None:
    with suppress(OSError):
        path.touch()

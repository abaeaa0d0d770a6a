"""Watching from a thread of this process: four snapshots a second at most, a share of a core."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from ..domain.log_levels import NOTICE
from .snapshot import Display, Snapshot
from .wording import printable

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 3.0
"""A snapshot so seldom still shows life, whatever it costs."""
SHARE_OF_A_CORE = 0.008
"""What taking and drawing them take together; the rest up to a hundredth is for waking up."""
FIRST_SNAPSHOTS = 2
PATIENCE_SECONDS = 2.0
"""How long the end waits for a terminal that takes nothing more."""
_PACKAGE = __package__.rpartition(".")[0]


class Notices(logging.Handler):
    """Collects log lines and messages until a display shows them; safe in a signal handler."""

    def __init__(self, level: int = NOTICE) -> None:
        super().__init__(level)
        self._waiting: SimpleQueue[str] = SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log record's message; its traceback is in the log file."""
        self.say(f"{record.levelname.lower()}: {record.getMessage()}")

    def say(self, text: str) -> None:
        """Keep a message."""
        self._waiting.put(printable(text, keep_newlines=True))

    @property
    def are_waiting(self) -> bool:
        """Whether there is something to take."""
        return not self._waiting.empty()

    def take(self) -> list[str]:
        """What has come since the last call."""
        taken = []
        try:
            while True:
                taken.append(self._waiting.get_nowait())
        except Empty:
            return taken


@contextmanager
def logged_to(notices: Notices) -> Iterator[None]:
    """Collect what the package logs while the with block lasts."""
    package = logging.getLogger(_PACKAGE)
    package.addHandler(notices)
    try:
        yield
    finally:
        package.removeHandler(notices)


class Pace:
    """How long to pause after a snapshot, so that all take a small share of one core.

    The first ones do not count: they open what the later ones follow.
    """

    def __init__(
        self, clock: Callable[[], float] = time.thread_time, share: float = SHARE_OF_A_CORE
    ) -> None:
        """`clock`: seconds of processor time that the calling thread has used."""
        self._clock = clock
        self._share = share
        self._begun = 0.0
        self._snapshots = 0
        self._cost = 0.0

    def __enter__(self) -> Self:
        self._begun = self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._snapshots += 1
        if self._snapshots > FIRST_SNAPSHOTS:
            # half of this one, half of those before it: some draw, some find nothing new
            self._cost = (self._cost + self._clock() - self._begun) / 2

    @property
    def pause_seconds(self) -> float:
        """Until the next snapshot."""
        affordable = self._cost / self._share
        return min(max(affordable, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


class Watcher:
    """A thread that takes snapshots again and again, and shows them."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        display: Display,
        notices: Notices,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        """`on_failure`: called in the thread when the view has failed; by default a warning."""
        self._snapshot = snapshot
        self._display = display
        self._notices = notices
        self._on_failure = on_failure or _warn_of
        self._pace = Pace()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="view", daemon=True)
        self._showing = False
        self.is_stuck = False
        """Whether the terminal or pipe took nothing more; whatever writes to it would wait."""

    def __enter__(self) -> Self:
        self._display.open()
        self._showing = True
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join(timeout=PATIENCE_SECONDS)
        self.is_stuck = self._thread.is_alive()
        if not self.is_stuck:
            self._guarded(self._show)
            self._guarded(self._display.close)

    def _watch(self) -> None:
        next_snapshot = time.monotonic()
        while True:
            now = time.monotonic()
            if self._notices.are_waiting or now >= next_snapshot:
                with self._pace:
                    self._guarded(self._show)
                now = time.monotonic()
                next_snapshot = now + self._pace.pause_seconds
            # notices, such as the answer to Ctrl-C, do not wait until a snapshot can be afforded
            if self._done.wait(min(next_snapshot - now, SHORTEST_PAUSE_SECONDS)):
                return

    def _show(self) -> None:
        if self._showing:
            self._display.update(self._snapshot(), self._notices.take())

    def _guarded(self, action: Callable[[], None]) -> None:
        """Training goes on without a view when the view fails, say because a pipe was closed."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whoever is called back decides what it means
            if self._showing:
                self._on_failure(error)
            self._showing = False


def _warn_of(error: Exception) -> None:
    logger.warning("the progress view has stopped (%r)", error, exc_info=error)

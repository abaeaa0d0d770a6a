"""Watching a runner from a thread of this process, four looks a second."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from .snapshot import Display, Snapshot
from .wording import printable

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
"""How long the end waits for a terminal that takes nothing more."""


class Notices(logging.Handler):
    """Collects log lines and messages until a display shows them; safe in a signal handler."""

    def __init__(self, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._waiting: SimpleQueue[str] = SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log record's message; its traceback is in the log file."""
        self.say(f"{record.levelname.lower()}: {record.getMessage()}")

    def say(self, text: str) -> None:
        """Keep a message."""
        self._waiting.put(printable(text, keep_newlines=True))

    def take(self) -> list[str]:
        """What has come since the last call."""
        taken = []
        try:
            while True:
                taken.append(self._waiting.get_nowait())
        except Empty:
            return taken


class Watcher:
    """A thread that shows a runner's progress and passes on a request to stop."""

    def __init__(
        self,
        look: Callable[[], Snapshot],
        display: Display,
        notices: Notices,
    ) -> None:
        self._look = look
        self._display = display
        self._notices = notices
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
        while not self._done.wait(LOOK_EVERY_SECONDS):
            self._guarded(self._show)

    def _show(self) -> None:
        if self._showing:
            self._display.update(self._look(), self._notices.take())

    def _guarded(self, action: Callable[[], None]) -> None:
        """Training goes on without a view when the view fails, say because a pipe was closed."""
        try:
            action()
        except Exception as error:
            if self._showing:
                logger.warning("the progress view has stopped (%r)", error, exc_info=error)
            self._showing = False

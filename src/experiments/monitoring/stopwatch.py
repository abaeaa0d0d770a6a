"""How long something has been going on."""

from __future__ import annotations

import time


class Stopwatch:
    """Wall-clock seconds between `start` and `stop`, or until now."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._stopped: float | None = None

    def start(self) -> None:
        """Begin to count, from zero."""
        self._started, self._stopped = time.monotonic(), None

    def stop(self) -> None:
        """Stop counting."""
        self._stopped = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far; zero before `start`."""
        if self._started is None:
            return 0.0
        return (self._stopped or time.monotonic()) - self._started

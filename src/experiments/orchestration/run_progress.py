"""How far the runs of an experiment are, read from their streams; for any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping

from ..domain.errors import StorageError
from ..domain.records import ENDED_RUNS, RunKey, RunProgress, RunStatus
from ..execution import RunAttempts
from ..monitoring import JournalProgress

logger = logging.getLogger(__name__)


class ProgressOfRuns:
    """Reads what runs tell as it is asked for; one that has ended is not read again.

    Args:
        attempts: of every planned run.
        planned: timesteps that each arm's runs really train.
    """

    def __init__(self, attempts: Mapping[RunKey, RunAttempts], planned: Mapping[str, int]) -> None:
        self._attempts = attempts
        self._planned = planned
        self._readers = {
            run: JournalProgress(each.paths, run, planned[run.arm])
            for run, each in attempts.items()
        }
        self._lock = threading.Lock()
        self._ended: dict[RunKey, RunProgress] = {}
        """What is not read again: with many runs, most have ended."""
        self._ended_steps = 0
        self._last: dict[RunKey, RunProgress] = {}
        self._unreadable: set[RunKey] = set()

    def of(self, run: RunKey) -> RunProgress:
        """How far one run is."""
        with self._lock:
            if run in self._ended:
                return self._ended[run]
            attempts = self._attempts[run]
            if attempts.status is RunStatus.QUEUED and attempts.prepared <= 1:
                steps = self._planned[run.arm]
                return RunProgress(run, RunStatus.QUEUED, 0, steps)
            progress = self._read(run)
            if progress.status in ENDED_RUNS and attempts.status in ENDED_RUNS:
                self._ended[run] = progress
                self._ended_steps += progress.step
            return progress

    def steps(self, running: Iterable[RunKey]) -> int:
        """Timesteps of all runs together: those that are running, and those that have ended."""
        under_way = sum(self.of(run).step for run in running)
        return self._ended_steps + under_way

    def begin_anew(self, run: RunKey, after_seconds: float) -> None:
        """Number the run's next attempt; what it has done so far counts no more as done."""
        with self._lock:
            self._attempts[run].prepare(after_seconds)
            ended = self._ended.pop(run, None)
            self._ended_steps -= ended.step if ended else 0

    def _read(self, run: RunKey) -> RunProgress:
        """What the run's streams tell; the last that they told, where one is damaged."""
        try:
            self._last[run] = self._readers[run].read()
        except StorageError as error:
            if run not in self._unreadable:
                self._unreadable.add(run)
                logger.warning("%s: its progress cannot be read: %s", run.name, error)
        status, steps = self._attempts[run].status, self._planned[run.arm]
        return self._last.get(run) or RunProgress(run, status, 0, steps)

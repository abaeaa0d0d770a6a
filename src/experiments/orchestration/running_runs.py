"""The runs that train just now, for any thread to look at."""

from __future__ import annotations

import threading

from ..domain.records import ResourceSample, RunKey
from .guard import Watched


class RunningRuns:
    """Changed by the thread that carries the runs out alone."""

    def __init__(self) -> None:
        self.watched: dict[RunKey, Watched] = {}
        """By run, what is looked at to see whether it lives."""
        self._pids: dict[RunKey, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.watched)

    def began(self, run: RunKey, watched: Watched, pid: int | None) -> None:
        """An attempt trains from now on, in a process of this machine if `pid` names one."""
        self.watched[run] = watched
        if pid is not None:
            with self._lock:
                self._pids[run] = pid

    def ended(self, run: RunKey) -> Watched | None:
        """The attempt trains no more; None where it had not begun."""
        with self._lock:
            self._pids.pop(run, None)
        return self.watched.pop(run, None)

    def pids(self) -> dict[RunKey, int]:
        """The process that trains each run on this machine."""
        with self._lock:
            return dict(self._pids)

    def arms(self) -> set[str]:
        """The arms of which a run trains."""
        return {run.arm for run in list(self.watched)}

    def is_of_one(self, run: RunKey, sample: ResourceSample) -> bool:
        """Whether a sample is of the attempt that trains now, not of one that has ended."""
        watched = self.watched.get(run)
        return watched is not None and sample.time >= watched.began

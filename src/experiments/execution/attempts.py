"""The orchestrator's record of one run: its attempts, and what happened to the run meanwhile."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..domain.paths import AttemptPaths, RunPaths
from ..domain.records import ResourceSample, RunKey, RunStatus
from ..durability.journal import JournalWriter, read_journal
from .job import OutcomeKind


class RunAttempts:
    """Numbers a run's attempts and writes its `events.jsonl`; safe for several threads."""

    def __init__(self, run: RunKey, paths: RunPaths) -> None:
        self.run = run
        self.paths = paths
        self.status = RunStatus.QUEUED
        self.deviations: list[str] = []
        self._guard = threading.Lock()
        self._number = 0
        self._failures = 0

    @property
    def number(self) -> int:
        """The latest attempt, counted from 1; 0 before the first."""
        return self._number

    @property
    def failures(self) -> int:
        """Attempts that this orchestrator saw fail."""
        return self._failures

    @property
    def current(self) -> AttemptPaths:
        """The latest attempt's files."""
        return self.paths.attempt(self._number)

    def prepare(self) -> int:
        """Number the next attempt and clear the journal of what an earlier one left."""
        self.status = RunStatus.QUEUED
        self._number = max(self._number, _latest_attempt(self.paths)) + 1
        if _cut_to_nothing(self.paths.journal):
            self.record("rewound", 0, attempt=self._number)
        return self._number

    def started(self, pid: int, host: str | None = None, gpu: int | None = None) -> None:
        """The attempt's process began, on another machine if `host` names one."""
        self.status = RunStatus.RUNNING
        where = {"host": host, "gpu": gpu}
        known = {name: value for name, value in where.items() if value is not None}
        self.record("attempt_started", 0, attempt=self._number, pid=pid, **known)

    def ended(
        self,
        status: RunStatus,
        step: int,
        cause: str | None = None,
        remedy: str | None = None,
        kind: OutcomeKind | None = None,
    ) -> None:
        """The attempt ended; a failure names its cause, what helps, and how the process ended."""
        self.status = status
        self._failures += status is RunStatus.FAILED
        self.record(
            "attempt_ended",
            step,
            attempt=self._number,
            outcome=status.value,
            cause=cause,
            remedy=remedy,
            **({} if kind is None else {"ended_by": kind.value}),
        )

    def sampled(self, sample: ResourceSample, step: int) -> None:
        """The run's processes were looked at."""
        fields = asdict(sample)
        moment = fields.pop("time")  # shared by all samples of one look
        with self._guard, JournalWriter(self.paths.events, lambda: moment, sync=False) as events:
            events.append("resources", step, **fields)

    def record(self, kind: str, step: int, **fields: Any) -> None:
        """Append an event."""
        with self._guard, JournalWriter(self.paths.events) as events:
            events.append(kind, step, **fields)


def _latest_attempt(paths: RunPaths) -> int:
    numbers = [event.get("attempt", 0) for event in read_journal(paths.events)]
    return max(numbers, default=0)


def _cut_to_nothing(journal: Path) -> bool:
    if not journal.exists() or journal.stat().st_size == 0:
        return False
    os.truncate(journal, 0)
    return True

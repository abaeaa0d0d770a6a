"""Jobs in this process, one after the other: for debuggers."""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import redirect_stdout
from types import TracebackType
from typing import Self

from ..domain.errors import error_record, exit_code_of
from .job import Event, Job, JobStarted, Outcome, OutcomeKind, kind_of_error
from .job_queue import JobQueue
from .registry import ExecutorSettings


class InProcessExecutor:
    """Calls each job when its outcome is asked for; a crash takes this process with it.

    It has one slot, imports nothing beforehand and has the threads and variables of this process.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        del settings
        self._queue = JobQueue(1)
        self._current: Job | None = None
        self._cancelled: deque[Outcome] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.cancel()
        self._current = None

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, behind those that wait or before them."""
        self._queue.add(job, first=first)

    def next_event(self, timeout_seconds: float) -> Event | None:  # noqa: ARG002
        """Start the next job, or carry the started one out; blocks until it ends."""
        if self._cancelled:
            return self._cancelled.popleft()
        if self._current is not None:
            job = self._current
            outcome = _call(job)
            self._current = None
            return outcome
        self._current = self._queue.take(0)
        if self._current is None:
            return None
        return JobStarted(self._current, os.getpid())

    def stop(self, job: Job, kind: OutcomeKind, cause: Exception) -> None:
        """Drop a job that has not begun; while one runs, nobody can ask for its end."""
        if job is self._current:
            self._current = None
        elif not self._queue.drop(job):
            return
        self._cancelled.append(Outcome(job, kind, cause=cause))

    def resize(self, slots: int) -> None:
        """There is one slot."""

    def cancel(self) -> None:
        """Drop the jobs that have not begun."""
        if self._current is not None:
            self._cancelled.append(Outcome(self._current, OutcomeKind.CANCELLED))
            self._current = None
        self._cancelled.extend(self._queue.cancel())


def _call(job: Job) -> Outcome:
    try:
        with redirect_stdout(sys.stderr):  # standard output is for results
            value = job.target()
    except SystemExit as leaving:
        return Outcome(job, OutcomeKind.EXIT_CODE, exit_code=exit_code_of(leaving))
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
        record = error_record(error)
        return Outcome(job, kind_of_error(record), error=record)
    return Outcome(job, OutcomeKind.FINISHED, value=value)

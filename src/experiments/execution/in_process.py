"""Jobs in this process, one after the other: for debuggers."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from types import TracebackType
from typing import Self

from ..domain.errors import error_record, exit_code_of
from ..domain.records import RunKey
from .job import Job, JobStarted, Outcome, OutcomeKind


class InProcessExecutor:
    """Calls each job when its outcome is asked for; a crash takes this process with it.

    It has one slot, imports nothing beforehand and has the threads of this process.
    """

    def __init__(self, slots: int = 1, preload: Sequence[str] = (), threads: int = 1) -> None:
        del slots, preload, threads
        self._queue: deque[Job] = deque()
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
        self._queue.clear()
        self._current = None

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, behind those that wait or before them."""
        if first:
            self._queue.appendleft(job)
        else:
            self._queue.append(job)

    def next_event(self, timeout_seconds: float) -> JobStarted | Outcome | None:  # noqa: ARG002
        """Start the next job, or carry the started one out; blocks until it ends."""
        if self._cancelled:
            return self._cancelled.popleft()
        if self._current is not None:
            job = self._current
            outcome = _call(job)
            self._current = None
            return outcome
        if not self._queue:
            return None
        self._current = self._queue.popleft()
        return JobStarted(self._current, os.getpid())

    def cancel(self) -> None:
        """Drop the jobs that have not begun."""
        waiting = [self._current] if self._current else []
        for job in (*waiting, *self._queue):
            self._cancelled.append(Outcome(job, OutcomeKind.CANCELLED))
        self._queue.clear()
        self._current = None

    def pids(self) -> Mapping[RunKey, int]:
        """This process, for the runs of the current job."""
        job = self._current
        return {run: os.getpid() for run in job.runs} if job else {}


def _call(job: Job) -> Outcome:
    try:
        with redirect_stdout(sys.stderr):  # standard output is for results
            value = job.target()
    except SystemExit as leaving:
        return Outcome(job, OutcomeKind.EXIT_CODE, exit_code=exit_code_of(leaving))
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
        return Outcome(job, OutcomeKind.EXCEPTION, error=error_record(error))
    return Outcome(job, OutcomeKind.FINISHED, value=value)

"""Jobs in processes of their own, a few at a time: one slot is sequential mode."""

from __future__ import annotations

import atexit
import os
import pickle  # between this program's own processes only
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from ..domain.errors import ProcessDiedError, TrainingError, error_record
from ..domain.records import RunKey
from .fork_server import Broken, Ended, ForkServer, Kill, Start, Started
from .job import Job, JobStarted, Outcome, OutcomeKind

GRACE_SECONDS = 5.0
"""How long a cancelled job may take to end before it is killed."""


class ProcessPoolExecutor:
    """At most `slots` jobs at once, each in a child of one warm fork server.

    Args:
        slots: jobs that run at the same time.
        preload: modules that the fork server imports before it forks.
        threads: threads of OpenMP and BLAS in every child.
    """

    def __init__(self, slots: int, preload: Sequence[str] = (), threads: int = 1) -> None:
        if slots < 1:
            raise ValueError(f"slots: need at least 1, got {slots}")
        self._slots = slots
        self._preload = tuple(preload)
        self._threads = threads
        self._server: ForkServer | None = None
        self._queue: deque[Job] = deque()
        self._jobs: dict[int, Job] = {}
        self._cancelled: set[int] = set()
        self._ready: deque[JobStarted | Outcome] = deque()
        self._tickets = 0
        self._pids: dict[RunKey, int] = {}
        self._pids_lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = self._new_server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, behind those that wait or before them."""
        if first:
            self._queue.appendleft(job)
        else:
            self._queue.append(job)

    def next_event(self, timeout_seconds: float) -> JobStarted | Outcome | None:
        """The next start or outcome; None when nothing happened in time.

        Free slots are filled here and not when a job ends, so that what its outcome leads to (a
        retry, an end of it all) comes before the next job.
        """
        self._fill_slots()
        return self._ready.popleft() if self._ready else self._poll(timeout_seconds)

    def cancel(self) -> None:
        """Drop the queue and end the running jobs, by force after `GRACE_SECONDS`."""
        while self._queue:
            self._ready.append(Outcome(self._queue.popleft(), OutcomeKind.CANCELLED))
        if not self._connected().is_serving:  # it still imports: nothing has begun
            self._abandon_jobs()
        self._cancelled |= set(self._jobs)
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._jobs:
            if time.monotonic() > deadline:
                self._signal_all(signal.SIGKILL)
                deadline += GRACE_SECONDS
            event = self._poll(0.1)
            if event is not None:
                self._ready.append(event)

    def pids(self) -> Mapping[RunKey, int]:
        """The process that trains each run just now."""
        with self._pids_lock:
            return dict(self._pids)

    def _poll(self, timeout_seconds: float) -> JobStarted | Outcome | None:
        try:
            event = self._connected().receive(timeout_seconds)
        except EOFError:
            return self._server_died()
        match event:
            case Started():
                return self._started(event)
            case Ended():
                return self._ended(event)
            case Broken(error):
                raise TrainingError(
                    f"training processes cannot be prepared: {error.type_name}: {error.message}",
                    remedy="`experiments doctor` shows what is installed; "
                    "pip install -c constraints.txt -e . repairs it",
                )
            case None:
                return None

    def _connected(self) -> ForkServer:
        if self._server is None:
            raise RuntimeError("use the executor in a with block")
        return self._server

    def _fill_slots(self) -> None:
        while self._queue and len(self._jobs) < self._slots:
            job = self._queue.popleft()
            self._tickets += 1
            self._jobs[self._tickets] = job
            target = pickle.dumps(job.target)
            self._connected().send(Start(self._tickets, target, job.log))

    def _signal_all(self, number: int) -> None:
        for ticket in self._jobs:
            self._connected().send(Kill(ticket, number))

    def _started(self, event: Started) -> JobStarted:
        job = self._jobs[event.ticket]
        with self._pids_lock:
            self._pids.update(dict.fromkeys(job.runs, event.pid))
        return JobStarted(job, event.pid)

    def _ended(self, event: Ended) -> Outcome:
        job = self._forget(event.ticket)
        outcome = _outcome(job, event)
        if event.ticket in self._cancelled and outcome.kind is not OutcomeKind.FINISHED:
            return Outcome(job, OutcomeKind.CANCELLED)
        return outcome

    def _forget(self, ticket: int) -> Job:
        job = self._jobs.pop(ticket)
        with self._pids_lock:
            for run in job.runs:
                self._pids.pop(run, None)
        return job

    def _server_died(self) -> JobStarted | Outcome | None:
        """Every running job died with the server: report them, and start another server."""
        error = error_record(ProcessDiedError("the process that starts the runs died"))
        for pid in set(self.pids().values()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # what the runs had started lives on
        for ticket in list(self._jobs):
            is_cancelled = ticket in self._cancelled
            kind = OutcomeKind.CANCELLED if is_cancelled else OutcomeKind.EXCEPTION
            self._ready.append(Outcome(self._forget(ticket), kind, error=error))
        self._connected().close()
        self._server = self._new_server()
        return self._ready.popleft() if self._ready else None

    def _abandon_jobs(self) -> None:
        for ticket in list(self._jobs):
            self._ready.append(Outcome(self._forget(ticket), OutcomeKind.CANCELLED))
        self._connected().close()

    def _new_server(self) -> ForkServer:
        return _take_spare(self._preload, self._threads) or _start(self._preload, self._threads)


_spare: tuple[tuple[str, ...], int, ForkServer] | None = None


def warm_up(preload: Sequence[str], threads: int = 1) -> None:
    """Start to import what training needs before a pool asks for it: seconds are saved.

    The next pool of the same modules and threads takes the server over; one that nobody takes
    ends with this process.
    """
    global _spare
    if _spare is None:
        _spare = (tuple(preload), threads, _start(preload, threads))
        atexit.register(discard_spare)


def discard_spare() -> None:
    """End a server that was started ahead and that no pool has taken over."""
    global _spare
    if _spare is not None:
        _spare[-1].close()
        _spare = None


def _take_spare(preload: tuple[str, ...], threads: int) -> ForkServer | None:
    global _spare
    if _spare is None or _spare[:2] != (preload, threads):
        discard_spare()
        return None
    server, _spare = _spare[-1], None
    return server


def _start(preload: Sequence[str], threads: int) -> ForkServer:
    return ForkServer(preload, thread_environment(threads))


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that bound the threads of the numeric libraries."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _outcome(job: Job, event: Ended) -> Outcome:
    if event.report and os.waitstatus_to_exitcode(event.status) == 0:
        try:
            succeeded, payload = pickle.loads(event.report)  # noqa: S301 - our own child's
        except Exception as error:  # noqa: BLE001 - a class may refuse to be built here
            return Outcome(job, OutcomeKind.EXCEPTION, error=error_record(error))
        if succeeded:
            return Outcome(job, OutcomeKind.FINISHED, value=payload)
        return Outcome(job, OutcomeKind.EXCEPTION, error=payload)
    code = os.waitstatus_to_exitcode(event.status)
    if code < 0:
        return Outcome(job, OutcomeKind.SIGNAL, signal_number=-code)
    return Outcome(job, OutcomeKind.EXIT_CODE, exit_code=code)

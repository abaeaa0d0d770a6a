"""Jobs in processes of their own, a few at a time: one slot is sequential mode."""

from __future__ import annotations

import atexit
import os
import pickle  # between this program's own processes only
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..domain.errors import OutOfMemoryError, ProcessDiedError, TrainingError, error_record
from ..domain.records import ErrorRecord
from .fork_messages import Broken, Ended, Kill, Start, Started
from .fork_server import ForkServer
from .job import Event, Job, JobStarted, Outcome, OutcomeKind, kind_of_error
from .job_queue import JobQueue
from .kernel_oom import kernel_oom_kills
from .registry import ExecutorSettings

GRACE_SECONDS = 6.0
"""How long a job that is to end may take before it is killed."""
MOST_UNANSWERED = 32
"""Requests that are sent ahead: more could fill the socket from both ends for good."""
LAST_WORDS_SECONDS = 1.0
"""How long a job that hangs may take to write its stacks to its log before it is killed."""


@dataclass
class _Stop:
    """Why a job is being ended, and when patience ends."""

    kind: OutcomeKind
    cause: Exception | None
    kill_at: float


@dataclass
class _Running:
    """A job that left the queue."""

    job: Job
    kernel_kills: int | None
    """Processes that the kernel had ended for want of memory when this one began."""
    pid: int | None = None
    stop: _Stop | None = None


class ProcessPoolExecutor:
    """At most `slots` jobs at once, each in a child of one warm fork server."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._preload = settings.preload
        self._threads = settings.threads
        self._is_open = False
        self._server: ForkServer | None = None
        """None also after a cancellation during its imports: the next job starts another one."""
        self._queue = JobQueue(settings.slots)
        self._running: dict[int, _Running] = {}
        self._ready: deque[Event] = deque()
        self._tickets = 0

    def __enter__(self) -> Self:
        self._is_open = True
        self._server = self._new_server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if self._server is not None:
            self._server.close()
            self._server = None

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, behind those that wait or before them."""
        self._queue.add(job, first=first)

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next start or outcome; None when nothing happened in time.

        Free slots are filled here and not when a job ends, so that what its outcome leads to (a
        retry, an end of it all) comes before the next job.
        """
        self._kill_overdue()
        if not self._ready:
            self._fill_slots()
        return self._ready.popleft() if self._ready else self._poll(timeout_seconds)

    def stop(self, job: Job, kind: OutcomeKind, cause: Exception) -> None:
        """End one job: politely first; one that hangs is asked only for its stacks."""
        if self._queue.drop(job):
            self._ready.append(Outcome(job, kind, cause=cause))
        for ticket, running in self._running.items():
            if running.job is job and running.stop is None:
                hangs = kind is OutcomeKind.HANG
                patience = LAST_WORDS_SECONDS if hangs else GRACE_SECONDS
                running.stop = _Stop(kind, cause, time.monotonic() + patience)
                number = signal.SIGQUIT if hangs else signal.SIGTERM
                self._connected().send(Kill(ticket, number))

    def resize(self, slots: int) -> None:
        """Let so many jobs run at once from now on."""
        self._queue.resize(slots)

    def cancel(self) -> None:
        """Drop the queue and end the running jobs, by force after `GRACE_SECONDS`."""
        self._ready.extend(self._queue.cancel())
        if self._server is not None and not self._server.is_serving:
            self._abandon_jobs(self._server)  # it still imports: nothing has begun
        kill_at = time.monotonic() + GRACE_SECONDS
        for ticket, running in self._running.items():
            if running.stop is None:
                running.stop = _Stop(OutcomeKind.CANCELLED, None, kill_at)
                self._connected().send(Kill(ticket, signal.SIGTERM))
        while self._running:
            self._kill_overdue()
            event = self._poll(0.1)
            if event is not None:
                self._ready.append(event)

    def _poll(self, timeout_seconds: float) -> Event | None:
        if self._server is None and self._is_open:
            time.sleep(timeout_seconds)  # nothing runs that could tell of anything
            return None
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
                    f"processes cannot be prepared: {error.type_name}: {error.message}",
                    remedy="`experiments doctor` shows what is installed; "
                    "pip install -c constraints.txt -e . repairs it",
                )
            case None:
                return None

    def _connected(self) -> ForkServer:
        if not self._is_open:
            raise RuntimeError("use the executor in a with block")
        if self._server is None:
            self._server = self._new_server()
        return self._server

    def _fill_slots(self) -> None:
        unanswered = sum(running.pid is None for running in self._running.values())
        while unanswered < MOST_UNANSWERED and (job := self._queue.take(len(self._running))):
            try:
                target = pickle.dumps(job.target)
                environment = dict(job.environment()) if job.environment else {}
            except Exception as error:  # noqa: BLE001 - what a job is made of may fail in any way
                self._ready.append(Outcome(job, OutcomeKind.EXCEPTION, error=error_record(error)))
                continue
            self._tickets += 1
            unanswered += 1
            self._running[self._tickets] = _Running(job, kernel_oom_kills())
            self._connected().send(Start(self._tickets, target, job.log, environment))

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for ticket, running in self._running.items():
            if running.stop is not None and now >= running.stop.kill_at:
                running.stop.kill_at = now + GRACE_SECONDS
                self._connected().send(Kill(ticket, signal.SIGKILL))

    def _started(self, event: Started) -> JobStarted:
        running = self._running[event.ticket]
        running.pid = event.pid
        return JobStarted(running.job, event.pid)

    def _ended(self, event: Ended) -> Outcome:
        running = self._running.pop(event.ticket)
        outcome = _outcome(running, event)
        stop = running.stop
        if stop is not None and outcome.kind is not OutcomeKind.FINISHED:
            return Outcome(running.job, stop.kind, cause=stop.cause)
        return outcome

    def _server_died(self) -> Event | None:
        """Every running job died with the server: report them, and start another server."""
        error = error_record(ProcessDiedError("the process that starts the runs died"))
        for running in self._running.values():
            if running.pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(running.pid, signal.SIGKILL)  # what the runs had started lives on
        self._end_all(OutcomeKind.LOST, error)
        self._connected().close()
        self._server = None
        self._server = self._new_server()
        return self._ready.popleft() if self._ready else None

    def _abandon_jobs(self, server: ForkServer) -> None:
        self._end_all(OutcomeKind.CANCELLED)
        server.close()
        self._server = None

    def _end_all(self, kind: OutcomeKind, error: ErrorRecord | None = None) -> None:
        for running in self._running.values():
            stop = running.stop
            if stop is not None:
                self._ready.append(Outcome(running.job, stop.kind, cause=stop.cause))
            else:
                self._ready.append(Outcome(running.job, kind, error=error))
        self._running.clear()

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


def _outcome(running: _Running, event: Ended) -> Outcome:
    job, code = running.job, os.waitstatus_to_exitcode(event.status)
    if event.report and code == 0:
        return _reported(job, event.report)
    if code >= 0:
        return Outcome(job, OutcomeKind.EXIT_CODE, exit_code=code)
    if code == -signal.SIGKILL and _kernel_killed_since(running.kernel_kills):
        cause = OutOfMemoryError(
            "the kernel ended the process because the machine's memory ran out",
            remedy="train fewer runs at once (--max-workers), or with smaller buffers",
        )
        return Outcome(job, OutcomeKind.OUT_OF_MEMORY, signal_number=-code, cause=cause)
    return Outcome(job, OutcomeKind.SIGNAL, signal_number=-code)


def _reported(job: Job, report: bytes) -> Outcome:
    try:
        succeeded, payload = pickle.loads(report)  # noqa: S301 - our own child's
    except Exception as error:  # noqa: BLE001 - a class may refuse to be built here
        return Outcome(job, OutcomeKind.EXCEPTION, error=error_record(error))
    if succeeded:
        return Outcome(job, OutcomeKind.FINISHED, value=payload)
    return Outcome(job, kind_of_error(payload), error=payload)


def _kernel_killed_since(before: int | None) -> bool:
    now = kernel_oom_kills()
    return before is not None and now is not None and now > before

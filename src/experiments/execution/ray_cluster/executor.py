"""The orchestrator's side: queue, slots, and what the gateway tells."""

from __future__ import annotations

import pickle  # between this program's own processes only
import time
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from ...domain.errors import MissingExtraError, ProcessDiedError, error_record, install_extra
from ..job import Event, Job, JobStarted, Outcome, OutcomeKind, Sampled
from ..job_queue import JobQueue
from ..process_pool import GRACE_SECONDS
from ..registry import ExecutorSettings
from .link import Gateway
from .messages import Began, Order, Over, Seen, Stop

CANCEL_SECONDS = GRACE_SECONDS + 10.0
"""How long cancelled jobs may take to end before they count as ended."""


@dataclass
class _Running:
    """A job that left the queue, and why it is to end, if it is."""

    job: Job
    stop: tuple[OutcomeKind, Exception | None] | None = None


class RayExecutor:
    """At most `slots` jobs at once, wherever Ray finds a machine for each."""

    def __init__(self, settings: ExecutorSettings) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError(
                "the ray executor needs Ray, which is not installed",
                remedy=install_extra("ray"),
            )
        self._settings = settings
        self._gateway: Gateway | None = None
        self._is_open = False
        self._queue = JobQueue(settings.slots)
        self._running: dict[int, _Running] = {}
        self._ready: deque[Event] = deque()
        self._tickets = 0

    def __enter__(self) -> Self:
        self._gateway = Gateway(self._settings)
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job, behind those that wait or before them."""
        self._queue.add(job, first=first)

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next start, sample or outcome; None when nothing happened in time.

        Raises:
            ExperimentsError: when the cluster is gone and does not come back.
        """
        if not self._ready:
            self._fill_slots()
        return self._ready.popleft() if self._ready else self._poll(timeout_seconds)

    def stop(self, job: Job, kind: OutcomeKind, cause: Exception) -> None:
        """End one job."""
        if self._queue.drop(job):
            self._ready.append(Outcome(job, kind, cause=cause))
        for ticket, running in self._running.items():
            if running.job is job:
                self._stop(ticket, kind, cause)

    def resize(self, slots: int) -> None:
        """Let so many jobs run at once from now on."""
        self._queue.resize(slots)

    def cancel(self) -> None:
        """Drop the queue and end the running jobs, by force after `GRACE_SECONDS`."""
        self._ready.extend(self._queue.cancel())
        for ticket in self._running:
            self._stop(ticket, OutcomeKind.CANCELLED, None)
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._running and time.monotonic() < deadline:
            event = self._poll(0.1)
            if event is not None:
                self._ready.append(event)
        self._end_all()

    def _stop(self, ticket: int, kind: OutcomeKind, cause: Exception | None) -> None:
        running = self._running[ticket]
        if running.stop is None:
            running.stop = (kind, cause)
            if self._gateway is not None:
                self._gateway.send(Stop(ticket, kind))

    def _connected(self) -> Gateway:
        if not self._is_open:
            raise RuntimeError("use the executor in a with block")
        if self._gateway is None:
            self._gateway = Gateway(self._settings)
        return self._gateway

    def _fill_slots(self) -> None:
        while job := self._queue.take(len(self._running)):
            gateway = self._connected()
            self._tickets += 1
            try:
                order = _order(self._tickets, job)
            except Exception as error:  # noqa: BLE001 - what a job is made of may fail in any way
                record = error_record(error)
                self._ready.append(Outcome(job, OutcomeKind.EXCEPTION, error=record))
                continue
            self._running[self._tickets] = _Running(job)
            gateway.send(order)

    def _poll(self, timeout_seconds: float) -> Event | None:
        try:
            message = self._connected().receive(timeout_seconds)
        except EOFError:
            return self._gateway_died()
        running = self._running.get(message.ticket) if message is not None else None
        if running is None:
            return None
        match message:
            case Began():
                return JobStarted(running.job, message.pid, message.host)
            case Seen():
                return Sampled(running.job, message.sample)
            case Over():
                del self._running[message.ticket]
                return _outcome(running, message)
        return None

    def _gateway_died(self) -> Event | None:
        """The cluster is gone with every running job; the next job connects once more."""
        self._connected().close()
        self._gateway = None
        self._end_all()
        return self._ready.popleft() if self._ready else None

    def _end_all(self) -> None:
        cause = ProcessDiedError("the connection to the cluster was lost")
        for ticket, running in self._running.items():
            self._ready.append(_outcome(running, Over(ticket, OutcomeKind.LOST, cause=cause)))
        self._running.clear()


def _order(ticket: int, job: Job) -> Order:
    target = pickle.dumps(job.target)
    meter = pickle.dumps(job.meter) if job.meter is not None else None
    environment = dict(job.environment()) if job.environment is not None else {}
    log = job.log.absolute() if job.log is not None else None
    return Order(ticket, job.name, target, log, environment, job.needs, meter)


def _outcome(running: _Running, over: Over) -> Outcome:
    job = running.job
    if over.kind is OutcomeKind.FINISHED:
        return _finished(job, over)
    if running.stop is not None:
        kind, cause = running.stop
        return Outcome(job, kind, cause=cause)
    kind = OutcomeKind.LOST if over.kind is OutcomeKind.CANCELLED else over.kind
    return Outcome(
        job,
        kind,
        error=over.error,
        signal_number=over.signal_number,
        exit_code=over.exit_code,
        cause=over.cause,
    )


def _finished(job: Job, over: Over) -> Outcome:
    try:
        value = pickle.loads(over.value or b"")  # noqa: S301 - our own run's
    except Exception as error:  # noqa: BLE001 - a class may refuse to be built here
        return Outcome(job, OutcomeKind.EXCEPTION, error=error_record(error))
    return Outcome(job, OutcomeKind.FINISHED, value=value)

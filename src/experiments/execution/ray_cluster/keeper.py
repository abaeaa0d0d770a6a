"""The keeper: a process beside each Ray worker that runs its jobs, one at a time.

It holds a process pool of one slot, so that a job ends here in every way in which it can end at
home, and the next one starts at once. It is no child of the Ray worker: a worker that leaves kills
its children outright, and what a run had started would outlive it. The keeper sees its connection
close instead, and ends the run with all that it started.
"""

from __future__ import annotations

import os
import pickle  # between this program's own processes only
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any

from ...domain.errors import ExperimentsError, TrainingError
from ..job import Job, JobStarted, Meter, Outcome, OutcomeKind
from ..process_pool import ProcessPoolExecutor
from ..registry import ExecutorSettings
from .messages import Began, Message, Order, Over, Seen, Stop, Workplace, this_machine

POLL_SECONDS = 0.2
"""How long one end of a connection is waited for before anything else is looked at."""
SAMPLE_SECONDS = 1.0


class Keeper:
    """The Ray worker's end: starts the keeper, sends it orders, receives what happens."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self._connection, theirs = Pipe()
        code = (
            "import os, sys\n"
            "if os.fork(): os._exit(0)\n"
            "sys.path[:] = filter(None, sys.path)\n"
            f"from {__name__} import keep; keep(int(sys.argv[1]))"
        )
        with theirs:
            subprocess.run(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-c", code, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": workplace.import_path},  # without Ray's packages
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                check=True,
            )
        self._connection.send(workplace)

    def send(self, request: Order | Stop) -> None:
        """Send a request.

        Raises:
            OSError: when the keeper is gone.
        """
        self._connection.send(request)

    def receive(self, timeout_seconds: float) -> Message | None:
        """What happened next, or None when nothing did in time.

        Raises:
            EOFError: when the keeper is gone.
        """
        if not self._connection.poll(timeout_seconds):
            return None
        message: Message = self._connection.recv()
        return message

    def close(self) -> None:
        """Let the keeper end what it runs, and leave."""
        self._connection.close()


def keep(descriptor: int) -> None:
    """Carry out one order after the other until the Ray worker goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as connection, suppress(EOFError, OSError):
        workplace: Workplace = connection.recv()
        with suppress(OSError):  # a machine without it gets absolute paths only
            os.chdir(workplace.directory)
        settings = ExecutorSettings(1, workplace.preload, workplace.threads)
        while True:
            with ProcessPoolExecutor(settings) as pool:
                while _Watch(connection, pool, workplace, connection.recv()).carry_out():
                    pass


class _Watch:
    """One job, from its order to its end."""

    def __init__(
        self,
        connection: Connection[Any, Any],
        pool: ProcessPoolExecutor,
        workplace: Workplace,
        order: Order,
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._order = order
        self._is_abroad = workplace.machine != this_machine()
        self._meter: Meter | None = None
        self._sample_at = 0.0
        target = partial(_call, order.target)
        self._job = Job(order.name, (), target, order.log, lambda: order.environment)

    def carry_out(self) -> bool:
        """Run the job, report what happens, obey what is asked; False if the pool is broken."""
        self._pool.submit(self._job)
        try:
            over = self._until_over()
        except ExperimentsError as error:  # nothing can be trained on this machine
            cause = TrainingError(error.what, where=socket.gethostname(), remedy=error.remedy)
            self._connection.send(Over(self._order.ticket, OutcomeKind.EXCEPTION, cause=cause))
            return False
        self._connection.send(over)
        return True

    def _until_over(self) -> Over:
        while True:
            event = self._pool.next_event(POLL_SECONDS)
            if isinstance(event, Outcome):
                return _over(self._order.ticket, event)
            if isinstance(event, JobStarted):
                self._begun(event.pid)
            while self._connection.poll():
                self._obey(self._connection.recv())
            self._measure()

    def _begun(self, pid: int) -> None:
        host = socket.gethostname() if self._is_abroad else None
        self._connection.send(Began(self._order.ticket, pid, host))
        if self._is_abroad and self._order.meter is not None:
            with suppress(Exception):  # a run is not the worse for not being measured
                self._meter = pickle.loads(self._order.meter)(pid)  # noqa: S301 - our own

    def _obey(self, request: Stop) -> None:
        if request.ticket == self._order.ticket:
            self._pool.stop(self._job, request.kind, TrainingError("it was stopped"))

    def _measure(self) -> None:
        if self._meter is None or time.monotonic() < self._sample_at:
            return
        self._sample_at = time.monotonic() + SAMPLE_SECONDS
        with suppress(Exception):
            sample = self._meter.sample()
            if sample is not None:
                self._connection.send(Seen(self._order.ticket, sample))


def _over(ticket: int, outcome: Outcome) -> Over:
    return Over(
        ticket,
        outcome.kind,
        outcome.value,
        outcome.error,
        outcome.signal_number,
        outcome.exit_code,
        outcome.cause,
    )


def _call(target: bytes) -> bytes:
    """Stays pickled until the run's own process: its libraries are imported nowhere else."""
    return pickle.dumps(pickle.loads(target)())  # noqa: S301 - sent by the orchestrator

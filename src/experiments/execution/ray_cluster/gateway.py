"""The gateway: the process that Ray knows as its driver.

Ray takes the process over that uses it: it installs signal handlers, prints, and ends the process
when its cluster goes. So the orchestrator does not use it itself. The gateway ends with the
orchestrator, and Ray's daemons on this machine, where it started them, end with the gateway.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import ray as typed_ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...domain.errors import (
    ExperimentsError,
    OutOfMemoryError,
    ProcessDiedError,
    TrainingError,
    described,
)
from ...domain.units import MIB
from ..job import Needs, OutcomeKind
from ..process_pool import GRACE_SECONDS
from .joining import cluster, kill_children, machines, shared_token
from .keeper import POLL_SECONDS
from .messages import Began, Connect, Connected, Message, Order, Over, Refused, Stop, Workplace
from .tasks import Bell, supervise

PLACE_SECONDS = 30.0
"""How long a job waits for a large enough machine where there is none yet."""
PATIENCE_SECONDS = GRACE_SECONDS + 4.0
"""How long a job that is to end may take before its Ray worker is ended."""
LISTENERS = 100_000

ray: Any = typed_ray  # its annotations do not know all that it takes


def serve(descriptor: int, parent: int) -> None:
    """Carry orders out on a cluster until the orchestrator, process `parent`, goes."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    with Connection(descriptor) as connection, suppress(EOFError, OSError):
        request: Connect = connection.recv()
        try:
            shared = request.shared_directory if request.address is not None else None
            with cluster(request), shared_token(shared) as token:
                connection.send(Connected())
                workplace = replace(request.workplace, token=token)
                _Gateway(connection, workplace, is_own=request.address is None).run()
        except ExperimentsError as error:
            connection.send(Refused(error))
    os._exit(0)  # threads may still wait for a job's next word


def _leave_with(parent: int) -> None:
    """Leave when the orchestrator is gone, whatever the main thread waits for."""
    while os.getppid() == parent:
        time.sleep(0.5)
    time.sleep(2.5)  # the main thread sees its connection close, and tidies up
    kill_children()
    os._exit(1)


@dataclass
class _Task:
    order: Order
    stream: Any
    place_by: float
    """Until when a machine that is large enough must have come."""
    has_begun: bool = False
    host: str | None = None
    end_by: float | None = None
    """When patience ends with a job that is to end."""


class _Gateway:
    """Makes each order a Ray task, and passes on what the tasks report."""

    def __init__(
        self, connection: Connection[Any, Any], workplace: Workplace, *, is_own: bool
    ) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._workplace = workplace
        self._place_seconds = 0.0 if is_own else PLACE_SECONDS
        self._tasks: dict[int, _Task] = {}
        self._is_stranded = False
        self._supervise = ray.remote(
            num_returns="streaming", max_retries=0, scheduling_strategy="SPREAD"
        )(supervise)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        bell = ray.remote(num_cpus=0, max_concurrency=LISTENERS, scheduling_strategy=here)(Bell)
        self._bell = bell.remote()

    def run(self) -> None:
        """Do what the orchestrator asks until it goes, or this machine is out of the cluster."""
        while not self._is_stranded:
            if self._connection.poll(POLL_SECONDS):
                request: Order | Stop = self._connection.recv()
                if isinstance(request, Order):
                    self._start(request)
                else:
                    self._stop(request)
            for task in list(self._tasks.values()):
                self._look_after(task)

    def _start(self, order: Order) -> None:
        needs = order.needs
        options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "name": order.name}
        if needs.memory_mb is not None:
            options["memory"] = int(needs.memory_mb * MIB)
        stream = self._supervise.options(**options).remote(order, self._workplace, self._bell)
        task = _Task(order, stream, time.monotonic() + self._place_seconds)
        self._tasks[order.ticket] = task
        threading.Thread(target=self._collect, args=(task,), daemon=True).start()

    def _stop(self, request: Stop) -> None:
        task = self._tasks.get(request.ticket)
        if task is None:
            return
        task.end_by = time.monotonic() + PATIENCE_SECONDS
        if task.has_begun:
            self._bell.ring.remote(request.ticket, request.kind)
        else:
            ray.cancel(task.stream)

    def _look_after(self, task: _Task) -> None:
        now = time.monotonic()
        if task.end_by is not None and now >= task.end_by:
            task.end_by = now + PATIENCE_SECONDS
            ray.cancel(task.stream, force=True)
        if not task.has_begun and now >= task.place_by:
            task.place_by = now + PLACE_SECONDS
            if not any(_has_room(machine, task.order.needs) for machine in machines()):
                self._send(_no_room(task.order))
                ray.cancel(task.stream)

    def _collect(self, task: _Task) -> None:
        """Pass on what a task reports, to its end; the work of a thread."""
        over: Over | None = None
        try:
            for reference in task.stream:
                message = ray.get(reference)
                if isinstance(message, Over):
                    over = message
                    continue
                if isinstance(message, Began):
                    task.has_begun, task.host = True, message.host
                self._send(message)
        except Exception as error:  # noqa: BLE001 - whatever Ray reports is the job's outcome
            over = over or _failure(task, error)
            self._is_stranded |= isinstance(error, exceptions.LocalRayletDiedError)
        del self._tasks[task.order.ticket]
        self._send(over or _lost(task))
        self._bell.ring.remote(task.order.ticket, None)

    def _send(self, message: Message) -> None:
        with self._sending, suppress(OSError):  # the orchestrator may have gone
            self._connection.send(message)


def _has_room(machine: dict[str, Any], needs: Needs) -> bool:
    has = machine["Resources"]
    return bool(
        has.get("CPU", 0) >= needs.cpus
        and has.get("GPU", 0) >= needs.gpus
        and has.get("memory", 0) >= (needs.memory_mb or 0) * MIB
    )


def _no_room(order: Order) -> Over:
    needs = order.needs
    memory = f" and {needs.memory_mb:.0f} MiB of memory" if needs.memory_mb else ""
    cause = TrainingError(
        f"no machine of the cluster has {needs.cpus:g} CPUs, {needs.gpus:g} GPUs{memory}",
        remedy="`ray status` shows what there is",
    )
    return Over(order.ticket, OutcomeKind.EXCEPTION, cause=cause)


def _failure(task: _Task, error: Exception) -> Over:
    """What became of a job whose task did not tell its end."""
    ticket = task.order.ticket
    match error:
        case exceptions.TaskCancelledError():
            return Over(ticket, OutcomeKind.CANCELLED)
        case exceptions.OutOfMemoryError():
            full = OutOfMemoryError(
                "Ray ended the run because its machine's memory ran out",
                remedy="train fewer runs at once (--max-workers), or with smaller buffers",
            )
            return Over(ticket, OutcomeKind.OUT_OF_MEMORY, cause=full)
        case exceptions.RayTaskError() if not isinstance(error.cause, EOFError | OSError):
            return Over(ticket, OutcomeKind.EXCEPTION, cause=_not_carried_out(error))
        case exceptions.RuntimeEnvSetupError() | exceptions.TaskUnschedulableError():
            return Over(ticket, OutcomeKind.EXCEPTION, cause=_not_carried_out(error))
        case _:
            return _lost(task)


def _not_carried_out(error: Exception) -> TrainingError:
    own = getattr(error, "cause", None) or error
    return TrainingError(
        f"Ray could not carry the run out: {described(own)}",
        remedy="the same Python, packages and code must be installed on every machine",
    )


def _lost(task: _Task) -> Over:
    where = f" ({task.host})" if task.host else ""
    cause = ProcessDiedError(f"its machine, or Ray's process there, is gone{where}")
    return Over(task.order.ticket, OutcomeKind.LOST, cause=cause)

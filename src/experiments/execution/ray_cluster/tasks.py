"""What Ray carries out for the gateway on the cluster's machines."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from ...domain.errors import StorageError
from ..job import OutcomeKind
from .keeper import POLL_SECONDS, Keeper
from .messages import Message, Order, Over, Stop, Workplace

_keeper: Keeper | None = None
"""The one beside this Ray worker; it stays warm from one task to the next."""


def sees(token: Path) -> bool:
    """Whether this machine sees the orchestrator's file."""
    return token.exists()


def supervise(order: Order, workplace: Workplace, bell: Any) -> Iterator[Message]:
    """Watch over one job on the machine where Ray put this task; the last message is its end."""
    global _keeper
    if workplace.token is not None and not sees(workplace.token):
        yield Over(order.ticket, OutcomeKind.EXCEPTION, cause=_not_seen(workplace.token))
        return
    keeper, _keeper = _keeper or Keeper(workplace), None
    try:
        keeper.send(replace(order, environment=_with_devices(order)))
        yield from _until_over(order.ticket, keeper, bell)
        _keeper = keeper
    finally:
        if _keeper is not keeper:
            keeper.close()


def _until_over(ticket: int, keeper: Keeper, bell: Any) -> Iterator[Message]:
    listening = [bell.listen.remote(ticket)]
    message: Message | None = None
    while not isinstance(message, Over):
        message = keeper.receive(POLL_SECONDS)
        if message is not None:
            yield message
        elif listening and ray.wait(listening, timeout=0)[0]:
            with suppress(ray.exceptions.RayError):  # without a bell the Ray worker is ended
                keeper.send(Stop(ticket, ray.get(listening.pop())))


def _with_devices(order: Order) -> dict[str, str]:
    """The job's variables, and the devices that Ray gave it instead of the orchestrator's."""
    variables = dict(order.environment)
    if order.needs.gpus and "CUDA_VISIBLE_DEVICES" in os.environ:
        variables["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    return variables


def _not_seen(token: Path) -> StorageError:
    return StorageError(
        f"{socket.gethostname()} does not see what is written there",
        where=str(token.parent),
        remedy="choose storage that every machine mounts at the same place (--output-dir)",
    )


class Bell:
    """Tells the tasks that a job is to end: each listens for its own ticket."""

    def __init__(self) -> None:
        self._rung: dict[int, asyncio.Future[OutcomeKind | None]] = {}

    async def listen(self, ticket: int) -> OutcomeKind | None:
        """Why the job is to end, once it is; None when it ended by itself."""
        return await self._of(ticket)

    async def ring(self, ticket: int, kind: OutcomeKind | None) -> None:
        """Have the job ended, or, without a kind, let nobody listen for it any more."""
        future = self._of(ticket)
        if not future.done():
            future.set_result(kind)
        if kind is None:
            del self._rung[ticket]

    def _of(self, ticket: int) -> asyncio.Future[OutcomeKind | None]:
        if ticket not in self._rung:
            self._rung[ticket] = asyncio.get_running_loop().create_future()
        return self._rung[ticket]

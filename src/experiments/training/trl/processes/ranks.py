"""Several processes that train one model: started here, joined by torch.distributed.

The process of the run is the first; it alone evaluates, records and saves. The others do what it
does, step by step, and end when it ends, however it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore

from ....domain.errors import TrainingError
from ....domain.records import TrainerConfig
from .companions import Companion
from .variables import own_variables

LOOPBACK = "127.0.0.1"
LONGEST_WAIT = timedelta(hours=24)
"""How long processes wait for each other: while the first evaluates, the others do."""
MEETING_SECONDS = 120.0
"""How long those that have all arrived may take to connect."""
DYING_SECONDS = 5.0
"""How long the end of a process may take to be seen after what it leads to."""
POLL_SECONDS = 0.05
_ARRIVED = "arrived/"


@dataclass
class Ranks:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    count: int = 1
    companions: Sequence[Companion] = field(default_factory=list)
    """Those that this one has started."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the run's own."""
        return self.rank == 0

    def shared(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        box = [value if self.is_first else None]
        with self.explaining():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes in their order, in each."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with self.explaining():
            dist.all_gather_object(values, value)
        return values

    def check_count(self, world_size: int) -> None:
        """Refuse to train with more or fewer processes than were asked for.

        Raises:
            TrainingError: with both numbers.
        """
        if world_size != self.count:
            raise TrainingError(
                f"{self.count} processes were asked for, and Accelerate counts {world_size}",
                remedy="train with the versions of constraints.txt, or with one process "
                "(/hyperparameters/processes)",
            )

    def check_alike(self, parameters_sha256: str) -> None:
        """Make sure that all processes have come to the same parameters.

        Raises:
            TrainingError: when they have not.
        """
        found = self.gathered(parameters_sha256)
        if len(set(found)) > 1:
            raise TrainingError(f"the parameters differ between the processes: {', '.join(found)}")

    def explained(self, error: Exception) -> Exception:
        """The error, or that of a process whose end was the cause of it."""
        return self._end_of_another(DYING_SECONDS) or error

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Tell of the process whose end made the block fail.

        Raises:
            TrainingError: naming it.
        """
        try:
            yield
        except Exception as error:
            raise self.explained(error) from error

    def meet(self, store: TCPStore) -> None:
        """Wait until all have arrived, and connect.

        Raises:
            TrainingError: naming a process that ended instead.
        """
        while not all(store.check([f"{_ARRIVED}{each.rank}"]) for each in self.companions):
            ended = self._end_of_another()
            if ended is not None:
                raise ended
            time.sleep(POLL_SECONDS)
        with self.explaining():
            _connect(store, self.rank, self.count)

    def _end_of_another(self, wait_seconds: float = 0.0) -> TrainingError | None:
        """The end of the first that is seen to have ended, in so many seconds at most."""
        deadline = time.monotonic() + wait_seconds
        while True:
            for each in self.companions:
                how = each.ended()
                if how is not None:
                    return TrainingError(f"process {each.rank + 1} of {self.count} {how}")
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)


@contextmanager
def leading(config: TrainerConfig, count: int) -> Iterator[Ranks]:
    """Start the other processes of a run and meet them, and end them with the block.

    Variables of other launchers are out of the way meanwhile.

    Raises:
        TrainingError: when one of them ends before it has arrived.
    """
    with own_variables():
        if count == 1:
            yield Ranks()
            return
        with _others(config, count) as ranks:
            yield ranks


@contextmanager
def _others(config: TrainerConfig, count: int) -> Iterator[Ranks]:
    store = _store(0, count, port=0)  # the system chooses one that is free, and it is ours at once
    companions: list[Companion] = []
    try:
        for rank in range(1, count):
            variables = _variables_of(rank, count, store.port, config.torch_threads)
            companions.append(Companion(rank, config, variables))
        with own_variables(_variables_of(0, count, store.port, config.torch_threads)):
            ranks = Ranks(0, count, companions)
            ranks.meet(store)
            yield ranks
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        _end(companions)


def following() -> Ranks:
    """Meet the first process, in one that was started by it."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = _store(rank, count, int(os.environ["MASTER_PORT"]))
    store.set(f"{_ARRIVED}{rank}", "")
    _connect(store, rank, count)
    return Ranks(rank, count)


def _store(rank: int, count: int, port: int) -> TCPStore:
    return TCPStore(
        LOOPBACK,
        port,
        count,
        is_master=rank == 0,
        timeout=timedelta(seconds=MEETING_SECONDS),
        wait_for_workers=False,
    )


def _connect(store: TCPStore, rank: int, count: int) -> None:
    """Set torch.distributed up; Accelerate takes over what is set up already."""
    soon = timedelta(seconds=MEETING_SECONDS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=soon)
    dist.distributed_c10d._set_pg_timeout(LONGEST_WAIT)  # from here on a broken connection is told


def _variables_of(rank: int, count: int, port: int, threads: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(threads),  # else Accelerate chooses
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
    }


def _end(companions: Sequence[Companion]) -> None:
    for each in companions:
        each.tell_to_end()
    for each in companions:
        each.end()

"""Several processes that train one model: started here, joined by torch.distributed.

The process of the run is the first; it alone evaluates, records and saves. The others do what it
does, step by step, and end when it ends, however it ends.
"""

from __future__ import annotations

import json
import logging
import os
import pickle  # to processes of our own, through a pipe of our own
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist

from ...domain.errors import TrainingError
from ...domain.records import TrainerConfig

logger = logging.getLogger(__name__)

FOLLOWER = f"{__package__}.follower"
LOOPBACK = "127.0.0.1"
END_SECONDS = 10.0
"""How long a process may take to end once it is told to."""


@dataclass
class Ranks:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    count: int = 1
    followers: Sequence[subprocess.Popen[bytes]] = field(default_factory=list)
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
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes in their order, in each."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def check_count(self, world_size: int) -> None:
        """Refuse to train with fewer processes than were asked for.

        Raises:
            TrainingError: with both numbers.
        """
        if world_size != self.count:
            raise TrainingError(
                f"{self.count} processes were asked for, and {world_size} would train",
                remedy="unset the variables of another launcher (WORLD_SIZE, RANK, ACCELERATE_*)",
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
        for rank, follower in enumerate(self.followers, 1):
            try:
                code = follower.wait(0 if follower.poll() is not None else 1.0)
            except subprocess.TimeoutExpired:
                continue
            return TrainingError(f"process {rank + 1} of {self.count} ended with code {code}")
        return error


@contextmanager
def leading(config: TrainerConfig, count: int) -> Iterator[Ranks]:
    """Start the other processes of a run, and end them with the block."""
    if count == 1:
        yield Ranks()
        return
    port = _free_port()
    followers = [_started(config, rank, count, port) for rank in range(1, count)]
    try:
        with _variables(_rendezvous(0, count, port, config.torch_threads)):
            yield Ranks(0, count, followers)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        _end(followers)


def following(rank: int) -> Ranks:
    """The ranks as a process sees them that was started by the first."""
    return Ranks(rank, int(os.environ["WORLD_SIZE"]))


def _started(config: TrainerConfig, rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(each or os.getcwd() for each in sys.path)  # noqa: PTH109
    variables = _rendezvous(rank, count, port, config.torch_threads)
    environment = {**os.environ, **variables, "PYTHONPATH": path}
    follower = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", FOLLOWER], stdin=subprocess.PIPE, env=environment
    )
    assert follower.stdin is not None  # noqa: S101 - it is a pipe
    data = pickle.dumps(config)
    follower.stdin.write(json.dumps(len(data)).encode() + b"\n" + data)
    follower.stdin.flush()  # and stays open: its end is the end of this process
    return follower


def _rendezvous(rank: int, count: int, port: int, threads: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(threads),  # else Accelerate chooses
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
    }


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _end(followers: Sequence[subprocess.Popen[bytes]]) -> None:
    for follower in followers:
        if follower.stdin is not None:
            follower.stdin.close()
    for follower in followers:
        try:
            follower.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()

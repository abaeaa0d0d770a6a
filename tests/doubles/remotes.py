"""The doubles of both servers under one interface, each in a process that can be ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from . import wandb_server
from .clearml_server import ClearmlProcess
from .wandb_world import API_KEY

ROOT = Path(__file__).parents[2]


class Remote(Protocol):
    """A server of one tracker."""

    tracker: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which the tracker reaches it."""
        ...

    @property
    def wrong_keys(self) -> Mapping[str, str]:
        """The same, with keys that it refuses."""
        ...

    def refuse(self, status: int) -> None:
        """Answer every request with a status; 200 answers as it should again."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        ...

    def restart(self) -> None:
        """Start it again after a kill, with the same address and memory."""
        ...

    def series(self, metric: str) -> list[tuple[str, list[tuple[float, float]]]]:
        """Name, and steps and values of a metric as often as they came, of each remote run."""
        ...

    def statuses(self) -> list[tuple[str, str]]:
        """Name, and how it ended, of each remote run."""
        ...

    def received(self) -> list[bytes]:
        """Every request, but for where it says who sent it."""
        ...


class ClearmlRemote:
    """The double of a ClearML server."""

    tracker = "clearml"

    def __init__(self, folder: Path) -> None:
        self._server = ClearmlProcess(folder)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        _wake(self._server.process)
        self._server.__exit__(None, None, None)

    @property
    def environment(self) -> dict[str, str]:
        return self._server.environment

    @property
    def wrong_keys(self) -> dict[str, str]:
        return {**self.environment, "CLEARML_API_SECRET_KEY": "wrong-key-of-nobody"}

    def refuse(self, status: int) -> None:
        self._server.misbehave(**({} if status == 200 else {"status": status}))

    def signal(self, number: signal.Signals) -> None:
        self._server.process.send_signal(number)
        if number is signal.SIGKILL:
            self._server.process.wait()

    def restart(self) -> None:
        self._server.start()

    def series(self, metric: str) -> list[tuple[str, list[tuple[float, float]]]]:
        tasks = self._server.world.tasks.values()
        return sorted((task.name, sorted(task.scalars.get(metric, []))) for task in tasks)

    def statuses(self) -> list[tuple[str, str]]:
        return sorted((task.name, task.status) for task in self._server.world.tasks.values())

    def received(self) -> list[bytes]:
        return [_open_parts(each) for each in self._server.world.requests]


class WandbRemote:
    """The double of a Weights & Biases server."""

    tracker = "wandb"

    def __init__(self, folder: Path, *, survives: bool = True) -> None:
        """`survives`: whether what it knows outlives it, which costs it time at each request."""
        self._state = folder / "wandb_double.pickle" if survives else None
        self._port = 0

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(self, *raised: object) -> None:
        _wake(self._process)
        self._process.kill()
        self._process.wait()

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self._url, "WANDB_API_KEY": API_KEY}

    @property
    def wrong_keys(self) -> dict[str, str]:
        return {**self.environment, "WANDB_API_KEY": "0" * len(API_KEY)}

    def refuse(self, status: int) -> None:
        behaviour = {} if status == 200 else {"status": status}
        wandb_server.misbehave(self._url, **behaviour)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait()

    def restart(self) -> None:
        options = ["--port", str(self._port)]
        options += [] if self._state is None else ["--state", str(self._state)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.wandb_server", *options],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        with self._process.stdout as output:
            self._url = output.readline().strip()
        assert self._url.startswith("http"), "the double did not start"
        self._port = int(self._url.rpartition(":")[2])  # the same after a kill

    def series(self, metric: str) -> list[tuple[str, list[tuple[float, float]]]]:
        runs = wandb_server.read_world(self._url).runs.values()
        return sorted((run.name, sorted(run.series(metric))) for run in runs)

    def statuses(self) -> list[tuple[str, str]]:
        runs = wandb_server.read_world(self._url).runs.values()
        return sorted((run.name, str(run.state)) for run in runs)

    def received(self) -> list[bytes]:
        return [_open_parts(each) for each in wandb_server.read_world(self._url).requests]


REMOTES = {remote.tracker: remote for remote in (ClearmlRemote, WandbRemote)}


def closed_port() -> str:
    """An address where nobody listens, nor anybody can as long as this process lives."""
    return f"http://127.0.0.1:{_taken().getsockname()[1]}"


@cache
def _taken() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def _open_parts(request: Any) -> bytes:
    headers = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
    return f"{request.path}\n{headers}\n".encode() + request.body


def _wake(process: subprocess.Popen[str]) -> None:
    """Let a process that was stopped go on, so that it can end."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)

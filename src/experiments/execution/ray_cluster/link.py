"""The orchestrator's end of the gateway: starts it, sends requests, receives what happens."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from ...domain.errors import ExperimentsError, UsageError
from ..registry import ExecutorSettings
from .messages import Connect, Order, Refused, Stop, Workplace, this_machine

CONNECT_SECONDS = 60.0
"""How long a cluster may take to start, or to be joined, storage looked at."""
LEAVE_SECONDS = 10.0
"""How long the gateway may take to end its cluster."""


class Gateway:
    """The orchestrator's end: starts the gateway, sends requests, receives what happens."""

    def __init__(self, settings: ExecutorSettings) -> None:
        address = _checked(settings.address or os.environ.get("RAY_ADDRESS"))
        self._connection, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process
        code = (
            "import sys; sys.path[:] = sys.argv[3:]; "
            f"from {__package__}.gateway import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid()), *sys.path]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                command,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_variables(address)},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
        try:
            self.send(_connect(settings, address))
            self._wait_for_cluster(address)
        except BaseException:
            self._process.terminate()  # it may be busy with a cluster that does not answer
            self.close()
            raise

    def send(self, request: Connect | Order | Stop) -> None:
        """Send a request; one to a gateway that is gone is dropped, `receive` tells of its end."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send(request)

    def receive(self, timeout_seconds: float) -> Any:
        """What happened next, or None when nothing did in time.

        Raises:
            EOFError: when the gateway is gone.
        """
        try:
            return self._connection.recv() if self._connection.poll(timeout_seconds) else None
        except ConnectionResetError as error:
            raise EOFError("the gateway is gone") from error

    def close(self) -> None:
        """End the gateway, every job that it still runs, and the cluster if it started one."""
        self._connection.close()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):  # Ray's agents, if the gateway did not end them
            os.killpg(self._process.pid, signal.SIGKILL)
        self._output.close()

    def _wait_for_cluster(self, address: str | None) -> None:
        where = address or "this machine"
        try:
            answer = self.receive(CONNECT_SECONDS)
        except EOFError:
            raise ExperimentsError(
                f"Ray ended unexpectedly: {self._last_words()}",
                where=where,
                remedy="`ray status` shows whether the cluster is running",
            ) from None
        match answer:
            case Refused(error):
                raise error
            case None:
                raise ExperimentsError(
                    f"the Ray cluster did not appear within {CONNECT_SECONDS:.0f} s",
                    where=where,
                    remedy="`ray status` shows whether it is running",
                )

    def _last_words(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


def _checked(address: str | None) -> str | None:
    """The address in a form that the gateway takes, which runs on a machine of the cluster."""
    if not address:
        return None
    if address != "auto" and not re.fullmatch(r"[^/]+:\d{1,5}", address):
        raise UsageError(
            "not the address of a Ray cluster",
            where=address,
            remedy="give the head's as host:port, or `auto` for the cluster of this machine",
        )
    return address


def _variables(address: str | None) -> dict[str, str]:
    """What Ray is told by environment variables, which it reads when it is imported."""
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # it would upload the working directory
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_worker_niceness": "0",  # runs are not to give way to everything else
    }
    if address is None and "RAY_AUTH_MODE" not in os.environ:  # Ray would write one to the home
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return variables


def _connect(settings: ExecutorSettings, address: str | None) -> Connect:
    directory = settings.shared_directory
    directory = directory.absolute() if directory is not None else None
    workplace = Workplace(
        settings.preload, settings.threads, _import_path(), str(Path.cwd()), this_machine()
    )
    return Connect(address, settings.slots, directory, workplace)


def _import_path() -> str:
    """Where this process finds modules that do not come with the interpreter's own installation."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    entries = [Path(entry).absolute() for entry in sys.path]
    return os.pathsep.join(
        str(entry)
        for entry in dict.fromkeys(entries)
        if entry.is_dir() and not any(entry.is_relative_to(root) for root in own)
    )

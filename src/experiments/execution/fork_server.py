"""A warm process that forks one child a job: imports are paid once, a further run starts at once.

`ForkServer` is the client, used by the orchestrator. `serve` is the server's loop: single-threaded,
it forks on request, reaps, reports every end, and kills what is left when the orchestrator goes.
The two speak pickled messages, each behind its length, over a socket pair. The standard library's
fork server is not used because it runs the user's main script again in every child, and does not
find modules to preload outside the working directory.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle  # between this program's own processes only
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import error_record
from .fork_messages import Broken, Ended, Kill, Start, Started
from .forked_child import become_child

_ENDING_SECONDS = 2.0
"""How long what the runs started is looked for when the orchestrator has gone."""
_LENGTH = struct.Struct("!Q")
_PR_SET_CHILD_SUBREAPER = 36


class ForkServer:
    """The orchestrator's end: starts the server, sends requests, receives events."""

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        code = (
            "import os, sys; fd = int(sys.argv[1]); sys.path[:] = sys.argv[3:]; "
            f"from {__name__} import serve; serve(fd, sys.argv[2].split(',')); "
            "os._exit(0)"  # taking all that was imported down again would take its time
        )
        command = [sys.executable, "-c", code, str(theirs.fileno()), ",".join(preload), *sys.path]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
            command,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self.is_serving = False
        """Whether its imports are done and it has answered."""

    def send(self, request: Start | Kill) -> None:
        """Send a request; one to a server that is gone is dropped, `receive` tells of its end."""
        with suppress(BrokenPipeError, ConnectionResetError):
            _send(self._socket, request)

    def receive(self, timeout_seconds: float) -> Started | Ended | Broken | None:
        """The next event, or None when there is none in time.

        Raises:
            EOFError: when the server is gone.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                return None
        try:
            event: Started | Ended | Broken = _receive(self._socket)
        except ConnectionResetError as error:
            raise EOFError("the server is gone") from error
        self.is_serving = True
        return event

    def close(self) -> None:
        """End the server and every child that is left; one that still imports is not waited for."""
        self._socket.close()
        if not self.is_serving:
            self._process.kill()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class _Child:
    ticket: int
    pid: int
    report: int
    """The read end of the pipe on which the child leaves its report."""
    received: bytearray


class _Server:
    """Forks, reaps, reports."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(connection, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until the orchestrator goes."""
        try:
            while True:
                for key, _ in self._selector.select():
                    self._handle(key.fd)
        except (EOFError, OSError):
            pass  # the orchestrator is gone
        finally:
            self._end_everything()

    def _handle(self, descriptor: int) -> None:
        if descriptor == self._connection.fileno():
            request = _receive(self._connection)
            if isinstance(request, Start):
                self._start(request)
            else:
                self._kill(request)
        elif descriptor == self._wake_read:
            with suppress(BlockingIOError):
                os.read(descriptor, 512)
            self._reap()
        else:
            self._read_report(descriptor)

    def _start(self, request: Start) -> None:
        server = os.getpid()
        try:
            read_end, write_end = os.pipe()
        except OSError as error:
            return self._refuse(request, error)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(read_end)
            os.close(write_end)
            return self._refuse(request, error)
        if pid == 0:
            become_child(request, server, write_end)
        os.close(write_end)
        os.set_blocking(read_end, False)
        child = _Child(request.ticket, pid, read_end, bytearray())
        self._children[pid] = child
        self._selector.register(read_end, selectors.EVENT_READ)
        return _send(self._connection, Started(request.ticket, pid))

    def _refuse(self, request: Start, error: OSError) -> None:
        """No process was to be had for this job; the others are none the worse for it."""
        report = pickle.dumps((False, error_record(error)))
        _send(self._connection, Ended(request.ticket, 0, report))

    def _kill(self, request: Kill) -> None:
        """Signal a child; by force all that it started as well, which it may need to end well."""
        for child in self._children.values():
            if child.ticket == request.ticket:
                is_force = request.signal_number == signal.SIGKILL
                if not (is_force and _signal_group(child.pid, request.signal_number)):
                    os.kill(child.pid, request.signal_number)

    def _read_report(self, descriptor: int) -> None:
        for child in self._children.values():
            if child.report == descriptor:
                if not _drain(child):
                    self._selector.unregister(descriptor)
                return
        # reaped a moment ago, in the same batch of events

    def _reap(self) -> None:
        while (ended := _next_ended()) is not None:
            pid, status = ended
            child = self._children.pop(pid, None)
            if child is None:
                continue  # what an ended run had left behind
            _drain(child)
            with suppress(KeyError):
                self._selector.unregister(child.report)
            os.close(child.report)
            _signal_group(pid, signal.SIGKILL)  # what the child started and left behind
            _send(self._connection, Ended(child.ticket, status, bytes(child.received)))
        if not self._children:  # while a run is left, a stray may be a part of it
            _kill_all(_own_children())

    def _end_everything(self) -> None:
        """Kill the runs and all that they started, also in sessions of their own."""
        for child in self._children.values():
            _signal_group(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + _ENDING_SECONDS
        while (left := _own_children()) and time.monotonic() < deadline:
            _kill_all(left)  # what they started becomes ours, and is found in the next round
            while _next_ended() is not None:
                pass
            time.sleep(0.01)


def _next_ended() -> tuple[int, int] | None:
    """A child that has ended, and its wait status."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _own_children() -> list[int]:
    """The children of this process, orphans that it was given included (Linux)."""
    own = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    except OSError:
        return []


def _kill_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def serve(descriptor: int, preload: Sequence[str]) -> None:
    """Import the modules named by `preload`, then fork children until the orchestrator goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _adopt_orphans()
    with socket.socket(fileno=descriptor) as connection:
        gc.disable()  # it would look through all that is imported, again and again, for nothing
        try:
            for module in preload:
                if module:
                    importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - any import can fail in any way
            _send(connection, Broken(error_record(error)))
            return
        gc.freeze()  # what is imported is shared with every child, and never collected in one
        gc.enable()
        _Server(connection).run()


def _adopt_orphans() -> None:
    """Become the parent of whatever a run leaves behind (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _drain(child: _Child) -> bool:
    """Read what the child has written so far; False at the end of the pipe."""
    while True:
        try:
            data = os.read(child.report, 1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        child.received += data


def _signal_group(pid: int, number: int) -> bool:
    """Signal a child and all it started; False where there is no such group."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _send(connection: socket.socket, message: Any) -> None:
    data = pickle.dumps(message)
    connection.sendall(_LENGTH.pack(len(data)) + data)


def _receive(connection: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    return pickle.loads(_receive_exactly(connection, length))  # noqa: S301 - our own process


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError("the other end is gone")
        data += chunk
    return bytes(data)

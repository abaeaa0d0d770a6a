"""A ClearML server on loopback: strict, observable, and badly behaved on request.

In a test's own process::

    with ClearmlServer() as server:
        ...  # CLEARML_* variables: server.environment
        (task,) = server.world.tasks.values()
        task.scalars["rollouts/returns_mean"]

As a process of its own, which can be stopped and killed::

    with ClearmlProcess(tmp_path) as server:
        server.process.kill()
        server.start()  # the same port, and everything that it knew
        server.world.tasks

``python -m tests.doubles.clearml_server --port 0 --log FILE`` is that process; it prints its URL.
API and file server share the port.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..waiting import HANG_SECONDS
from .clearml_records import Answer, RefusedError, Request
from .clearml_world import ACCESS_KEY, SECRET_KEY, ClearmlWorld

_OWN = "/double/"


@dataclass
class Behaviour:
    """How requests are answered, from the `first`-th of those that concern `path`."""

    status: int | None = None
    """Answered in place of the true one; the request has no effect."""
    first: int = 1
    path: str = ""
    """A part of the request's path, such as ``tasks.create``; empty for every request."""
    delay_seconds: float = 0.0
    frozen: bool = False
    """No answer comes until the behaviour is changed."""
    is_lost: bool = False
    """The request is carried out, and the connection closed without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out one after the other
    server: _Listener

    def do_GET(self) -> None:
        self._take()

    do_POST = do_PUT = do_HEAD = do_GET

    def _take(self) -> None:
        request = Request(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self._body(),
            time.time(),
        )
        if self.path.startswith(_OWN):
            self._send(self.server.own(request))
            return
        answer = self.server.take(request)
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *arguments: Any) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, world: ClearmlWorld, log: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.world = world
        self.behaviour = Behaviour()
        self.lock = threading.Lock()
        self._changed = threading.Condition(self.lock)
        self.concerned = 0
        self._log = log

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away

    def misbehave(self, behaviour: Behaviour) -> None:
        with self._changed:
            self.behaviour, self.concerned = behaviour, 0
            self._changed.notify_all()

    def take(self, request: Request) -> Answer | None:
        behaviour = self._behaviour_for(request)
        if behaviour.delay_seconds:
            time.sleep(behaviour.delay_seconds)
        with self._changed:
            self._changed.wait_for(lambda: not behaviour.frozen or self.behaviour is not behaviour)
            if behaviour.status is not None:
                refusal = RefusedError(behaviour.status, 0, "as the test wants it")
                answer = self.world.refusal(request, refusal)
            else:
                answer = self.world.answer(request)
            self._note(replace(request, status=answer.status))
        return None if behaviour.is_lost else answer

    def _behaviour_for(self, request: Request) -> Behaviour:
        with self.lock:
            if self.behaviour.path not in request.path:
                return Behaviour()
            self.concerned += 1
            return self.behaviour if self.concerned >= self.behaviour.first else Behaviour()

    def _note(self, request: Request) -> None:
        self.world.requests.append(request)
        if self._log is not None:  # before the answer goes out: a kill forgets nothing answered
            with self._log.open("a") as file:
                file.write(request.to_json() + "\n")

    def own(self, request: Request) -> Answer:
        """What tests ask of a double in another process."""
        if request.path == f"{_OWN}behaviour":
            self.misbehave(Behaviour(**json.loads(request.body)))
            return Answer(200, "application/json", b"{}")
        with self.lock:
            lines = "\n".join(each.to_json() for each in self.world.requests)
        return Answer(200, "application/json-lines", lines.encode())


class _Addressed:
    """What both forms of the double tell of themselves."""

    url: str
    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a tracker reaches it."""
        return {
            "CLEARML_API_HOST": self.url,
            "CLEARML_WEB_HOST": self.url,
            "CLEARML_FILES_HOST": self.url,
            "CLEARML_API_ACCESS_KEY": self.access_key,
            "CLEARML_API_SECRET_KEY": self.secret_key,
        }


class ClearmlServer(_Addressed):
    """The double in threads of this process; `world` is what it knows."""

    def __init__(self) -> None:
        self.world = ClearmlWorld()
        self._listener = _Listener(0, self.world, None)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> Self:
        arguments = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs=arguments)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.misbehave(Behaviour())  # those who wait are let go
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def misbehave(self, **behaviour: Any) -> None:
        """From now on, behave as `Behaviour` says; without arguments, well."""
        self._listener.misbehave(Behaviour(**behaviour))

    @property
    def concerned(self) -> int:
        """Requests since then for which that was said, those that still wait included."""
        return self._listener.concerned


class ClearmlProcess(_Addressed):
    """The double in a process of its own, whose memory outlives it in a file."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "clearml_double.jsonl"
        self._port = 0
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it, after a kill with the same port and memory."""
        command = [sys.executable, "-m", __spec__.name, "--port", str(self._port)]
        self.process = subprocess.Popen(
            [*command, "--log", str(self._log)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self.process.stdout is not None
        with self.process.stdout as output:  # it says nothing more
            self.url = output.readline().strip()
        assert self.url.startswith("http"), "the double did not start"
        self._port = int(self.url.rpartition(":")[2])

    @property
    def world(self) -> ClearmlWorld:
        """A copy of what it knows now, also after it was killed."""
        return _remembered(self._log)

    def misbehave(self, **behaviour: Any) -> None:
        """From now on, behave as `Behaviour` says; without arguments, well."""
        body = json.dumps(asdict(Behaviour(**behaviour))).encode()
        request = urllib.request.Request(f"{self.url}{_OWN}behaviour", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=HANG_SECONDS):
            pass


def _remembered(log: Path) -> ClearmlWorld:
    """What a log tells; its last line is left out while it is written, or where a kill cut it."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    return ClearmlWorld.replay(Request.from_json(line) for line in whole)


def _drop_what_was_cut(log: Path) -> None:
    if log.exists():
        os.truncate(log, log.read_bytes().rfind(b"\n") + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="a ClearML server on loopback, for tests")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="remembers what was told, and is read at start")
    arguments = parser.parse_args()
    log = arguments.log
    world = ClearmlWorld()
    if log is not None:
        world = _remembered(log)
        _drop_what_was_cut(log)
    listener = _Listener(arguments.port, world, log)
    print(f"http://127.0.0.1:{listener.server_address[1]}", flush=True)
    listener.serve_forever()


if __name__ == "__main__":
    main()

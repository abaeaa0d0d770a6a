"""A Weights & Biases server on loopback: strict, observable, and badly behaved on request.

In a test's own process::

    with WandbServer() as server:
        ...  # WANDB_BASE_URL=server.url, WANDB_API_KEY=server.api_key
        server.world.runs["..."].history

As a process of its own, which can be stopped and killed, ``python -m tests.doubles.wandb_server``
prints its URL; `read_world` and `misbehave` speak to it.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import pickle
import re
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..waiting import HANG_SECONDS
from .wandb_artifacts import RefusedError
from .wandb_world import API_KEY, Request, World

_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")
_STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")


@dataclass
class Behaviour:
    """How requests are answered that concern `path` (a part of it, or of the operation's name)."""

    status: int | None = None
    """Answered in place of the true one."""
    delay_seconds: float = 0.0
    frozen: bool = False
    """No answer comes until the behaviour is changed."""
    path: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_POST(self) -> None:
        self._take("POST")

    def do_PUT(self) -> None:
        self._take("PUT")

    def do_GET(self) -> None:
        if self.path == "/double/world":
            with self.server.lock:
                content = pickle.dumps(self.server.world)
            self._send(200, content)
        else:
            self._take("GET")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing on standard error."""

    def _take(self, method: str) -> None:
        body = self._body()
        if self.path == "/double/behaviour":
            self.server.behaviour = Behaviour(**json.loads(body))
            self._send(200, b"{}")
            return
        request = Request(method, self.path, dict(self.headers), body)
        if self.path == "/graphql":
            request.operation = _operation(body)
        status, content = self._misbehaves(request) or self._answer(request)
        request.status = status
        self.server.remember(request)
        self._send(status, content)

    def _misbehaves(self, request: Request) -> tuple[int, bytes] | None:
        while True:
            behaviour = self.server.behaviour
            if behaviour.path not in request.path + request.operation:
                return None
            if not behaviour.frozen or self.server.stopping.wait(0.02):
                break
        time.sleep(behaviour.delay_seconds)
        if behaviour.status is None:
            return None
        return behaviour.status, b'{"error": "on purpose"}'

    def _answer(self, request: Request) -> tuple[int, bytes]:
        try:
            with self.server.lock:
                return 200, json.dumps(self._true_answer(request)).encode()
        except RefusedError as error:
            return error.status, json.dumps({"errors": [{"message": error.message}]}).encode()

    def _true_answer(self, request: Request) -> dict[str, Any]:
        world = self.server.world
        if request.method == "PUT":
            world.put(self.path, request.body)
            return {}
        stream = _STREAM.fullmatch(self.path)
        if stream is None and not request.operation:
            world.surprises.append(f"{request.method} {self.path}")
            raise RefusedError(404, f"nothing is at {self.path}")
        sent = self.headers.get("Authorization", "")
        if sent != "Basic " + base64.b64encode(f"api:{API_KEY}".encode()).decode():
            raise RefusedError(401, "permission denied: unknown API key")
        if stream is not None:
            entity, project, run_id = stream.groups()
            world.stream(run_id, entity, project, json.loads(request.body))
            return {}
        variables = json.loads(request.body).get("variables") or {}
        return {"data": world.answer(request.operation, variables)}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, status: int, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # who asked has gone


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asks may go at any time."""

    def __init__(self, port: int, state: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.behaviour = Behaviour()
        self._state = state
        self.world = World()
        if state is not None and state.exists():
            self.world = pickle.loads(state.read_bytes())
        self.world.url = f"http://127.0.0.1:{self.server_port}"

    def remember(self, request: Request) -> None:
        with self.lock:
            self.world.requests.append(request)
            if self._state is not None:
                temporary = self._state.with_suffix(".tmp")
                temporary.write_bytes(pickle.dumps(self.world))
                temporary.replace(self._state)


class WandbServer:
    """A server in a thread; use it in a `with` block."""

    api_key = API_KEY

    def __init__(self, port: int = 0, state: Path | None = None) -> None:
        """`state`: a file in which what it knows outlives it."""
        self._listener = _Listener(port, state)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The address for WANDB_BASE_URL."""
        return self.world.url

    @property
    def world(self) -> World:
        """What it was told; read it when nobody is telling."""
        return self._listener.world

    def misbehave(self, **behaviour: Any) -> None:
        """Behave so (fields of `Behaviour`) from now on; without arguments, well again."""
        self._listener.behaviour = Behaviour(**behaviour)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.stopping.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


def read_world(url: str) -> World:
    """What a server in another process was told."""
    with urllib.request.urlopen(f"{url}/double/world", timeout=HANG_SECONDS) as answer:
        world = pickle.loads(answer.read())
    assert isinstance(world, World)
    return world


def misbehave(url: str, **behaviour: Any) -> None:
    """As `WandbServer.misbehave`, for a server in another process."""
    body = json.dumps(behaviour).encode()
    urllib.request.urlopen(f"{url}/double/behaviour", body, timeout=HANG_SECONDS).close()


def _operation(body: bytes) -> str:
    match = _OPERATION.search(json.loads(body)["query"])
    return match[1] if match else "unnamed"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, help="where what it knows outlives it")
    options = parser.parse_args()
    with WandbServer(options.port, options.state) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

"""What a ClearML server knows, and how it answers: as strict as the real one, or stricter.

Nothing here listens or waits. A world is a function of the requests that it has answered: whoever
replays them has an equal one, with the same ids.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import unquote

import jwt

from .clearml_checks import plain_object
from .clearml_records import Answer, RefusedError, Request, Task
from .clearml_services import Services

ACCESS_KEY = "ACCESSKEYOFTHEDOUBLE0"
SECRET_KEY = "secret-Key-of-the_double$&*(42)"
API_VERSION = "2.23"
TOKEN_SECONDS = 3600


class ClearmlWorld:
    """Everything that a server was told; `answer` takes one request after the other."""

    def __init__(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> None:
        self.access_key, self.secret_key = access_key, secret_key
        self.tasks: dict[str, Task] = {}
        self.projects: dict[str, str] = {}
        """Names by id."""
        self.models: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        """Contents by the path of their URL."""
        self.requests: list[Request] = []
        self.ids = 0
        """How many were given out."""
        self._services = Services(self)

    @classmethod
    def replay(cls, requests: Iterator[Request], **keys: str) -> Self:
        """The world that has answered these requests."""
        world = cls(**keys)
        for request in requests:
            if request.status == 200:
                world._respond(request)
            world.requests.append(request)
        return world

    def answer(self, request: Request) -> Answer:
        """Answer a request; whoever listens adds it to `requests`, with its status."""
        try:
            return self._respond(request)
        except RefusedError as refusal:
            return self.refusal(request, refusal)
        except (KeyError, TypeError, AttributeError) as error:
            invalid = RefusedError(400, 12, f"Validation error: {error!r}")
            return self.refusal(request, invalid)

    @staticmethod
    def refusal(request: Request, refusal: RefusedError) -> Answer:
        meta = _meta(request, refusal.code, refusal.subcode, refusal.message)
        return Answer(refusal.code, "application/json", json.dumps({"meta": meta}).encode())

    # ---- what tests ask

    def project_of(self, task: Task) -> str:
        return self.projects[task.fields["project"]]

    def called(self, action: str) -> list[Request]:
        return [request for request in self.requests if request.action == action]

    def holds(self, text: str) -> list[str]:
        """Where a text stands in what came, raw, quoted or in base64: but for the logins."""
        needles = {text.encode(), base64.b64encode(text.encode()).rstrip(b"=")}
        needles |= {json.dumps(text)[1:-1].encode()}
        found = []
        for request in self.requests:
            headers = {k: v for k, v in request.headers.items() if k != "authorization"}
            seen = request.body + unquote(request.path).encode() + json.dumps(headers).encode()
            if any(needle in seen for needle in needles):
                found.append(request.action)
        return found

    # ---- answering

    def _respond(self, request: Request) -> Answer:
        if request.action == "auth.login":
            return self._answer(request, self._login(request))
        self._check_token(request)
        if request.action == "events.add_batch":
            return self._answer(request, self._services.add_events(request))
        if "." in request.action and "/" not in request.action:
            service, _, name = request.action.partition(".")
            method = getattr(self._services, f"{service}_{name}", None)
            if method is None:
                raise RefusedError(400, 1, f"endpoint is not supported: {request.action}")
            asked = plain_object(request.body)
            asked.pop("method", None)  # the SDK's requests tell it with their fields
            return self._answer(request, method(asked))
        return self._file(request)

    @staticmethod
    def _answer(request: Request, data: dict[str, Any]) -> Answer:
        content = {"meta": _meta(request, 200, 0, "OK"), "data": data}
        return Answer(200, "application/json", json.dumps(content).encode())

    def _login(self, request: Request) -> dict[str, Any]:
        kind, _, content = request.headers.get("authorization", "").partition(" ")
        keys = f"{self.access_key}:{self.secret_key}"
        is_token = kind == "Bearer" and content == self._token(request.time)
        if not is_token and (kind != "Basic" or base64.b64decode(content).decode() != keys):
            raise RefusedError(401, 22, "Unauthorized (invalid credentials) (failed to locate)")
        return {"token": self._token(request.time)}

    def _token(self, moment: float) -> str:
        begun = int(moment) // TOKEN_SECONDS * TOKEN_SECONDS
        claims = {
            "iat": begun,
            "exp": begun + 2 * TOKEN_SECONDS,
            "api_version": API_VERSION,
            "server_version": "2.1.0",
            "server_build": "double",
            "feature_set": "basic",
            "identity": {"user": "tester", "company": "double"},
        }
        return jwt.encode(claims, "the double signs with this and no other key", "HS256")

    def _check_token(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        tokens = {self._token(request.time), self._token(request.time - TOKEN_SECONDS)}
        if kind != "Bearer" or token not in tokens:
            raise RefusedError(401, 20, "Unauthorized (missing credentials)")

    def new_id(self) -> str:
        self.ids += 1
        return hashlib.md5(str(self.ids).encode()).hexdigest()

    # ---- files

    def _file(self, request: Request) -> Answer:
        path = unquote(request.path.partition("?")[0])
        if request.method == "POST" and path == "/":
            stored = dict(_parts(request))
            self.files |= {f"/{name.lstrip('/')}": content for name, content in stored.items()}
            return Answer(200, "application/json", json.dumps(list(stored)).encode())
        if request.method in ("GET", "HEAD") and path in self.files:
            return Answer(200, "application/octet-stream", self.files[path])
        raise RefusedError(404 if request.method in ("GET", "HEAD") else 405, 0, "no such file")


def _meta(request: Request, code: int, subcode: int, message: str) -> dict[str, Any]:
    identity = hashlib.md5(request.path.encode()).hexdigest()
    endpoint = {"name": request.action, "requested_version": API_VERSION}
    return {
        "id": identity,
        "trx": identity,
        "endpoint": {**endpoint, "actual_version": "1.0"},
        "result_code": code,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": None,
        "error_data": {},
    }


def _parts(request: Request) -> Iterator[tuple[str, bytes]]:
    """Names and contents of a multipart body."""
    boundary = re.search(r"boundary=\"?([^\";]+)", request.headers.get("content-type", ""))
    if boundary is None:
        raise RefusedError(400, 0, "no multipart body")
    for part in request.body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]+)"', head)
        if name is None:
            raise RefusedError(400, 0, "a part without a name")
        yield unquote(name[1].decode()), content.removesuffix(b"\r\n")

"""A hub of language models on loopback, and a cache of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

MODEL = "laboratory/model"
KNOWN = f"GET /api/models/{MODEL}"
FIRST, SECOND = "a" * 40, "b" * 40
PATIENCE_SECONDS = 5.0
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file without any tensor."""
INDEX = json.dumps({"weight_map": {"layer": "model-1-of-1.safetensors"}}).encode()
TEXTS = {
    "config.json": json.dumps({"architectures": ["Qwen2ForCausalLM"]}).encode(),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"eos_token": "."}',
}
UNUSED = {
    "README.md": b"",
    "consolidated.safetensors": WEIGHTS,
    "pytorch_model.bin": b"",
    "onnx/config.json": b"{}",
    "evil.py": b"",
}


class Hub:
    """A hub on loopback that has one model, and tells what it was asked."""

    def __init__(self) -> None:
        self.commit = FIRST
        self.files: dict[str, bytes] = {**TEXTS, "model.safetensors": WEIGHTS, **UNUSED}
        self._former: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.questions_at_once = 1
        """So many questions after the newest commit are open before one is answered."""
        self._wavers = False
        self._turn = threading.Condition()
        self._open = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def move_on(self, **files: bytes) -> None:
        """Have a second commit, with other files."""
        self._former[self.commit] = self.files
        self.commit, self.files = SECOND, {**self.files, **files}

    def waver(self, **files: bytes) -> None:
        """Have a second commit, with other files; each question after the newest is told the other
        one of both than the last."""
        self.move_on(**files)
        self._wavers = True

    def told(self, path: str) -> tuple[str, bytes | None]:
        """The commit and the content of a path; None where there is none."""
        if path != KNOWN.partition(" ")[2]:
            return self.commit_of(path), self.content_of(path)
        with self._turn:
            self._open += 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._open >= self.questions_at_once, PATIENCE_SECONDS)
            found = self.commit, self.content_of(path)
            if self._wavers:
                former = next(each for each in self._former if each != self.commit)
                self._former[self.commit] = self.files
                self.commit, self.files = former, self._former[former]
            return found

    def forget(self) -> None:
        """Have the newest commit alone."""
        self._former.clear()

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables of programs that are to ask it, and to keep what they get in a folder."""
        return {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(folder),
            "HF_HUB_CACHE": str(folder / "hub"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                hub.asked.append(f"{self.command} {self.path}")
                commit, content = hub.told(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("X-Repo-Commit", commit)
                self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFF:x}"')
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None: ...

        return Handler

    def commit_of(self, path: str) -> str:
        """The commit that a path names, or the newest."""
        return next((each for each in self._former if each in path), self.commit)

    def content_of(self, path: str) -> bytes | None:
        if path == f"/api/models/{MODEL}":
            return self._told_of(self.commit, self.files)
        for commit, files in {**self._former, self.commit: self.files}.items():
            if path == f"/api/models/{MODEL}/revision/{commit}":
                return self._told_of(commit, files)
            prefix = f"/{MODEL}/resolve/{commit}/"
            if path.startswith(prefix):
                return files.get(path.removeprefix(prefix))
        return None

    def _told_of(self, commit: str, files: dict[str, bytes]) -> bytes:
        names = [{"rfilename": name} for name in files]
        return json.dumps({"id": MODEL, "sha": commit, "siblings": names}).encode()


@contextmanager
def empty_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the library reads of its environment when it is imported, as if it were read now."""
    from huggingface_hub import close_session, constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(folder / "harnesses.json"))
    close_session()
    yield folder / "hub"
    close_session()


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, which is the one that the library asks."""
    from huggingface_hub import constants

    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    files = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    yield hub
    hub.close()


def put(cache: Path, commit: str = FIRST, **files: bytes) -> Path:
    """Have a snapshot in the cache."""
    root = cache / f"models--{MODEL.replace('/', '--')}"
    folder = root / "snapshots" / commit
    for name, content in {**TEXTS, "model.safetensors": WEIGHTS, **files}.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    return folder

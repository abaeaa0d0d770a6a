"""Models of a hub: downloaded where it answers, taken from the cache where it does not, in time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.errors import TrainingError
from src.experiments.training import Trainer
from src.experiments.training.floor import measure_floor
from src.experiments.training.heartbeat import Tally
from tests.integration.test_grpo import journal, run_config
from tests.language import QUICK, needs_trl, newborn

pytestmark = [pytest.mark.integration, needs_trl]

MODEL = "laboratory/model"
KNOWN = f"GET /api/models/{MODEL}"
FIRST, SECOND = "a" * 40, "b" * 40
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
        self.files = {**TEXTS, "model.safetensors": WEIGHTS, **UNUSED}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

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
                content = hub.content_of(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("X-Repo-Commit", hub.commit)
                self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFF:x}"')
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None: ...

        return Handler

    def content_of(self, path: str) -> bytes | None:
        if path == f"/api/models/{MODEL}":
            files = [{"rfilename": name} for name in self.files]
            return json.dumps({"id": MODEL, "sha": self.commit, "siblings": files}).encode()
        prefix = f"/{MODEL}/resolve/{self.commit}/"
        return self.files.get(path.removeprefix(prefix)) if path.startswith(prefix) else None


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the library reads of its environment when it is imported, as if it were read now."""
    from huggingface_hub import close_session, constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"))
    close_session()
    yield tmp_path / "hub"
    close_session()


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    del cache
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    files = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    yield hub
    hub.close()


@pytest.fixture
def silent(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that accepts connections and says nothing."""
    from huggingface_hub import constants

    del cache
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
        yield


def snapshot(*, with_weights: bool = True) -> Path:
    from src.experiments.training.trl.hub import snapshot_of

    return snapshot_of(MODEL, Tally(), with_weights=with_weights)


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


def test_a_model_is_downloaded_once_without_what_is_not_loaded(hub: Hub) -> None:
    folder = snapshot()
    loaded = {path.name: path.read_bytes() for path in folder.iterdir()}
    first, hub.asked = hub.asked, []
    again = snapshot()

    assert loaded == {**TEXTS, "model.safetensors": WEIGHTS}
    assert folder.name == FIRST
    files = {f"GET /{MODEL}/resolve/{FIRST}/{name}" for name in loaded}
    assert {each for each in first if each.startswith("GET") and MODEL in each} == {KNOWN, *files}
    assert again == folder
    assert hub.asked == [KNOWN]


def test_weights_that_are_spread_over_files_are_downloaded_by_their_index(hub: Hub) -> None:
    del hub.files["model.safetensors"]
    hub.files |= {"model-1-of-1.safetensors": WEIGHTS, "model.safetensors.index.json": INDEX}

    names = {path.name for path in snapshot().iterdir()}
    assert names == {*TEXTS, "model-1-of-1.safetensors", "model.safetensors.index.json"}


def test_a_newer_commit_takes_the_place_of_the_cached_one_once_it_is_whole(
    hub: Hub, cache: Path
) -> None:
    put(cache, FIRST)
    hub.commit, hub.files = SECOND, {**TEXTS}
    for_the_tokenizer = snapshot(with_weights=False)
    reference = cache / "models--laboratory--model" / "refs" / "main"
    before = reference.read_text()
    hub.files["model.safetensors"] = WEIGHTS
    folder = snapshot()

    assert (for_the_tokenizer.name, before) == (SECOND, FIRST)
    assert (folder.name, reference.read_text()) == (SECOND, SECOND)


def test_a_download_that_fails_leaves_the_cached_model_in_its_place(hub: Hub, cache: Path) -> None:
    cached = put(cache, FIRST)
    hub.commit = SECOND
    hub.files["vocab.json"] = None  # type: ignore[assignment]  # told of, and not given

    assert snapshot() == cached


def test_a_model_that_the_hub_does_not_have_is_told(hub: Hub) -> None:
    from src.experiments.training.trl.hub import snapshot_of

    with pytest.raises(TrainingError, match=r"'laboratory/other' cannot be loaded.*404"):
        snapshot_of("laboratory/other", Tally(), with_weights=True)


@pytest.mark.usefixtures("silent")
def test_a_hub_that_stays_silent_is_told_in_time_with_the_remedies() -> None:
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"127\.0\.0\.1:\d+ has not answered in 0\.1 s") as told:
        snapshot()

    assert time.monotonic() - started < 2
    assert "HF_HUB_OFFLINE=1" in str(told.value.remedy)
    assert "give the folder" in str(told.value.remedy)


@pytest.mark.usefixtures("silent")
def test_a_model_in_the_cache_is_taken_where_the_hub_stays_silent(cache: Path) -> None:
    folder = put(cache)
    started = time.monotonic()

    assert snapshot() == folder
    assert time.monotonic() - started < 2


@pytest.mark.usefixtures("silent")
def test_a_cached_model_that_is_not_whole_is_told(cache: Path) -> None:
    (put(cache) / "model.safetensors").unlink()

    assert snapshot(with_weights=False)
    with pytest.raises(TrainingError, match=r"it has no weights \(model\.safetensors\).*hf down"):
        snapshot()


def test_offline_nobody_is_asked(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrainingError, match="offline mode is enabled"):
        snapshot()
    folder = put(cache)

    assert snapshot() == folder
    assert hub.asked == []


@pytest.mark.slow
@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_on_a_cached_model_tells_its_name_and_its_commit(
    cache: Path, tmp_path: Path, processes: int
) -> None:
    model = {path.name: path.read_bytes() for path in Path(newborn()).iterdir()}
    put(cache, FIRST, **model)
    config = run_config(
        tmp_path,
        model_name=MODEL,
        beta=0.1,
        processes=processes,
        per_device_train_batch_size=8 // processes,
    )
    result = Trainer(config).train()
    alone = Trainer(replace(config, run_dir=None, checkpoints=None, hyperparameters={
        **config.hyperparameters, "model_name": newborn()
    })).train()  # fmt: skip

    started = journal(config)[0]
    assert started["starting_model"]["commit"] == FIRST
    assert result.parameters_sha256 == alone.parameters_sha256


@pytest.mark.slow
@pytest.mark.usefixtures("silent")
def test_what_random_tokens_earn_needs_no_weights(cache: Path, tmp_path: Path) -> None:
    model = {path.name: path.read_bytes() for path in Path(newborn()).iterdir()}
    (put(cache, FIRST, **model) / "model.safetensors").unlink()

    assert 0 <= measure_floor(run_config(tmp_path, model_name=MODEL)).return_mean < 0.2


@pytest.mark.slow
def test_the_command_ends_in_seconds_where_a_hub_stays_silent(tmp_path: Path) -> None:
    settings = {**QUICK, "model_name": MODEL}
    arm = {
        "algorithm": "GRPO",
        "environment": "arithmetic",
        "hyperparameters": settings,
        "training_steps": 4,
    }
    variant = {"extends": "baseline", "algorithm": "DR_GRPO"}
    file = tmp_path / "exp.json"
    file.write_text(json.dumps({"baseline_config": arm, "variant_config": variant}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        changed = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-m", "src.experiments", "run", str(file)]
        done = subprocess.run(
            [*command, "--output-dir", str(tmp_path / "results")],
            env={**os.environ, **changed},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert done.returncode == 1
    assert "has not answered in 2 s" in done.stdout + done.stderr

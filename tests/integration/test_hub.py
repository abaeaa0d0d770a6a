"""Models of a hub: downloaded where it answers, taken from the cache where it does not, in time."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.experiments.domain.errors import StorageError, TrainingError
from src.experiments.training import Trainer
from src.experiments.training.floor import measure_floor
from src.experiments.training.heartbeat import Tally
from tests.doubles.hub import (
    FIRST,
    INDEX,
    KNOWN,
    MODEL,
    SECOND,
    TEXTS,
    WEIGHTS,
    Hub,
    put,
)
from tests.integration.test_grpo import journal, run_config
from tests.language import needs_trl, newborn, quick_pair
from tests.waiting import HANG_SECONDS

pytestmark = [pytest.mark.integration, needs_trl]


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
    from src.experiments.training.trl.models.hub import snapshot_of

    return snapshot_of(MODEL, Tally(), with_weights=with_weights)


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


@pytest.mark.parametrize("shown", [True, False])
def test_each_part_of_a_file_that_comes_in_is_a_sign_of_life(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import tqdm

    from src.experiments.training.trl.models.hub import snapshot_of

    header = json.dumps({"w": {"dtype": "U8", "shape": [8000], "data_offsets": [0, 8000]}}).encode()
    hub.files["model.safetensors"] = len(header).to_bytes(8, "little") + header + bytes(8000)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    states = sys.modules["huggingface_hub.utils.tqdm"].progress_bar_states
    monkeypatch.setitem(states, "_global", shown)
    tally = Tally()
    assert tqdm(disable=False, name="huggingface_hub.http_get").disable is not shown
    snapshot_of(MODEL, tally, with_weights=True)

    assert tally.count >= 80


def test_parts_that_come_in_by_the_other_way_are_signs_of_life_too() -> None:
    from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

    from src.experiments.training.trl.models.downloads import counting

    tally = Tally()
    told = SimpleNamespace(total_bytes=10, total_bytes_completion_rate=None)
    told.total_transfer_bytes_completion_rate = None
    counts = []
    with XetDownloadProgressReporter(
        reconstruction_desc="", log_level=0, total=10, tqdm_class=counting(tally)
    ) as progress:
        for received, written in ((4, 0), (4, 0), (9, 4)):
            told.total_transfer_bytes_completed, told.total_bytes_completed = received, written
            progress.update_progress(told)
            counts.append(tally.count)

    assert counts == [1, 1, 3]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be longer than 50 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_refuses_is_told_as_such(hub: Hub, cache: Path) -> None:
    hub.files["model.safetensors"] = bytes(100_000)
    with pytest.raises(StorageError, match="File too large: a model could not be") as caught:
        snapshot()
    (put(cache, FIRST) / "model.safetensors").unlink()
    hub.move_on()
    with pytest.raises(StorageError, match="File too large"):
        snapshot()

    assert str(cache) in str(caught.value.where)
    assert "HF_HOME" in str(caught.value.remedy)


def test_a_cache_that_cannot_be_made_is_told(hub: Hub, cache: Path) -> None:
    del hub
    cache.write_text("a file")
    with pytest.raises(StorageError, match=r"hub.*: .*: a model could not be downloaded"):
        snapshot()


def test_others_may_read_which_commit_is_the_newest(hub: Hub, cache: Path) -> None:
    before = os.umask(0o022)
    try:
        snapshot()
    finally:
        os.umask(before)

    reference = cache / "models--laboratory--model" / "refs" / "main"
    assert reference.read_text() == hub.commit
    assert [stat.S_IMODE(each.stat().st_mode) for each in (reference.parent, reference)] == [
        0o755,
        0o644,
    ]


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
    from src.experiments.training.trl.models.hub import snapshot_of

    with pytest.raises(TrainingError, match=r"'laboratory/other' cannot be loaded.*404"):
        snapshot_of("laboratory/other", Tally(), with_weights=True)


@pytest.mark.usefixtures("silent")
def test_a_hub_that_stays_silent_is_told_with_the_remedies() -> None:
    with pytest.raises(TrainingError, match=r"127\.0\.0\.1:\d+ has not answered in 0\.1 s") as told:
        snapshot()

    assert "HF_HUB_OFFLINE=1" in str(told.value.remedy)
    assert "give the folder" in str(told.value.remedy)


@pytest.mark.usefixtures("silent")
def test_a_model_in_the_cache_is_taken_where_the_hub_stays_silent(cache: Path) -> None:
    folder = put(cache)

    assert snapshot() == folder


@pytest.mark.usefixtures("silent")
def test_a_cached_model_that_is_not_whole_is_told(cache: Path) -> None:
    (put(cache) / "model.safetensors").unlink()

    assert snapshot(with_weights=False)
    told = r"no weights \(model\.safetensors\), and the hub .* has not answered in 0.1 s; .*hf down"
    with pytest.raises(TrainingError, match=told):
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
    file = tmp_path / "exp.json"
    file.write_text(json.dumps(quick_pair(MODEL)))
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
            timeout=HANG_SECONDS,
        )

    assert done.returncode == 1
    assert "has not answered in 2 s" in done.stdout + done.stderr

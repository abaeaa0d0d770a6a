import socket
import sys
from pathlib import Path

import pytest

from src.experiments.monitoring.machine import (
    disk_speed,
    examine_env_file,
    examine_machine,
    extras,
    installed_versions,
    threads,
    trackers,
)


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """One that nobody else can come to listen on meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_the_whole_machine_is_examined_without_importing_torch(tmp_path):
    had_torch = "torch" in sys.modules

    machine = examine_machine(tmp_path, tmp_path / ".env", timeout_seconds=0.1)

    assert machine.packages["numpy"]
    assert machine.packages["stable-baselines3"]
    assert machine.threads.cores_usable >= 1
    assert machine.gpus is None or machine.gpus
    assert ("torch" in sys.modules) == had_torch


def test_disk_speed_is_measured_and_leaves_nothing_behind(tmp_path):
    speed = disk_speed(tmp_path)

    assert speed.write_mb_per_second > 0.0
    assert speed.free_mb > 0.0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_measured_at_its_parent_and_not_created(tmp_path):
    speed = disk_speed(tmp_path / "results" / "experiments")

    assert speed.folder == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_is_named_with_its_reason():
    speed = disk_speed(Path("/proc/self/task"))

    assert speed.write_mb_per_second is None
    assert speed.problem


def test_missing_packages_are_none():
    assert installed_versions(("numpy", "no-such-package"))["no-such-package"] is None


def test_every_extra_is_told_with_what_it_misses():
    found = {extra.name: extra for extra in extras()}

    assert set(found) == {"ray", "zoo", "llm", "parquet"}
    assert all(extra.installed == (not extra.missing) for extra in found.values())


def test_only_thread_variables_that_are_set_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)

    variables = threads().variables

    assert variables["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in variables


def test_a_settings_file_shows_its_names_and_never_its_values(tmp_path):
    path = tmp_path / ".env"
    path.write_text("USE_CLEARML=false\nexport WANDB_API_KEY='canary-value'\n# comment\n")

    found = examine_env_file(path)

    assert found.present
    assert found.names == ("USE_CLEARML", "WANDB_API_KEY")
    assert "canary" not in repr(found)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"not a setting at all ="])
def test_a_settings_file_that_is_absent_or_damaged_sets_nothing(tmp_path, content):
    path = tmp_path / ".env"
    if content is not None:
        path.write_bytes(content)

    found = examine_env_file(path)

    assert found.present == (content is not None)
    assert "PATH" not in found.names


def test_a_tracker_that_is_not_configured_is_not_asked(tmp_path):
    assert trackers(tmp_path / ".env", environment={}) == ()


def test_a_tracker_that_listens_is_reachable(tmp_path, listening):
    path = tmp_path / ".env"
    path.write_text(f"CLEARML_API_HOST=http://127.0.0.1:{listening}\n")

    (answer,) = trackers(path, environment={})

    assert (answer.tracker, answer.setting) == ("clearml", "CLEARML_API_HOST")
    assert answer.address == f"127.0.0.1:{listening}"
    assert answer.reachable
    assert answer.problem is None


def test_a_tracker_that_refuses_is_unreachable_with_its_reason(tmp_path, closed_port):
    settings = {"WANDB_BASE_URL": f"http://127.0.0.1:{closed_port}"}

    (answer,) = trackers(tmp_path / ".env", environment=settings)

    assert not answer.reachable
    assert answer.problem


def test_the_environment_overrides_the_settings_file(tmp_path, listening):
    path = tmp_path / ".env"
    path.write_text("CLEARML_API_HOST=http://user:canary-value@127.0.0.1:1\n")
    settings = {"CLEARML_API_HOST": f"http://127.0.0.1:{listening}"}

    (answer,) = trackers(path, environment=settings)

    assert answer.reachable


def test_credentials_in_an_address_are_not_shown(tmp_path, closed_port):
    settings = {"CLEARML_API_HOST": f"http://user:canary-value@127.0.0.1:{closed_port}"}

    (answer,) = trackers(tmp_path / ".env", environment=settings)

    assert "canary" not in repr(answer)


@pytest.mark.parametrize("address", ["http://", "http://host:notaport", "https://[::1"])
def test_what_is_no_address_is_a_problem_not_a_failure(tmp_path, address):
    (answer,) = trackers(tmp_path / ".env", environment={"WANDB_BASE_URL": address})

    assert not answer.reachable
    assert answer.problem == "not a URL with a host"

import base64
import json
import platform
import shlex
import subprocess
import sys

import numpy as np
import pytest

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.provenance import (
    collect_provenance,
    hardware,
    package_versions,
    write_provenance,
)
from src.experiments.provenance.collect import redact_command
from src.experiments.provenance.packages import requirements_text

CANARY = "canary+Zq/7secret"


@pytest.fixture
def paths(tmp_path):
    return ExperimentPaths.under(tmp_path, "pair")


@pytest.fixture(scope="module")
def provenance():
    return collect_provenance(["experiments", "run", "pair file.json"])


def files(paths):
    return {path.name: path.read_text() for path in paths.provenance.iterdir()}


def test_packages_are_told_with_their_versions():
    versions = package_versions()

    assert versions["numpy"] == np.__version__
    assert list(versions) == sorted(versions, key=str.lower)
    assert f"numpy=={np.__version__}\n" in requirements_text(versions)


def test_the_machine_is_described():
    machine = hardware()

    assert machine.memory_mb > 100
    assert machine.cores_usable >= 1
    assert machine.cpu_model
    assert platform.python_version() in machine.python


def test_what_was_collected_is_plain_json(provenance):
    assert json.loads(json.dumps(provenance)) == provenance


def test_every_file_is_written(paths, provenance):
    write_provenance(paths, provenance)

    written = files(paths)
    assert set(written) == {
        "provenance.json",
        "git_commit.txt",
        "uncommitted.diff",
        "command.txt",
        "packages.txt",
        "hardware.json",
    }
    assert shlex.split(written["command.txt"]) == ["experiments", "run", "pair file.json"]
    assert json.loads(written["hardware.json"])["python"]


def test_outside_a_repository_the_commit_is_none(paths, tmp_path, provenance):
    write_provenance(paths, {**provenance, "git": None})

    written = files(paths)
    assert written["git_commit.txt"] == "none\n"
    assert written["uncommitted.diff"] == ""
    assert json.loads(written["provenance.json"])["git"] is None


def test_a_continued_experiment_keeps_what_it_was_started_with(paths, provenance):
    write_provenance(paths, provenance)
    before = files(paths)
    write_provenance(paths, {**provenance, "command": ["continue"], "packages": {}})
    write_provenance(paths, {**provenance, "command": ["again"]})

    after = files(paths)
    summary = json.loads(after.pop("provenance.json"))
    first = json.loads(before.pop("provenance.json"))
    continued = summary.pop("continued")
    assert after == before
    assert summary == first
    assert [entry["command"] for entry in continued] == [["continue"], ["again"]]


def test_secrets_of_the_environment_reach_no_file(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("PYTHONPATH", f"/opt/{CANARY}")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository = tmp_path / "code"
    repository.mkdir()
    subprocess.run(["git", "init"], cwd=repository, check=True, capture_output=True)
    (repository / "train.py").write_text(f"key = {CANARY!r}\n")
    subprocess.run(["git", "add", "."], cwd=repository, check=True, capture_output=True)

    provenance = collect_provenance(["run", f"--note={CANARY}"], repository)
    write_provenance(paths, provenance)

    text = "".join(files(paths).values())
    assert "train.py" in text
    assert CANARY not in text
    assert base64.b64encode(CANARY.encode()).decode() not in text


def test_only_influential_variables_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("SOMETHING_PRIVATE", "x")

    environment = collect_provenance([])["environment"]

    assert environment["OMP_NUM_THREADS"] == "1"
    assert "SOMETHING_PRIVATE" not in environment


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["run", "a.json"], ["run", "a.json"]),
        (["--api-key", "x1"], ["--api-key", "[redacted]"]),
        (["--api-key=x1"], ["--api-key=[redacted]"]),
        (["--set", "trackers.token=x1"], ["--set", "trackers.token=[redacted]"]),
        (["--token", "--verbose"], ["--token", "--verbose"]),
        (["http://me:pw@host/"], ["http://[redacted]@host/"]),
        (["--note", "canary77"], ["--note", "[redacted]"]),
        (["seeds=[1,2]"], ["seeds=[1,2]"]),
    ],
)
def test_a_command_line_is_shown_without_secrets(given, shown):
    assert redact_command(given, {"canary77"}) == shown


def test_collecting_imports_no_learning_library():
    code = (
        "import sys; from src.experiments.provenance import collect_provenance;"
        "collect_provenance([]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout == b"False\n"

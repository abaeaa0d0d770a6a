import base64
import importlib
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import src.experiments
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.provenance import (
    Origin,
    collect_provenance,
    hardware,
    package_versions,
    write_provenance,
)
from src.experiments.provenance.code import source_sha256
from src.experiments.provenance.collect import redact_command
from src.experiments.provenance.packages import requirements_text

CANARY = "canary+Zq/7secret"


@pytest.fixture
def paths(tmp_path):
    return ExperimentPaths.under(tmp_path, "pair")


def git(repository, *arguments):
    subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A commit, a change of it, and a module that was not committed."""
    path = tmp_path_factory.mktemp("code")
    (path / "train.py").write_text("x = 1\n")
    git(path, "init", "--initial-branch", "research")
    git(path, "add", ".")
    git(path, *("-c", "user.name=x", "-c", "user.email=x@example.com"), "commit", "-m", "first")
    (path / "train.py").write_text("x = 2\n")
    (path / "windy_module_of_a_test.py").write_text("gusts = 3\n")
    return path


@pytest.fixture(scope="module")
def provenance(repository):
    return collect_provenance(["experiments", "run", "pair file.json"], repository)


def files(paths):
    return {path.name: path.read_text() for path in paths.provenance.iterdir()}


def test_packages_are_told_with_their_versions():
    versions = package_versions()

    assert versions["numpy"] == np.__version__
    assert list(versions) == sorted(versions, key=str.lower)
    assert f"numpy=={np.__version__}\n" in requirements_text(versions)


def test_what_comes_from_no_index_is_not_looked_for_there():
    versions = {"ours": "1.0", "theirs": "2.0", "torch": "2.9"}
    sources = {"ours": "file:///code", "theirs": "git+https://example.com/theirs@abc"}

    assert requirements_text(versions, sources).splitlines() == [
        "# ours==1.0 from file:///code",
        "theirs @ git+https://example.com/theirs@abc",
        "torch==2.9",
    ]


def test_a_build_of_torch_for_one_device_is_looked_for_where_there_is_one():
    lines = requirements_text({"numpy": "2.0", "torch": "2.9.0+cu126"}).splitlines()

    assert lines == [
        "--extra-index-url https://download.pytorch.org/whl/cu126",
        "numpy==2.0",
        "torch==2.9.0+cu126",
    ]
    assert requirements_text({"torch": "2.9.0"}) == "torch==2.9.0\n"


def test_this_program_is_told_with_its_source(provenance):
    package = Path(src.experiments.__file__).parent
    program = provenance["program"]

    assert program == {
        "package": "src.experiments",
        "directory": None,  # it is in another repository
        "sha256": source_sha256(package),
    }
    own = collect_provenance([], package)["program"]
    assert own == {**program, "directory": "src/experiments"}


def test_a_changed_or_renamed_source_file_is_another_source(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("x")
    first = source_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("y")
    assert source_sha256(tmp_path) == first

    (tmp_path / "a.py").rename(tmp_path / "b.py")
    second = source_sha256(tmp_path)
    (tmp_path / "b.py").write_text("x = 2\n")
    assert len({first, second, source_sha256(tmp_path)}) == 3


def test_modules_of_environments_are_told_with_their_place(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository), str(repository.parent)]))
    importlib.import_module("windy_module_of_a_test")
    origin = Origin(environment_modules=("windy_module_of_a_test", "json"))

    provenance = collect_provenance([], repository, origin=origin)

    assert provenance["environment_modules"] == {
        "windy_module_of_a_test": {"file": "windy_module_of_a_test.py"},
        "json": {"file": None},
    }
    assert provenance["imports"] == {
        "repository": ["."],
        "elsewhere": [str(repository.parent)],
    }


def test_the_experiment_file_is_kept_as_it_was_given(paths, tmp_path):
    given = '{\n  "hypothesis": "é",   "seeds": 2\n}\n'
    (tmp_path / "exp.json").write_text(given)
    origin = Origin(experiment_file=tmp_path / "exp.json", torch_threads=3)

    provenance = collect_provenance(["run"], tmp_path, origin=origin)
    write_provenance(paths, provenance)

    assert files(paths)["experiment_file.json"] == given
    summary = json.loads(files(paths)["provenance.json"])
    assert summary["experiment_file"] == {"name": str(tmp_path / "exp.json"), "redacted": False}
    assert summary["threads"]["torch_threads"] == 3


def test_results_are_no_code(repository):
    results = repository / "results"
    results.mkdir(exist_ok=True)
    (results / "settings.json").write_text("{}")

    told = collect_provenance([], repository, origin=Origin(output_dir=results))["git"]

    assert list(told["untracked_files"]) == ["windy_module_of_a_test.py"]


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
        "untracked.diff",
        "command.txt",
        "packages.txt",
        "hardware.json",
    }
    assert shlex.split(written["command.txt"]) == ["experiments", "run", "pair file.json"]
    assert json.loads(written["hardware.json"])["python"]
    assert "+x = 2" in written["uncommitted.diff"]
    assert "+gusts = 3" in written["untracked.diff"]


def test_outside_a_repository_the_commit_is_none(paths, tmp_path, provenance):
    write_provenance(paths, {**provenance, "git": None})

    written = files(paths)
    assert written["git_commit.txt"] == "none\n"
    assert written["uncommitted.diff"] == written["untracked.diff"] == ""
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
    git(repository, "init")
    (repository / "train.py").write_text(f"key = {CANARY!r}\n")
    git(repository, "add", ".")
    (repository / "new.py").write_text(f"key = {CANARY!r}\n")
    (repository / "exp.json").write_text(json.dumps({"comment": CANARY}))

    origin = Origin(experiment_file=repository / "exp.json")
    provenance = collect_provenance(["run", f"--note={CANARY}"], repository, origin=origin)
    write_provenance(paths, provenance)

    text = "".join(files(paths).values())
    assert "train.py" in text
    assert "new.py" in text
    assert CANARY not in text
    assert base64.b64encode(CANARY.encode()).decode() not in text
    summary = json.loads(files(paths)["provenance.json"])
    assert summary["git"]["diff_redacted"]
    assert summary["git"]["untracked_files"]["new.py"]["redacted"]
    assert summary["experiment_file"]["redacted"]


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

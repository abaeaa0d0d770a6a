"""What was written as provenance is read back, also as earlier versions wrote it."""

import json

import pytest

from src.experiments.domain.errors import StorageError, UsageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.provenance import read_provenance, write_provenance

GIT = {
    "root": "/code",
    "prefix": "below/",
    "commit": "ab" * 20,
    "branch": "research",
    "repository": "https://example.com/code.git",
    "dirty": True,
    "diff": "diff --git a/x b/x\n",
    "diff_truncated": False,
    "diff_lossy": False,
    "diff_redacted": False,
    "untracked": ["windy.py", "data.csv"],
    "untracked_truncated": False,
    "untracked_files": {"windy.py": {"text": "x = 1\n", "sha256": "cd", "redacted": False}},
}
PROVENANCE = {
    "time": "2030-01-01T00:00:00+00:00",
    "command": ["experiments", "run", "exp.json"],
    "git": GIT,
    "program": {"package": "experiments", "directory": "src/experiments", "sha256": "ef"},
    "environment_modules": {"windy": {"file": "windy.py"}, "minigrid": {"file": None}},
    "imports": {"repository": [".", "src"], "elsewhere": ["/opt/lib"]},
    "packages": {"numpy": "2.0"},
    "hardware": {"hostname": "box", "python": "CPython 3.11.7"},
    "environment": {"OMP_NUM_THREADS": "1"},
}
EARLIER = {
    **{name: PROVENANCE[name] for name in ("time", "command", "packages", "hardware")},
    "environment": {},
    "git": {
        **{name: GIT[name] for name in ("commit", "branch", "dirty", "diff_truncated")},
        "untracked": ["windy.py"],
    },
}


@pytest.fixture
def paths(tmp_path):
    return ExperimentPaths.under(tmp_path, "pair")


def summary_of(paths, content):
    paths.provenance.mkdir(parents=True, exist_ok=True)
    (paths.provenance / "provenance.json").write_text(json.dumps(content))


def test_what_was_written_is_read(paths):
    write_provenance(paths, PROVENANCE)
    write_provenance(paths, {**PROVENANCE, "time": "2030-01-02T00:00:00+00:00"})

    recorded = read_provenance(paths)

    code = recorded.code
    assert (code.commit, code.branch, code.prefix) == (GIT["commit"], "research", "below/")
    assert code.repository == GIT["repository"]
    assert code.diff.read_text() == GIT["diff"]
    assert "+x = 1" in code.untracked.read_text()
    assert (code.untracked_files, code.untracked_names) == (
        ("windy.py",),
        ("windy.py", "data.csv"),
    )
    assert code.why_incomplete == ()
    assert recorded.modules == {"windy": "windy.py", "minigrid": None}
    assert (recorded.import_roots, recorded.imports_elsewhere) == ((".", "src"), ("/opt/lib",))
    assert recorded.program["sha256"] == "ef"
    (session,) = recorded.continued
    assert (session["commit"], session["program_sha256"]) == (GIT["commit"], "ef")


def test_what_an_earlier_version_wrote_is_read(paths):
    summary_of(paths, EARLIER)

    recorded = read_provenance(paths)

    assert recorded.code.commit == GIT["commit"]
    assert (recorded.code.untracked, recorded.code.prefix) == (None, "")
    assert recorded.program["directory"] == "src/experiments"
    assert (recorded.modules, recorded.import_roots) == ({}, (".",))


@pytest.mark.parametrize("git", [None, {**EARLIER["git"], "commit": None}])
def test_without_a_commit_there_is_no_code(paths, git):
    summary_of(paths, {**EARLIER, "git": git})

    assert read_provenance(paths).code is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"diff_truncated": True}, "too large"),
        ({"diff_redacted": True}, "secrets were left out of the recorded changes"),
        ({"diff_lossy": True}, "not UTF-8"),
        (
            {"untracked_files": {"windy.py": {"text": "", "sha256": "cd", "redacted": True}}},
            "secrets were left out of untracked files: windy.py",
        ),
    ],
)
def test_why_the_patches_do_not_lead_to_the_code_is_told(paths, changed, reason):
    write_provenance(paths, {**PROVENANCE, "git": {**GIT, **changed}})

    (told,) = read_provenance(paths).code.why_incomplete
    assert reason in told


def test_an_experiment_that_was_never_run_has_no_provenance(paths):
    with pytest.raises(UsageError, match=r"provenance.json: .*never run; run it first"):
        read_provenance(paths)


@pytest.mark.parametrize("content", [[], {}, {**EARLIER, "git": "x"}, {**EARLIER, "packages": 3}])
def test_a_damaged_record_is_named(paths, content):
    summary_of(paths, content)

    with pytest.raises(StorageError, match=r"provenance.json: not a record of provenance"):
        read_provenance(paths)

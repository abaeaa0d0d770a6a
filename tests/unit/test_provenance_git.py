import os
import subprocess

import pytest

from src.experiments.provenance import git, git_state


@pytest.fixture(autouse=True)
def own_identity(monkeypatch, tmp_path):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def run(repository, *arguments):
    subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "repository"
    path.mkdir()
    run(path, "init", "--initial-branch", "research")
    return path


@pytest.fixture
def committed(repository):
    (repository / "train.py").write_text("learning_rate = 1\n")
    run(repository, "add", ".")
    run(repository, "commit", "-m", "first")
    return repository


def test_outside_a_repository_there_is_no_state(tmp_path):
    (tmp_path / "plain").mkdir()

    assert git_state(tmp_path / "plain") is None
    assert git_state(tmp_path / "absent") is None


def test_a_clean_repository_has_a_commit_and_no_changes(committed):
    state = git_state(committed)

    assert len(state.commit) == 40
    assert state.branch == "research"
    assert (state.dirty, state.diff, state.untracked) == (False, "", ())


def test_uncommitted_changes_are_a_patch_that_restores_them(committed, tmp_path):
    (committed / "train.py").write_text("learning_rate = 2\n")
    (committed / "staged.bin").write_bytes(bytes(range(256)))
    run(committed, "add", "staged.bin")
    state = git_state(committed)

    assert state.dirty
    clone = tmp_path / "clone"
    run(tmp_path, "clone", str(committed), str(clone))
    (tmp_path / "uncommitted.diff").write_text(state.diff)
    run(clone, "apply", str(tmp_path / "uncommitted.diff"))
    assert (clone / "train.py").read_text() == "learning_rate = 2\n"
    assert (clone / "staged.bin").read_bytes() == bytes(range(256))


def test_the_state_is_that_of_the_whole_repository_also_from_below(committed):
    (committed / "below").mkdir()
    (committed / "train.py").write_text("changed\n")
    (committed / "new é.py").touch()

    state = git_state(committed / "below")

    assert "a/train.py" in state.diff
    assert state.untracked == ("new é.py",)


def test_untracked_files_are_listed_and_ignored_ones_are_not(committed):
    (committed / ".gitignore").write_text("*.log\n")
    (committed / "new.py").touch()
    (committed / "run.log").touch()

    state = git_state(committed)

    assert state.untracked == (".gitignore", "new.py")
    assert not state.dirty


def test_a_repository_without_a_commit_has_a_branch_and_staged_changes(repository):
    (repository / "train.py").write_text("x = 1\n")
    run(repository, "add", ".")

    state = git_state(repository)

    assert (state.commit, state.branch, state.dirty) == (None, "research", True)
    assert "+x = 1" in state.diff


def test_a_checked_out_commit_has_no_branch(committed):
    run(committed, "checkout", "--detach")

    assert git_state(committed).branch is None


def test_a_large_diff_is_cut_and_says_so(committed, monkeypatch):
    monkeypatch.setattr(git, "LARGEST_DIFF_BYTES", 1000)
    (committed / "train.py").write_text("line\n" * 1000)

    state = git_state(committed)

    assert state.diff_truncated
    assert len(state.diff) == 1000


def test_no_hook_pager_or_external_diff_is_executed(committed, tmp_path):
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\ncat\n")
    trap.chmod(0o700)
    for setting in ("core.fsmonitor", "core.pager", "diff.external", "diff.trap.textconv"):
        run(committed, "config", setting, str(trap))
    (committed / ".gitattributes").write_text("*.py diff=trap\n")
    hook = committed / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(trap.read_text())
    hook.chmod(0o700)
    (committed / "train.py").write_text("changed\n")

    assert "+changed" in git_state(committed).diff
    assert not (tmp_path / "executed").exists()


def test_a_variable_that_redirects_git_is_not_obeyed(committed, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert git_state(committed).commit


def test_git_that_does_not_answer_in_time_is_given_up(committed):
    assert git_state(committed, timeout_seconds=1e-6) is None


def test_without_git_there_is_no_state(committed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert git_state(committed) is None

import os
import subprocess

import pytest

from src.experiments.provenance import git, git_state
from src.experiments.provenance.git import without_credentials


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


def test_git_that_does_not_answer_in_time_is_given_up(committed, monkeypatch, tmp_path):
    silent = tmp_path / "silent"
    silent.mkdir()
    (silent / "git").write_text("#!/bin/sh\nexec sleep 600\n")
    (silent / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(silent), prepend=os.pathsep)

    assert git_state(committed, timeout_seconds=0.1) is None


def test_without_git_there_is_no_state(committed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert git_state(committed) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:token@example.com/lab/code.git", "https://example.com/lab/code.git"),
        ("https://token@example.com:8443/code", "https://example.com:8443/code"),
        ("https://example.com/code?private_token=x#y", "https://example.com/code"),
        ("ssh://git:pw@example.com:22/code", "ssh://git@example.com:22/code"),
        ("git@example.com:lab/code.git", "git@example.com:lab/code.git"),
        ("../code", "../code"),
    ],
)
def test_an_address_is_shown_without_credentials(url, shown):
    assert without_credentials(url) == shown


def test_the_branchs_own_remote_is_told_as_it_is_written(committed):
    run(committed, "remote", "add", "origin", "https://example.com/origin.git")
    assert git_state(committed).repository == "https://example.com/origin.git"

    run(committed, "remote", "add", "lab", "https://me:token@example.com/lab.git")
    run(committed, "config", "branch.research.remote", "lab")
    run(committed, "config", "url.https://other:key@example.com/.insteadOf", "https://me")
    assert git_state(committed).repository == "https://example.com/lab.git"


def test_without_a_remote_there_is_no_address(committed):
    assert git_state(committed).repository is None


def test_root_and_place_in_it_are_told(committed):
    (committed / "below").mkdir()
    state = git_state(committed / "below")

    assert (state.root, state.prefix) == (str(committed.resolve()), "below/")


def test_settings_that_would_make_the_patch_unusable_are_not_obeyed(committed, tmp_path):
    (committed / "train.py").write_text("".join(f"line {number}\n" for number in range(20)))
    run(committed, "commit", "--all", "-m", "long")
    text = (committed / "train.py").read_text().replace("line 10\n", "changed\n")
    (committed / "train.py").write_text(text)
    for name, value in {"diff.context": "0", "diff.noprefix": "true"}.items():
        run(committed, "config", name, value)
    patch = tmp_path / "uncommitted.diff"
    patch.write_text(git_state(committed).diff)

    clone = tmp_path / "clone"
    run(tmp_path, "clone", str(committed), str(clone))
    run(clone, "apply", str(patch))
    assert (clone / "train.py").read_text() == text


def test_a_patch_that_is_not_utf_8_says_that_it_is_not_exact(committed):
    assert not git_state(committed).diff_lossy
    (committed / "train.py").write_bytes(b"name = 'caf\xe9'\n")

    assert git_state(committed).diff_lossy


def test_results_and_the_like_are_no_untracked_code(committed):
    for name in ("results/a/notes.py", "results[1]/b.py", "new.py"):
        (committed / name).parent.mkdir(parents=True, exist_ok=True)
        (committed / name).touch()
    no_code = [committed / "results", committed / "results[1]", committed.parent]

    assert git_state(committed, no_code=no_code).untracked == ("new.py",)


def test_a_long_list_of_untracked_files_says_that_it_is_cut(committed, monkeypatch):
    for number in range(3):
        (committed / f"new_{number}.py").touch()
    monkeypatch.setattr(git, "MOST_UNTRACKED_FILES", 3)
    assert not git_state(committed).untracked_truncated

    monkeypatch.setattr(git, "MOST_UNTRACKED_FILES", 2)
    state = git_state(committed)
    assert (state.untracked, state.untracked_truncated) == (("new_0.py", "new_1.py"), True)

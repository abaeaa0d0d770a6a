"""The recorded code appears in a worktree of its own; the user's repository stays as it is."""

import os
import subprocess

import pytest

from src.experiments.domain.errors import UsageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.provenance import (
    Origin,
    collect_provenance,
    read_provenance,
    write_provenance,
)
from src.experiments.reproduction.worktree import recreated


@pytest.fixture(autouse=True)
def own_identity(monkeypatch, tmp_path):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(repository, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=repository, check=True, capture_output=True, text=True
    )
    return done.stdout


class Laboratory:
    """A repository with a commit, staged, unstaged and untracked changes, and their record."""

    def __init__(self, folder):
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.paths = ExperimentPaths.under(folder / "results", "pair")
        self.folder = folder / "code"
        git(self.repository, "init", "--initial-branch", "research")
        self.write("train.py", "x = 1\n")
        self.write("gone.py", "x = 1\n")
        git(self.repository, "add", ".")
        git(self.repository, "commit", "-m", "first")
        self.write("train.py", "x = 2\n")
        self.write("image.bin", bytes(range(256)))
        git(self.repository, "add", "image.bin")
        git(self.repository, "rm", "--quiet", "gone.py")
        self.write("envs/windy.py", "gusts = 3\n")

    def write(self, name, content):
        path = self.repository / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def record(self):
        origin = Origin(output_dir=self.paths.root.parent)
        write_provenance(self.paths, collect_provenance([], self.repository, origin=origin))
        return self

    @property
    def code(self):
        return read_provenance(self.paths).code

    def move_on(self):
        """The user works on: another commit, another branch, other changes."""
        git(self.repository, "commit", "--all", "-m", "second")
        git(self.repository, "checkout", "--quiet", "-b", "later")
        self.write("train.py", "x = 'later'\n")
        self.write("envs/windy.py", "gusts = 'later'\n")
        return self

    def state(self):
        questions = (["status", "--porcelain"], ["rev-parse", "HEAD"], ["branch", "--all"])
        told = [git(self.repository, *question) for question in questions]
        files = [path for path in self.repository.rglob("*") if ".git" not in path.parts]
        contents = {path: path.read_bytes() for path in files if path.is_file()}
        return (*told, git(self.repository, "worktree", "list"), contents)


@pytest.fixture
def laboratory(tmp_path):
    return Laboratory(tmp_path)


def test_the_code_is_as_it_was_and_the_repository_as_it_is(laboratory):
    laboratory.record().move_on()
    before = laboratory.state()

    with recreated(laboratory.code, laboratory.repository, laboratory.folder) as root:
        files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and path.name != ".git"
        }
        head = git(root, "rev-parse", "HEAD").strip()

    assert files == {
        "train.py": b"x = 2\n",
        "image.bin": bytes(range(256)),
        "envs/windy.py": b"gusts = 3\n",
    }
    assert head == laboratory.code.commit
    assert laboratory.state() == before
    assert not laboratory.folder.exists()
    assert not (laboratory.repository / ".git" / "worktrees").exists()


@pytest.mark.parametrize("stays", [False, True])
def test_it_goes_when_what_is_done_in_it_is_stopped(laboratory, stays):
    laboratory.record()
    before = laboratory.state()

    def train(root):
        (root / "left.txt").write_text("x")
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        recreated(laboratory.code, laboratory.repository, laboratory.folder, stays=stays) as root,
    ):
        train(root)

    assert laboratory.state() == before
    assert not laboratory.folder.exists()


def test_it_stays_when_it_shall(laboratory):
    laboratory.record()

    with recreated(laboratory.code, laboratory.repository, laboratory.folder, stays=True):
        pass

    assert (laboratory.folder / "train.py").read_text() == "x = 2\n"
    assert str(laboratory.folder) in git(laboratory.repository, "worktree", "list")


def test_a_folder_that_vanished_meanwhile_is_forgotten(laboratory):
    laboratory.record()
    before = laboratory.state()

    with recreated(laboratory.code, laboratory.repository, laboratory.folder) as root:
        (root / ".git").unlink()

    assert laboratory.state() == before
    assert not laboratory.folder.exists()


def test_no_hook_is_executed(laboratory, tmp_path):
    laboratory.record()
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = laboratory.repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
        hook.chmod(0o700)

    with recreated(laboratory.code, laboratory.repository, laboratory.folder):
        pass

    assert not (tmp_path / "executed").exists()


@pytest.fixture
def refused(laboratory):
    """The refusal of a recreation, of which nothing is left."""

    def refusal(repository=laboratory.repository):
        before = laboratory.state()
        with (
            pytest.raises(UsageError) as error,
            recreated(laboratory.code, repository, laboratory.folder),
        ):
            pytest.fail("it was recreated")
        assert laboratory.state() == before
        assert not laboratory.folder.exists()
        return str(error.value)

    return refusal


def test_a_commit_that_is_not_there_is_named_with_where_it_is(laboratory, refused, tmp_path):
    git(laboratory.repository, "remote", "add", "origin", "https://x:y@example.com/code.git")
    laboratory.record()
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")

    message = refused(other)

    assert f"commit {laboratory.code.commit} (branch research) is not in this repository" in message
    assert "fetch it from https://example.com/code.git, or" in message


def test_outside_a_repository_it_is_refused(laboratory, refused, tmp_path):
    laboratory.record()
    (tmp_path / "plain").mkdir()

    assert "no git repository here" in refused(tmp_path / "plain")
    assert "no git repository here" in refused(tmp_path / "absent")


def test_changes_that_do_not_apply_are_refused_with_what_git_says(laboratory, refused):
    laboratory.record()
    diff = laboratory.paths.provenance / "uncommitted.diff"
    diff.write_text(diff.read_text().replace("-x = 1\n", "-x = 7\n"))

    message = refused()
    assert "the recorded changes do not apply to the recorded commit" in message
    assert "train.py" in message


def test_a_patch_that_leaves_the_worktree_is_refused(laboratory, refused, tmp_path):
    laboratory.record()
    patch = laboratory.paths.provenance / "untracked.diff"
    patch.write_text(patch.read_text().replace("envs/windy.py", "../escaped.py"))

    assert "do not apply" in refused()
    assert not (tmp_path / "escaped.py").exists()


def test_changes_that_lack_a_secret_are_refused(laboratory, refused):
    laboratory.write("train.py", "API_KEY = 'abcdef-1'\n")
    laboratory.record()

    message = refused()
    assert "cannot be recreated: secrets were left out of the recorded changes" in message
    assert "complete the changes by hand" in message


def test_a_commit_that_is_none_is_never_given_to_git(laboratory, refused):
    laboratory.record()
    summary = laboratory.paths.provenance / "provenance.json"
    text = summary.read_text()
    summary.write_text(text.replace(laboratory.code.commit, "--upload-pack=touch x"))

    assert "is not a commit" in refused()

"""The code as it was, in a worktree of its own; the user's files, index and branches stay."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..domain.errors import TrainingError, UsageError
from ..provenance import RecordedCode
from ..provenance.inert_git import Git, GitFailedError

GIT_SECONDS = 600.0
"""A large repository takes long to check out."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_APPLY = (
    *("-c", "apply.whitespace=nowarn", "-c", "apply.ignoreWhitespace=no"),
    *("apply", "--binary"),
)
_FAILURES = (GitFailedError, OSError, subprocess.TimeoutExpired)


@contextmanager
def recreated(
    code: RecordedCode, repository: Path, folder: Path, *, stays: bool = False
) -> Iterator[Path]:
    """The recorded code in a folder that does not exist yet; it goes at the end.

    Args:
        code: what was recorded.
        repository: a directory of a repository that has the commit.
        folder: the new worktree.
        stays: whether it is left there when training has ended.

    Raises:
        UsageError: when it cannot be recreated exactly; nothing is left then.
    """
    git = Git(repository, GIT_SECONDS)
    _check(code, git)
    try:
        _check_out(code, git, folder)
        for patch in filter(None, (code.diff, code.untracked)):
            _apply(patch, folder)
    except BaseException:
        _remove(git, folder)
        raise
    is_left = False
    try:
        yield folder
        is_left = stays
    except TrainingError:  # to look into
        is_left = stays
        raise
    finally:
        if not is_left:
            _remove(git, folder)


def _check(code: RecordedCode, git: Git) -> None:
    """Refuse what cannot lead to the code that trained."""
    if code.why_incomplete:
        raise UsageError(
            f"the code cannot be recreated: {'; '.join(code.why_incomplete)}",
            where=str(code.diff.parent),
            remedy="check the commit out, complete the changes by hand, and run"
            " config/experiment_config.json of the experiment there",
        )
    if not _COMMIT.fullmatch(code.commit):
        raise UsageError(
            f"{code.commit[:80]!a} is not a commit",
            where=str(code.diff.with_name("provenance.json")),
        )
    try:
        git.text("rev-parse", "--git-dir")
    except _FAILURES as error:
        home = f", such as one of {code.repository}" if code.repository else ""
        raise UsageError(
            f"no git repository here ({_reason(error)})",
            where=str(git.directory),
            remedy=f"run it inside the repository{home}, or name it with --repository PATH",
        ) from error
    try:
        git.text("cat-file", "-e", f"{code.commit}^{{commit}}")
    except _FAILURES as error:
        branch = f" (branch {code.branch})" if code.branch else ""
        source = code.repository or "the repository that has it"
        raise UsageError(
            f"commit {code.commit}{branch} is not in this repository",
            where=str(git.directory),
            remedy=f"fetch it from {source}, or name another with --repository PATH",
        ) from error


def _check_out(code: RecordedCode, git: Git, folder: Path) -> None:
    try:
        git.text("worktree", "add", "--quiet", "--detach", str(folder), code.commit)
    except _FAILURES as error:
        raise UsageError(
            f"the commit cannot be checked out ({_reason(error)})", where=str(git.directory)
        ) from error


def _apply(patch: Path, folder: Path) -> None:
    if not patch.is_file() or patch.stat().st_size == 0:
        return
    try:
        Git(folder, GIT_SECONDS).text(*_APPLY, str(patch.resolve()))
    except _FAILURES as error:
        raise UsageError(
            f"the recorded changes do not apply to the recorded commit ({_reason(error)})",
            where=str(patch),
            remedy="restore the file from a copy",
        ) from error


def _remove(git: Git, folder: Path) -> None:
    """Take the worktree away, and git's note of it."""
    for attempt in range(2):
        with suppress(*_FAILURES):
            git.text("worktree", "remove", "--force", str(folder))
            return
        if attempt == 0:
            shutil.rmtree(folder, ignore_errors=True)  # git forgets it then, too


def _reason(error: Exception) -> str:
    """What git said, in one line."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"git did not answer within {error.timeout:.0f} s"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines) or type(error).__name__

"""The state of the code, asked of git without running hooks, pagers or external diff programs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

LARGEST_DIFF_BYTES = 4 * 2**20
MOST_UNTRACKED_FILES = 1000

_INERT = (
    *("--no-pager", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "core.quotePath=false", "-c", "color.ui=false", "-c", "diff.relative=false"),
)
_DIFF = (
    *("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)
_REDIRECTING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_TRACE")


@dataclass(frozen=True)
class GitState:
    """What git knows about the code that runs."""

    commit: str | None
    """None before the first commit."""
    branch: str | None
    """None where no branch is checked out."""
    dirty: bool
    """Whether tracked files differ from the commit."""
    diff: str
    """The uncommitted changes of tracked files as a patch."""
    diff_truncated: bool
    untracked: tuple[str, ...]
    """Files that git neither tracks nor ignores; at most the first thousand."""


class _GitFailedError(Exception):
    pass


def git_state(directory: Path | None = None, *, timeout_seconds: float = 10.0) -> GitState | None:
    """The state of the repository around a directory (default: the working directory).

    None outside a repository, without git, or where git does not answer in time.
    """
    git = _Git(directory or Path.cwd(), timeout_seconds)
    try:
        git.text("rev-parse", "--show-toplevel")
        commit = git.text_or_none("rev-parse", "--verify", "--quiet", "HEAD")
        base = commit or git.text("hash-object", "-t", "tree", os.devnull)
        diff, truncated = git.read(*_DIFF, base, "--", limit=LARGEST_DIFF_BYTES)
        return GitState(
            commit=commit,
            branch=git.text_or_none("symbolic-ref", "--short", "--quiet", "HEAD"),
            dirty=bool(diff),
            diff=diff,
            diff_truncated=truncated,
            untracked=_untracked(git),
        )
    except (_GitFailedError, OSError, subprocess.TimeoutExpired):
        return None


def _untracked(git: _Git) -> tuple[str, ...]:
    listing, _ = git.read(
        "ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/", limit=2**20
    )
    names = listing.split("\0")[:-1]  # the last is empty, or was cut
    return tuple(names[:MOST_UNTRACKED_FILES])


@dataclass(frozen=True)
class _Git:
    directory: Path
    timeout_seconds: float

    def text(self, *arguments: str) -> str:
        return self.read(*arguments, limit=2**16)[0].strip()

    def text_or_none(self, *arguments: str) -> str | None:
        try:
            return self.text(*arguments) or None
        except _GitFailedError:
            return None

    def read(self, *arguments: str, limit: int) -> tuple[str, bool]:
        """Output of a git command up to `limit` bytes, and whether there was more."""
        # into a file: a diff can be larger than memory
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
                ["git", *_INERT, *arguments],  # noqa: S607 - whichever git the user has
                cwd=self.directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout_seconds,
                check=False,
            )
            if done.returncode != 0:
                raise _GitFailedError(arguments)
            size = output.seek(0, os.SEEK_END)
            output.seek(0)
            return output.read(limit).decode(errors="replace"), size > limit


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}

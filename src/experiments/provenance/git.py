"""The state of the code, as git knows it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .inert_git import Git, GitFailedError

LARGEST_DIFF_BYTES = 4 * 2**20
MOST_UNTRACKED_FILES = 1000

_DIFF = (
    *("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--unified=3"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)
_WEB = re.compile(r"(?:https?|ftps?)://", re.IGNORECASE)


@dataclass(frozen=True)
class GitState:
    """What git knows about the code that runs."""

    root: str
    """The directory of the repository's files."""
    prefix: str
    """Where in it the experiment was started; empty at its root."""
    commit: str | None
    """None before the first commit."""
    branch: str | None
    """None where no branch is checked out."""
    repository: str | None
    """URL of the branch's remote repository, without credentials."""
    dirty: bool
    """Whether tracked files differ from the commit."""
    diff: str
    """The uncommitted changes of tracked files as a patch."""
    diff_truncated: bool
    """Whether the patch was too large and is cut."""
    diff_lossy: bool
    """Whether bytes that are not UTF-8 were replaced in it."""
    untracked: tuple[str, ...]
    """Files that git neither tracks nor ignores; at most the first thousand."""
    untracked_truncated: bool
    """Whether there are more."""


def git_state(
    directory: Path | None = None,
    *,
    timeout_seconds: float = 10.0,
    no_code: Iterable[Path] = (),
) -> GitState | None:
    """The state of the repository around a directory (default: the working directory).

    None outside a repository, without git, or where git does not answer in time.

    Args:
        directory: in the repository.
        timeout_seconds: for each question.
        no_code: directories whose untracked files are not told, such as results.
    """
    git = Git(directory or Path.cwd(), timeout_seconds)
    try:
        root = git.text("rev-parse", "--show-toplevel")
        commit = git.text_or_none("rev-parse", "--verify", "--quiet", "HEAD")
        branch = git.text_or_none("symbolic-ref", "--short", "--quiet", "HEAD")
        base = commit or git.text("hash-object", "-t", "tree", os.devnull)
        diff, truncated = git.read(*_DIFF, base, "--", limit=LARGEST_DIFF_BYTES)
        text = diff.decode(errors="replace")
        untracked = _untracked(git, _inside(Path(root), no_code))
        return GitState(
            root=root,
            prefix=git.text("rev-parse", "--show-prefix"),
            commit=commit,
            branch=branch,
            repository=_repository(git, branch),
            dirty=bool(diff),
            diff=text,
            diff_truncated=truncated,
            diff_lossy=text.encode() != diff,
            untracked=untracked[:MOST_UNTRACKED_FILES],
            untracked_truncated=len(untracked) > MOST_UNTRACKED_FILES,
        )
    except (GitFailedError, OSError, subprocess.TimeoutExpired):
        return None


def without_credentials(url: str) -> str:
    """A repository's address without passwords and tokens; a login of SSH is part of it."""
    if "://" not in url:
        return url  # a path, or user@host:path
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if _WEB.match(url):
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}{at}{host}"))


def _repository(git: Git, branch: str | None) -> str | None:
    """The address of the branch's remote, else of `origin`, else of the first there is."""
    own = git.text_or_none("config", "--get", f"branch.{branch}.remote") if branch else None
    names = (git.text_or_none("remote") or "").split()
    for name in dict.fromkeys(filter(None, (own, "origin", *names))):
        # as it is written: `remote get-url` would put in what url.*.insteadOf holds
        url = git.text_or_none("config", "--get", f"remote.{name}.url")
        if url:
            return without_credentials(url)
    return None


def _untracked(git: Git, no_code: Iterable[str]) -> tuple[str, ...]:
    """One more than are kept, where there are more."""
    left_out = (f":(top,exclude,literal){folder}" for folder in no_code)
    question = ("ls-files", "--others", "--exclude-standard", "--full-name", "-z")
    listing, _ = git.read(*question, "--", ":/", *left_out, limit=2**20)
    names = listing.decode(errors="replace").split("\0")[:-1]  # the last is empty, or was cut
    return tuple(names[: MOST_UNTRACKED_FILES + 1])


def _inside(root: Path, folders: Iterable[Path]) -> Iterator[str]:
    """Those of the folders that lie below the root, as git names them."""
    for folder in folders:
        resolved = folder.resolve()
        if resolved != root and resolved.is_relative_to(root):
            yield resolved.relative_to(root).as_posix()

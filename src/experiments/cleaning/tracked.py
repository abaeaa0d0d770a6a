"""Which files git tracks: they are somebody's work, whatever they are called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..domain.errors import StorageError
from ..provenance.inert_git import Git, GitFailedError

_TIMEOUT_SECONDS = 60.0
_MOST_BYTES = 1 << 30


def tracked_files(root: Path) -> frozenset[str]:
    """The files below a directory that git tracks, relative to it; none outside a repository.

    Raises:
        StorageError: when there is a repository and git does not tell: nothing is then known to
            be safe.
    """
    resolved = root.resolve()
    if not any(os.path.lexists(folder / ".git") for folder in (resolved, *resolved.parents)):
        return frozenset()
    git = Git(root, _TIMEOUT_SECONDS)
    try:
        listing, is_cut = git.read("ls-files", "--cached", "-z", "--", ".", limit=_MOST_BYTES)
    except (GitFailedError, OSError, subprocess.TimeoutExpired) as error:
        raise _unknown(root, str(error)) from error
    if is_cut:
        raise _unknown(root, "too many")
    return frozenset(os.fsdecode(name) for name in listing.split(b"\0") if name)


def _unknown(root: Path, why: str) -> StorageError:
    return StorageError(
        f"git does not say which files it tracks: {' '.join(why.split())}",
        where=str(root),
        remedy="make sure that `git ls-files` works there, then repeat the command",
    )

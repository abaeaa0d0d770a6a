"""A private temporary folder for what the SDK of Weights & Biases writes beside a run."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from ...domain.errors import ExperimentLockedError
from ...durability.lock import FileLock

PREFIX = "exp-wandb-"
LONGEST_PARENT = 48
"""Characters of a path below which the service's socket, of 108 at most, still fits."""
_LOCK = ".lock"


class TemporaryRoot:
    """Locked as long as its process lives."""

    def __init__(self) -> None:
        """Make the folder, and remove those that killed processes have left."""
        parent = Path(tempfile.gettempdir())
        if len(str(parent)) > LONGEST_PARENT:
            parent = Path("/tmp")  # noqa: S108 - where the service would put its socket then
        _remove_orphans(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._held = ExitStack()
        self._held.enter_context(FileLock(self.path / _LOCK))

    def remove(self) -> None:
        """Remove the folder with everything in it; a second time does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._held.close()


def _remove_orphans(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, ExperimentLockedError):
            status = path.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_own and (path / _LOCK).exists():
                with FileLock(path / _LOCK, patience_seconds=0):
                    shutil.rmtree(path)

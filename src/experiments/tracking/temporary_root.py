"""A private temporary folder for what an SDK writes, removed also after a kill."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from ..domain.errors import ExperimentsError
from ..durability.lock import FileLock

_LOCK = ".lock"


class TemporaryRoot:
    """Locked as long as its process lives."""

    def __init__(self, prefix: str, longest_parent: int | None = None) -> None:
        """Make the folder, and remove those that killed processes have left.

        Args:
            prefix: how its name begins, and the orphans' names.
            longest_parent: with a longer path of the place for temporary files, it is ``/tmp``.
        """
        parent = Path(tempfile.gettempdir())
        if longest_parent is not None and len(str(parent)) > longest_parent:
            parent = Path("/tmp")  # noqa: S108 - where the system has it
        _remove_orphans(parent, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._held = ExitStack()
        self._held.enter_context(FileLock(self.path / _LOCK))

    def remove(self) -> None:
        """Remove the folder with everything in it; a second time does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._held.close()


def _remove_orphans(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{prefix}*"):
        with suppress(OSError, ExperimentsError):
            status = path.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_own and (path / _LOCK).exists():
                with FileLock(path / _LOCK, patience_seconds=0):
                    shutil.rmtree(path)

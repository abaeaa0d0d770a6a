"""How much a directory holds, and what is left on its volume."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from ..domain.units import MIB


def directory_size_mb(root: Path) -> float:
    """Size of the regular files below a directory, in MiB; links are not followed."""
    return _directory_bytes(root) / MIB


def free_disk_mb(folder: Path) -> float | None:
    """MiB that are free on the folder's volume; None where that cannot be told."""
    try:
        return shutil.disk_usage(folder).free / MIB
    except OSError:
        return None


def _directory_bytes(directory: Path | str) -> int:
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                total += _entry_bytes(entry)
    except OSError:
        pass  # removed or renamed while it was read
    return total


def _entry_bytes(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return _directory_bytes(entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return 0  # a temporary file that has just got its final name
    return status.st_size if stat.S_ISREG(status.st_mode) else 0

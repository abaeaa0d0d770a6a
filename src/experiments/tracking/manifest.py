"""The manifest: every file of an experiment with its size and SHA-256."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..domain.paths import ExperimentPaths
from ..durability.files import write_json


def write_manifest(paths: ExperimentPaths) -> None:
    """Write `manifest.json`; to be called after every other file is in its place."""
    files = [entry for path in _files(paths.root) if (entry := _entry(path, paths)) is not None]
    content = {
        "experiment_id": paths.experiment_id,
        "count": len(files),
        "bytes": sum(file["size"] for file in files),
        "files": files,
    }
    write_json(paths.manifest, content)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(names):
            if not _is_hidden(name):
                yield Path(folder, name)


def _entry(path: Path, paths: ExperimentPaths) -> dict[str, Any] | None:
    if path == paths.manifest:
        return None
    try:
        # a link belongs to somebody else: it is neither followed nor listed
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        digest = hashlib.file_digest(file, "sha256")
        size = file.tell()
    name = path.relative_to(paths.root).as_posix()
    return {"path": name, "size": size, "sha256": digest.hexdigest()}


def _is_hidden(name: str) -> bool:
    """Locks, wishes of one process to another, and files that are not complete yet."""
    return name.startswith(".")

"""Arrays appended to files, chunk by chunk: what was written once is never written again.

A chunk is the raw bytes of some arrays. Where it lies and its SHA-256 are plain data that whoever
wrote it keeps; nothing in the file itself is interpreted. Bytes behind the last chunk that anybody
knows of, left by a kill, do no harm.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..domain.errors import StorageError
from .files import make_directory, sync_directory

Chunk = dict[str, Any]
"""``file``, ``offset``, ``bytes``, ``sha256`` and ``arrays``: name, dtype and shape of each."""

FILE_BYTES = 1 << 26
"""A file that has grown so large is followed by another one, so that old ones can go."""


class SegmentWriter:
    """Appends chunks to files of one stem in one directory; each is on the disk when told of."""

    def __init__(self, directory: Path, stem: str) -> None:
        self._directory = directory
        self._stem = stem
        self._number = 0

    def append(self, arrays: Mapping[str, np.ndarray]) -> Chunk:
        """Write arrays behind what is there.

        Raises:
            StorageError: when the disk refuses; earlier chunks are untouched.
        """
        path = self._path()
        try:
            make_directory(self._directory)
            is_new = not path.exists()
            with path.open("ab") as file:
                offset = file.tell()
                digest = hashlib.sha256()
                for array in arrays.values():
                    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
                    file.write(data)
                    digest.update(data)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell() - offset
            if is_new:
                sync_directory(self._directory)
        except OSError as error:
            wanted = sum(array.nbytes for array in arrays.values())
            raise StorageError(
                f"{error.strerror or error}: {wanted:,} bytes of stored experience could not be"
                " written",
                where=str(path),
                remedy="free space or fix the permissions, then continue with --experiment-id",
            ) from error
        return {
            "file": path.name,
            "offset": offset,
            "bytes": size,
            "sha256": digest.hexdigest(),
            "arrays": [(name, each.dtype.str, each.shape) for name, each in arrays.items()],
        }

    def _path(self) -> Path:
        path = self._directory / f"{self._stem}-{self._number}.bin"
        while path.exists() and path.stat().st_size >= FILE_BYTES:
            self._number += 1
            path = self._directory / f"{self._stem}-{self._number}.bin"
        return path


def read_chunk(directory: Path, chunk: Chunk) -> dict[str, np.ndarray]:
    """The arrays of a chunk by name.

    Raises:
        StorageError: when the file is gone, too short, or not as it was written.
    """
    path = directory / Path(chunk["file"]).name
    try:
        with path.open("rb") as file:
            file.seek(chunk["offset"])
            data = file.read(chunk["bytes"])
    except OSError as error:
        raise StorageError(f"{error.strerror or error}", where=str(path)) from error
    if hashlib.sha256(data).hexdigest() != chunk["sha256"]:
        raise StorageError("stored experience is damaged: its SHA-256 differs", where=str(path))
    arrays, position = {}, 0
    for name, dtype, shape in chunk["arrays"]:
        count = int(np.prod(shape))
        array = np.frombuffer(data, np.dtype(dtype), count, position)
        arrays[name] = array.reshape(shape)
        position += array.nbytes
    return arrays

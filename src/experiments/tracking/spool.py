"""Texts put aside on disk, so that memory does not grow with the number of runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from ..domain.errors import StorageError
from ..durability.files import make_directory


class Place(NamedTuple):
    """Where a text lies in a spool."""

    offset: int
    length: int


class Spool:
    """Texts in a file; `open_spool` makes one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0

    def put(self, text: str) -> Place:
        """Put a text aside."""
        data = text.encode(errors="backslashreplace")
        place = Place(self._end, len(data))
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)
        return place

    def get(self, place: Place) -> str:
        """The text that lies there."""
        self._file.seek(place.offset)
        return self._file.read(place.length).decode()


@contextmanager
def open_spool(directory: Path) -> Iterator[Spool]:
    """A spool in a file without a name, on the volume of `directory`, which may have more room.

    Raises:
        StorageError: when the disk refuses.
    """
    try:
        with TemporaryFile(dir=make_directory(directory)) as file:
            yield Spool(file)
    except OSError as error:
        raise StorageError(
            f"{error.strerror or error}",
            where=str(directory),
            remedy="free space or fix the permissions, then continue with --experiment-id",
        ) from error

"""Texts put aside on disk, so that memory does not grow with the number of runs."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from ..domain.errors import StorageError
from ..durability.files import make_directory

_PIECE_BYTES = 1 << 18


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
        return self.put_pieces([text])

    def put_pieces(self, pieces: Iterable[str]) -> Place:
        """Put a text aside, of which only a piece is in memory at a time."""
        start = self._end
        self._file.seek(start)
        for piece in pieces:
            self._end += self._file.write(piece.encode(errors="backslashreplace"))
        return Place(start, self._end - start)

    def get(self, place: Place) -> str:
        """The text that lies there."""
        self._file.seek(place.offset)
        return self._file.read(place.length).decode()

    def pieces(self, place: Place) -> Iterator[str]:
        """The same, a piece at a time."""
        return codecs.iterdecode(self._blocks(place), "utf-8")

    def _blocks(self, place: Place) -> Iterator[bytes]:
        for offset in range(place.offset, place.offset + place.length, _PIECE_BYTES):
            self._file.seek(offset)
            yield self._file.read(min(_PIECE_BYTES, place.offset + place.length - offset))


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

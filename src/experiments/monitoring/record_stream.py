"""A journal or an events file, followed as it grows: one stat where nothing is new."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from ..domain.errors import StorageError
from ..durability.journal import Record, read_journal

BLOCK_BYTES = 1 << 18


def _beginning(kind: str) -> bytes:
    """How a line begins that `JournalWriter` wrote."""
    return f'{{"kind": "{kind}"'.encode()


_SAMPLE = _beginning("resources")
"""Appended every second, and only the last is of interest."""


class RecordStream:
    """Reads the whole records of a stream, each once, in blocks, from where it stopped.

    Resource samples are passed over without being parsed; the latest line is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._inode: int | None = None
        self._seen: tuple[int, int] | None = None
        self._offset = 0
        self._sample = b""
        self.was_cut = False
        """Whether the last look found less than was read, or another file."""

    @property
    def is_at_its_start(self) -> bool:
        """Whether nothing was read yet."""
        return self._offset == 0

    def has_changed(self) -> bool:
        """Look whether the file is as it was at the last look; costs one stat."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked a thousand times a second
        except FileNotFoundError:
            inode, seen = None, None
        else:
            inode, seen = status.st_ino, (status.st_size, status.st_mtime_ns)
        is_another = self._inode is not None and inode != self._inode
        self.was_cut = is_another or (self._offset > 0 and (seen is None or seen[0] < self._offset))
        has_changed = is_another or seen != self._seen
        self._inode, self._seen = inode, seen
        return has_changed

    def restart(self) -> None:
        """Read from the start again."""
        self._offset = 0
        self._sample = b""

    def records(self) -> Iterator[Record]:
        """The whole records that were not read yet; a torn last line waits for its end.

        Raises:
            StorageError: when a line before the last one is damaged, which no kill does.
        """
        rest = b""
        try:
            with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123
                file.seek(self._offset)
                while block := file.read(BLOCK_BYTES):
                    whole, newline, rest = (rest + block).rpartition(b"\n")
                    self._offset += len(whole) + len(newline)
                    lines = whole.split(b"\n")
                    self._keep_latest_sample(lines)
                    yield from self._parse(lines)
        except FileNotFoundError:
            return

    def first(self) -> Record | None:
        """The first record; None where it is not whole yet."""
        with open(self._path, "rb") as file:  # noqa: PTH123
            line = file.readline()
        return next(self._parse([line]), None) if line.endswith(b"\n") else None

    def newest_first(self, length: int, kinds: Collection[str]) -> Iterator[Record]:
        """The records of some kinds in the last `length` bytes, backwards.

        `records` goes on behind them. Nothing is read where the file is not longer than that.
        """
        if self._seen is None or self._seen[0] <= length:
            return
        start = self._seen[0] - length
        with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123
            file.seek(start)
            data = file.read(length)
        begin, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        self._offset = start + end
        lines = data[begin:end].split(b"\n")
        self._keep_latest_sample(lines)
        wanted = tuple(_beginning(kind) for kind in kinds)
        yield from self._parse(line for line in reversed(lines) if line.startswith(wanted))

    def sample(self) -> Record | None:
        """The latest resource sample; None where there is none that can be read."""
        try:
            sample = json.loads(self._sample)
        except ValueError:
            return None
        return sample if isinstance(sample, dict) else None

    def _keep_latest_sample(self, lines: Sequence[bytes]) -> None:
        for line in reversed(lines):
            if line.startswith(_SAMPLE):
                self._sample = line
                return

    def _parse(self, lines: Iterable[bytes]) -> Iterator[Record]:
        for line in lines:
            if line and not line.startswith(_SAMPLE):
                yield self._record(line)

    def _record(self, line: bytes) -> Record:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            return record
        read_journal(Path(self._path))  # names what is damaged
        # … unless the file was cut and has grown again under the reader
        raise StorageError("it was replaced while it was read", where=self._path)

"""A run's append-only streams: what training did, and what happened to the run meanwhile.

`journal.jsonl` is written by the training process alone, `events.jsonl` by the orchestrator alone.
One JSON object a line; a torn last line, left by a kill, is ignored by every reader.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..domain.errors import StorageError
from .files import replacing

Record = dict[str, Any]

WALL_CLOCK_SUFFIXES = ("_time", "_seconds", "_per_second")
MOST_KEPT_BYTES = 1 << 20
"""As objects these take some 8 MiB: a thousand records with all metrics."""
_READ_BYTES = 1 << 18
_BLOCK = 1 << 16
_LONGEST_FIRST_BYTES = 1 << 16


class JournalWriter:
    """Appends records to a stream; each is a whole line before `append` returns."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        *,
        sync: bool = True,
        keep_bytes: int | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: the stream, created where it is absent.
            clock: the wall clock of the records.
            sync: whether closing waits until the disk has everything.
            keep_bytes: how much of what is there is kept; None keeps all.
        """
        self._path = path
        self._clock = clock
        self._sync = sync
        self._keep_bytes = keep_bytes
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._keep_bytes is not None:
                cut_back(self._path, self._keep_bytes)
            truncate_torn_line(self._path)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._refused(error, "the journal could not be opened") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            try:
                if self._sync:
                    os.fsync(file.fileno())
            except OSError as refusal:
                raise self._refused(refusal, "the journal may be incomplete") from refusal

    def append(self, kind: str, step: int, **fields: Any) -> None:
        """Append one record: its kind, the training timestep, its fields, the wall clock.

        Raises:
            StorageError: when the disk refuses; what it took of the line is ignored by readers.
        """
        if self._file is None:
            raise ValueError(f"{self._path} is not open: use the writer in a with block")
        record = {"kind": kind, "step": step, **fields, "time": self._clock()}
        # NaN is written as NaN: a journal says what happened, and Python reads it back
        text = json.dumps(record, ensure_ascii=False)
        # half a surrogate pair is escaped: JSON has it, UTF-8 has not
        self._write(text.encode(errors="backslashreplace") + b"\n", self._file)

    def synced_bytes(self) -> int:
        """The length of the stream, all of which is on the disk.

        Raises:
            StorageError: when the disk refuses.
        """
        if self._file is None:
            raise ValueError(f"{self._path} is not open: use the writer in a with block")
        try:
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise self._refused(error, "the journal may be incomplete") from error

    def _write(self, line: bytes, file: BinaryIO) -> None:
        try:
            while line:  # a full disk takes a part first and refuses the rest
                line = line[file.write(line) :]
        except OSError as error:
            what = f"{len(line)} bytes of a record could not be written"
            raise self._refused(error, what) from error

    def _refused(self, error: OSError, what: str) -> StorageError:
        return StorageError(
            f"{error.strerror or error}: {what}",
            where=str(self._path),
            remedy="free space or fix the permissions, then continue with --experiment-id",
        )


def read_journal(path: Path) -> list[Record]:
    """All whole records of a stream; an absent file is an empty one."""
    records, _ = read_journal_from(path, 0)
    return records


def first_record(path: Path) -> Record:
    """The first record of a stream; empty where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            record = json.loads(file.readline(_LONGEST_FIRST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


class Records:
    """The whole records of a stream, gone through as often as one likes; an absent one has none.

    A short stream is read once and kept. A long one is read anew each time, a block after the
    other, so that ten million records take no more memory than some thousands.
    """

    def __init__(self, path: Path, most_kept_bytes: int = MOST_KEPT_BYTES) -> None:
        """Nothing is read yet.

        Args:
            path: the stream.
            most_kept_bytes: the size up to which its records are kept.
        """
        self._path = path
        self._most_kept_bytes = most_kept_bytes
        self._kept: list[Record] | None = None

    def __iter__(self) -> Iterator[Record]:
        """The records, first to last.

        Raises:
            StorageError: when a line before the last one is damaged, which no kill does.
        """
        if self._kept is None and self._is_short():
            self._kept = read_journal(self._path)
        return iter(self._kept) if self._kept is not None else self._read_in_blocks()

    def _is_short(self) -> bool:
        try:
            return self._path.stat().st_size <= self._most_kept_bytes
        except FileNotFoundError:
            return True

    def _read_in_blocks(self) -> Iterator[Record]:
        offset = 0
        while True:
            records, following = read_journal_from(self._path, offset, _READ_BYTES)
            if following == offset:
                return
            offset = following
            yield from records


def read_journal_from(path: Path, offset: int, most_bytes: int = -1) -> tuple[list[Record], int]:
    """The whole records after a byte offset, and the offset to continue from.

    Args:
        path: the stream; an absent one is empty.
        offset: where a record begins.
        most_bytes: how much is read at once, at least one line; -1 reads to the end.

    Raises:
        StorageError: when a line before the last one is damaged, which no kill does.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(most_bytes)
            if most_bytes >= 0 and len(data) == most_bytes:
                data += file.readline()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return list(_parse(whole, path)), offset + len(whole)


def without_wall_clock(record: Mapping[str, Any]) -> Record:
    """The record as two equal runs share it: without fields that measure wall-clock time."""
    return {
        name: _without_wall_clock(value)
        for name, value in record.items()
        if name != "time" and not name.endswith(WALL_CLOCK_SUFFIXES)
    }


def _without_wall_clock(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_wall_clock(value)
    return [_without_wall_clock(item) for item in value] if isinstance(value, list) else value


def cut_back(path: Path, size: int) -> None:
    """Put the first bytes of a stream in its place, as another file.

    A process that was given up and still writes to the former file does no harm any more.

    Raises:
        StorageError: when there is less than that.
    """
    try:
        there = path.stat().st_size
    except FileNotFoundError:
        there = None
    if (there or 0) < size:
        raise StorageError(
            f"{size:,} bytes of it were once on the disk, {there or 0:,} are left", where=str(path)
        )
    if there is not None:
        with replacing(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
            _copy(old, new, size)


def _copy(old: BinaryIO, new: BinaryIO, size: int) -> None:
    """The first bytes of one file into another, a block at a time."""
    while size and (block := old.read(min(size, _READ_BYTES))):
        new.write(block)
        size -= len(block)


def truncate_torn_line(path: Path) -> None:
    """Cut a last line that a kill left unfinished, so that the next record starts a new one."""
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        return
    with file:
        end = position = file.seek(0, os.SEEK_END)
        whole = 0
        while position and not whole:
            start = max(0, position - _BLOCK)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            whole = start + newline + 1 if newline >= 0 else 0
            position = start
        if whole < end:
            file.truncate(whole)


def _parse(data: bytes, path: Path) -> Iterator[Record]:
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise StorageError(
                f"a line in the middle is not a record: {line[:80]!a}",
                where=str(path),
                remedy="restore the file from a copy; or delete it, and the run is trained again",
            )
        yield record

"""A run's append-only streams: what training did, and what happened to the run meanwhile.

`journal.jsonl` is written by the training process alone, `events.jsonl` by the orchestrator alone.
One JSON object a line; a torn last line, left by a kill, is ignored by every reader.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..domain.errors import StorageError

Record = dict[str, Any]

WALL_CLOCK_SUFFIXES = ("_time", "_seconds", "_per_second")


class JournalWriter:
    """Appends records to a stream; each is a whole line before `append` returns."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        truncate_torn_line(self._path)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

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

    def _write(self, line: bytes, file: BinaryIO) -> None:
        try:
            while line:  # a full disk takes a part first and refuses the rest
                line = line[file.write(line) :]
        except OSError as error:
            raise StorageError(
                f"{error.strerror or error}: {len(line)} bytes of a record could not be written",
                where=str(self._path),
                remedy="free space or fix the permissions, then continue with --experiment-id",
            ) from error


def read_journal(path: Path) -> list[Record]:
    """All whole records of a stream; an absent file is an empty one."""
    records, _ = read_journal_from(path, 0)
    return records


def read_journal_from(path: Path, offset: int) -> tuple[list[Record], int]:
    """The whole records after a byte offset, and the offset to continue from."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return list(_parse(whole)), offset + len(whole)


def without_wall_clock(record: Mapping[str, Any]) -> Record:
    """The record as two equal runs share it: without fields that measure wall-clock time."""
    return {
        name: without_wall_clock(value) if isinstance(value, Mapping) else value
        for name, value in record.items()
        if name != "time" and not name.endswith(WALL_CLOCK_SUFFIXES)
    }


def truncate_torn_line(path: Path) -> None:
    """Cut a last line that a kill left unfinished, so that the next record starts a new one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _parse(data: bytes) -> Iterator[Record]:
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record

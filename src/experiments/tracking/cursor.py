"""How far a run was told, and the records that were not told yet.

The journal's cursor is a logical step, and how many records of that step were told: an offset would
not survive that a journal is cut back and written again. The events are never cut, so that their
number is enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..domain.paths import RunPaths
from ..durability.journal import Record, read_journal_from

MOST_BYTES = 1 << 18
"""What is read of a stream at once: telling goes on in portions."""


@dataclass(frozen=True)
class Cursor:
    """How far a run was told."""

    step: int = -1
    records: int = 0
    """Records of the journal at `step` that were told."""
    events: int = 0
    """Events that were told, counted from the first."""

    def after(self, record: Record) -> Cursor:
        """The cursor behind one more record of the journal."""
        step = int(record["step"])
        if step > self.step:
            return replace(self, step=step, records=1)
        return replace(self, records=self.records + 1)


class _Tail:
    """A stream that grows, read from where it was left; from its start after it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0

    def read(self) -> tuple[bool, list[Record]]:
        """Whether it is read from its start (again), and the whole records that are new."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked for every run in every round
        except FileNotFoundError:
            self._inode, self._offset = None, 0
            return True, []
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._inode, self._offset = status.st_ino, 0
        is_start = self._offset == 0
        if status.st_size == self._offset:
            return is_start, []
        records, self._offset = read_journal_from(self._path, self._offset, MOST_BYTES)
        return is_start, records


class UntoldRecords:
    """The records of one run, each once: those behind the cursor, also after a rewind."""

    def __init__(self, paths: RunPaths, cursor: Cursor) -> None:
        self.cursor = cursor
        """Behind the records that `next` has returned."""
        self._journal = _Tail(paths.journal)
        self._events = _Tail(paths.events)
        self._place = Cursor()
        self._event_place = 0

    def next(self) -> list[Record]:
        """Records that were not told yet, journal first; empty where there are none now.

        Raises:
            StorageError: when a stream is damaged.
        """
        return [*self._next_of_journal(), *self._next_events()]

    def _next_of_journal(self) -> Iterator[Record]:
        is_start, records = self._journal.read()
        if is_start:
            self._place = Cursor()
        for record in records:
            self._place = self._place.after(record)
            place = (self._place.step, self._place.records)
            if place > (self.cursor.step, self.cursor.records):
                self.cursor = replace(self.cursor, step=place[0], records=place[1])
                yield record

    def _next_events(self) -> Iterator[Record]:
        is_start, records = self._events.read()
        if is_start:
            self._event_place = 0
        for record in records:
            self._event_place += 1
            if self._event_place > self.cursor.events:
                self.cursor = replace(self.cursor, events=self._event_place)
                yield record

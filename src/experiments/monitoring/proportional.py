"""Proportional memory of many processes at a bounded cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .processes import ProcessReading, read_pss_bytes
from .sparing import Allowance

REFRESH_SECONDS = 10.0
"""A measurement that is younger is not repeated."""


@dataclass
class _Measured:
    pss_bytes: int | None
    memory_bytes: int
    """Resident memory at that moment."""
    moment: float


class ProportionalMemory:
    """Knows the processes' proportional memory (PSS): what they share is divided among them.

    The kernel walks a process's page tables for it, which takes some milliseconds. So a process is
    measured when it is new, and later once in a while, those first that were measured longest ago.
    In between its PSS follows its resident memory, because what it takes or gives back is its own.

    Args:
        read: bytes of a process.
        first: time for new processes; in advance, because many begin at once.
        again: time for those that are known.
        clock: seconds that pass.
    """

    def __init__(
        self,
        read: Callable[[int], int | None] = read_pss_bytes,
        first: Allowance | None = None,
        again: Allowance | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._first = first or Allowance(share=0.002, advance_seconds=1.0)
        self._again = again or Allowance(share=0.0004, advance_seconds=0.01)
        self._clock = clock
        self._measured: dict[tuple[int, float], _Measured] = {}

    def read(self, readings: Collection[ProcessReading]) -> dict[int, int | None]:
        """Bytes of each process, by pid; None where it was not measured yet or cannot be.

        Processes that are missing from `readings` are forgotten.
        """
        now = self._clock()
        known = self._measured
        self._measured = {
            reading.identity: known[reading.identity]
            for reading in readings
            if reading.identity in known
        }
        self._expect_change_in_parents(readings, now)
        for reading in sorted(readings, key=self._moment_of):
            if now - self._moment_of(reading) < REFRESH_SECONDS:
                break
            allowance = self._again if reading.identity in self._measured else self._first
            if allowance.is_left():
                allowance.spend(self._measure(reading, now))
        return {reading.pid: self._of(reading) for reading in readings}

    def _expect_change_in_parents(self, readings: Collection[ProcessReading], now: float) -> None:
        """What a process shares with one that it has just forked counted as its own before."""
        parents = {each.parent for each in readings if each.identity not in self._measured}
        for reading in readings:
            if reading.pid in parents and (measured := self._measured.get(reading.identity)):
                measured.moment = min(measured.moment, now - REFRESH_SECONDS)

    def _moment_of(self, reading: ProcessReading) -> float:
        measured = self._measured.get(reading.identity)
        return measured.moment if measured else float("-inf")

    def _measure(self, reading: ProcessReading, now: float) -> float:
        """Measure one process; the seconds of CPU time that it took."""
        begun = time.thread_time()
        pss = self._read(reading.pid)
        self._measured[reading.identity] = _Measured(pss, reading.memory_bytes, now)
        return time.thread_time() - begun

    def _of(self, reading: ProcessReading) -> int | None:
        measured = self._measured.get(reading.identity)
        if measured is None or measured.pss_bytes is None:
            return None
        return max(0, measured.pss_bytes + reading.memory_bytes - measured.memory_bytes)

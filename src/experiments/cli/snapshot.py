"""What the views draw: one look at a runner, and what has changed since the last one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..domain.records import ENDED_RUNS, RunKey, RunProgress, RunStatus
from ..monitoring import ResourceUsage

PROGRESS_EVERY_SECONDS = 10.0
PROGRESS_EVERY_PERCENT = 10.0


@dataclass(frozen=True)
class Snapshot:
    """One look at a runner."""

    phase: str
    runs: tuple[RunProgress, ...]
    resources: ResourceUsage | None = None
    disk_free_mb: float | None = None
    """On the file system of the results."""
    elapsed_seconds: float = 0.0
    seconds_left: float | None = None

    @property
    def counts(self) -> Counter[RunStatus]:
        """How many runs stand where."""
        return Counter(progress.status for progress in self.runs)


class Display(Protocol):
    """Shows a runner at work; all its methods are called by one thread."""

    def open(self) -> None:
        """Begin to show."""

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        """Show the newest look, and what must not be missed, such as warnings."""

    def close(self) -> None:
        """Give the terminal back."""


class ChangeKind(StrEnum):
    """What happened to a run between two looks."""

    STARTED = "run_started"
    PROGRESS = "progress"
    FINISHED = "run_finished"
    KEPT = "run_kept"
    """It was complete before this process began."""


@dataclass(frozen=True)
class Change:
    """Something about a run that is worth a line."""

    kind: ChangeKind
    progress: RunProgress
    seconds: float
    """Since the attempt started, as far as this process saw it."""


@dataclass
class _Reported:
    attempt: int
    started: float
    at: float
    percent: float
    ended: bool = False


class Changes:
    """Finds what is worth a line: starts, ends, and progress every 10 s or 10 %."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reported: dict[RunKey, _Reported] = {}
        self._is_first_look = True

    def since_last(self, snapshot: Snapshot) -> Iterator[Change]:
        """The changes between the last snapshot and this one."""
        now = self._clock()
        for progress in snapshot.runs:
            if progress.status is RunStatus.COMPLETED and self._is_first_look:
                self._reported[progress.run] = _kept(progress, now)
                yield Change(ChangeKind.KEPT, progress, 0.0)
            elif progress.status is not RunStatus.QUEUED:
                yield from self._changes_of(progress, now)
        self._is_first_look = self._is_first_look and not snapshot.runs

    def _changes_of(self, progress: RunProgress, now: float) -> Iterator[Change]:
        last = self._reported.get(progress.run)
        if last is None or last.attempt != progress.attempt:
            last = _Reported(progress.attempt, started=now, at=now, percent=progress.percent)
            self._reported[progress.run] = last
            if progress.status is RunStatus.RUNNING or progress.step:
                yield Change(ChangeKind.STARTED, progress, 0.0)
        if last.ended:
            return
        if progress.status in ENDED_RUNS:
            last.ended = True
            yield Change(ChangeKind.FINISHED, progress, now - last.started)
        elif _worth_a_line(progress, last, now):
            last.at, last.percent = now, progress.percent
            yield Change(ChangeKind.PROGRESS, progress, now - last.started)


def _kept(progress: RunProgress, now: float) -> _Reported:
    return _Reported(progress.attempt, started=now, at=now, percent=100.0, ended=True)


def _worth_a_line(progress: RunProgress, last: _Reported, now: float) -> bool:
    if progress.step >= progress.total_steps:
        return False  # only the final evaluation is missing: its end will be told
    advanced = progress.percent - last.percent
    waited = now - last.at
    return advanced >= PROGRESS_EVERY_PERCENT or (advanced > 0 and waited >= PROGRESS_EVERY_SECONDS)

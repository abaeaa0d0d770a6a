"""What the views draw: a snapshot of a runner, and what has changed since the last one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from statistics import fmean
from typing import Protocol

from ..domain.records import ENDED_RUNS, RunKey, RunProgress, RunStatus
from ..monitoring import ResourceUsage, Usage

PROGRESS_EVERY_SECONDS = 10.0
PROGRESS_EVERY_PERCENT = 10.0


_WITH_A_RETURN = frozenset({RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.INTERRUPTED})
"""A run that failed has a last return too, but none that its arm can be judged by."""
_UNDER_WAY = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.INTERRUPTED})


@dataclass(frozen=True)
class ArmSummary:
    """Where the runs of one arm stand."""

    arm: str
    runs: int
    counts: Mapping[RunStatus, int]
    under_way: float
    """Share of the arm's training, 0 to 1, that runs have done that have not ended yet."""
    returns: tuple[float, ...]
    """The latest mean return of each run that trains or has trained and has not failed."""

    @property
    def return_mean(self) -> float | None:
        """Mean over the runs; None before the first return."""
        return fmean(self.returns) if self.returns else None

    @property
    def return_deviation(self) -> float | None:
        """Standard deviation over the runs; None for fewer than two."""
        count = len(self.returns)
        if count < 2:
            return None
        return math.dist(self.returns, [fmean(self.returns)] * count) / math.sqrt(count - 1)


@dataclass(frozen=True)
class Snapshot:
    """A runner at one moment, or what it leaves on disk."""

    phase: str
    runs: tuple[RunProgress, ...]
    resources: ResourceUsage | None = None
    """Of the whole machine."""
    disk_free_mb: float | None = None
    """On the file system of the results."""
    elapsed_seconds: float = 0.0
    seconds_left: float | None = None
    slots: int | None = None
    """How many runs may train at once; None where that is not known."""
    admission: str | None = None
    """In a line, how many runs train at once, and why."""
    looks: str | None = None
    """Of a sequential design: the looks that were taken, and which comes next."""
    used: Usage | None = None
    """Of the runs alone, for a view that may stand on another machine."""

    @cached_property
    def counts(self) -> Counter[RunStatus]:
        """How many runs stand where."""
        counts: Counter[RunStatus] = Counter()
        for arm in self.arms:
            counts.update(arm.counts)
        return counts

    @cached_property
    def arms(self) -> tuple[ArmSummary, ...]:
        """The arms in the order in which they were planned."""
        by_arm: dict[str, list[RunProgress]] = {}
        for progress in self.runs:
            by_arm.setdefault(progress.run.arm, []).append(progress)
        return tuple(_summary(arm, runs) for arm, runs in by_arm.items())


def _summary(arm: str, runs: Sequence[RunProgress]) -> ArmSummary:
    returns = (run.returns_mean for run in runs if run.status in _WITH_A_RETURN)
    return ArmSummary(
        arm=arm,
        runs=len(runs),
        counts=Counter(run.status for run in runs),
        under_way=sum(run.percent for run in runs if run.status in _UNDER_WAY) / 100 / len(runs),
        returns=tuple(each for each in returns if each is not None and math.isfinite(each)),
    )


class Display(Protocol):
    """Shows a runner at work; all its methods are called by one thread."""

    def open(self) -> None:
        """Begin to show."""

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        """Show the newest snapshot, and what must not be missed, such as warnings."""

    def close(self) -> None:
        """Give the terminal back."""


class ChangeKind(StrEnum):
    """What happened to a run between two snapshots."""

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
            elif progress.status is not RunStatus.QUEUED and not self._never_began(progress):
                yield from self._changes_of(progress, now)
        self._is_first_look = self._is_first_look and not snapshot.runs

    def _never_began(self, progress: RunProgress) -> bool:
        """Whether a run was cancelled that was only planned: nothing happened to it."""
        is_new = progress.run not in self._reported
        return is_new and progress.status is RunStatus.CANCELLED

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

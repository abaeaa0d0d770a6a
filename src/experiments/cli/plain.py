"""The view where standard output is no terminal: something is written when a run changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import assert_never

from ..domain.records import RunProgress
from . import wording
from .snapshot import Change, ChangeKind, Changes, Snapshot


class ChangeLog:
    """Writes something for each change of a run, and the notices where a person reads."""

    def __init__(
        self,
        write: Callable[[Change], None],
        warn: Callable[[str], None],
        admit: Callable[[int, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`admit` is told how many runs go on at a time, and why."""
        self._write = write
        self._warn = warn
        self._admit = admit
        self._admitted = ""
        self._changes = Changes(clock)

    def open(self) -> None:
        """Nothing to prepare."""

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        """Write the notices, and what has changed."""
        for notice in notices:
            self._warn(notice)
        if snapshot.admission and snapshot.admission != self._admitted:
            self._admitted = snapshot.admission
            self._admit(snapshot.slots or 1, snapshot.admission)
        for change in self._changes.since_last(snapshot):
            self._write(change)

    def close(self) -> None:
        """Nothing to give back."""


def line(change: Change) -> str:
    """A change as a person reads it."""
    progress = change.progress
    attempt = f" (attempt {progress.attempt})" if progress.attempt > 1 else ""
    name = f"{progress.run.name}{attempt}"
    match change.kind:
        case ChangeKind.STARTED:
            return f"{name}: started, {wording.whole(progress.total_steps)} steps"
        case ChangeKind.PROGRESS:
            return f"{name}: {' · '.join(_progress_parts(progress))}"
        case ChangeKind.FINISHED:
            return f"{name}: {' · '.join(_final_parts(change))}"
        case ChangeKind.KEPT:
            return f"{progress.run.name}: complete already"
        case _:
            assert_never(change.kind)


def _progress_parts(progress: RunProgress) -> list[str]:
    steps = f"{wording.whole(progress.step)} of {wording.whole(progress.total_steps)} steps"
    parts = [f"{progress.percent:3.0f} %", steps]
    if progress.steps_per_second is not None:
        parts.append(f"{wording.rate(progress.steps_per_second)} steps/s")
    if progress.returns_mean is not None:
        parts.append(f"return {wording.measured(progress.returns_mean)}")
    if progress.seconds_left is not None:
        parts.append(f"{wording.duration(progress.seconds_left)} left")
    return parts


def _final_parts(change: Change) -> list[str]:
    progress = change.progress
    parts = [f"{progress.status.value} after {wording.duration(change.seconds)}"]
    parts.append(f"{wording.whole(progress.step)} steps")
    if progress.returns_mean is not None:
        parts.append(f"training return {wording.measured(progress.returns_mean)}")
    if progress.error:
        parts.append(wording.printable(progress.error))
    return parts

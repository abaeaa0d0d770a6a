"""The orchestrator's record of one run: its attempts, and what happened to the run meanwhile."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import AttemptPaths, RunPaths
from ..domain.records import AttemptStart, ResourceSample, RunKey, RunStatus
from ..durability.files import make_directory, read_json
from ..durability.journal import JournalWriter, Records
from .faults import Fault
from .job import OutcomeKind

logger = logging.getLogger(__name__)


class RunAttempts:
    """Numbers a run's attempts and writes its `events.jsonl`; safe for several threads."""

    def __init__(self, run: RunKey, paths: RunPaths) -> None:
        self.run = run
        self.paths = paths
        self.status = RunStatus.QUEUED
        self.deviations: list[str] = []
        self._guard = threading.Lock()
        self._prepared = 0
        self._made = 0
        self._failures = 0
        self._is_start_told = False
        self._latest_saved: int | None = None
        self._last_failure: tuple[object, ...] = ()

    @property
    def number(self) -> int:
        """The latest attempt that was made, counted from 1; 0 before the first."""
        return self._made

    @property
    def prepared(self) -> int:
        """The latest attempt that was numbered, which may have to begin yet; 0 before the first."""
        return self._prepared

    @property
    def failures(self) -> int:
        """Attempts that this orchestrator saw fail."""
        return self._failures

    @property
    def current(self) -> AttemptPaths:
        """The latest attempt's files."""
        return self.paths.attempt(self._prepared)

    def prepare(self, after_seconds: float = 0.0) -> int:
        """Number the next attempt, which from now on is the only one that may save anything.

        Args:
            after_seconds: how long it waits before it may begin.
        """
        self.status = RunStatus.QUEUED
        told, self._made = _earlier_attempts(self.paths)
        latest = max(self._prepared, told, *self.paths.attempts(), 0)
        self._prepared = latest + 1
        self._is_start_told = False
        self._latest_saved = None
        make_directory(self.current.root)
        if latest:
            self.record("attempt_queued", 0, attempt=self._prepared, after_seconds=after_seconds)
        return self._prepared

    def withdraw(self) -> None:
        """The attempt was not begun: where nothing tells of it, the next one has its number."""
        with suppress(OSError):  # something is in its folder
            self.current.root.rmdir()

    def keep(self, attempt: int) -> None:
        """The run is complete since that attempt, and nothing is made of it now."""
        self.status = RunStatus.COMPLETED
        self._made = attempt

    def started(self, pid: int, host: str | None = None, gpu: int | None = None) -> None:
        """The attempt's process began, on another machine if `host` names one."""
        self.status = RunStatus.RUNNING
        self._made = self._prepared
        where = {"host": host, "gpu": gpu}
        known = {name: value for name, value in where.items() if value is not None}
        self.record("attempt_started", 0, attempt=self._made, pid=pid, **known)

    def note_start(self) -> None:
        """Tell, once, from which step the attempt went on, as soon as it has said so itself."""
        if self._is_start_told:
            return
        start = read_start(self.current)
        if start is None:
            return
        self._is_start_told = True
        if self._prepared > 1:
            told = {k: v for k, v in asdict(start).items() if v and k != "step"}
            self.record("rewound", start.step, attempt=self._prepared, **told)
        for checkpoint in start.passed_over:
            logger.warning("%s: %s", self.run.name, checkpoint)
        if start.step:
            logger.info("%s: resumes from step %d", self.run.name, start.step)

    def note_checkpoints(self, folder: Path) -> None:
        """Tell of the checkpoints that the attempt has saved since it was last looked."""
        if self._latest_saved is None:
            self._latest_saved = max(saved_steps(folder), default=0)
        for step in sorted(saved_steps(folder)):
            if step > self._latest_saved:
                self._latest_saved = step
                self.record("checkpoint", step, attempt=self._prepared)

    def starts(self) -> list[AttemptStart]:
        """From which step each attempt went on that has a part in the run, in their order.

        One that began at the run's start owes nothing to those before it.
        """
        found = (read_start(self.paths.attempt(number)) for number in self.paths.attempts())
        starts = [start for start in found if start is not None]
        anew = [index for index, start in enumerate(starts) if start.step == 0]
        return starts[anew[-1] :] if anew else starts

    def fails_again(self, step: int, cause: str) -> bool:
        """Take note of a failure; whether it is the one before, under the same conditions."""
        failure = (step, cause, *self.deviations)
        is_repeated = failure == self._last_failure
        self._last_failure = failure
        return is_repeated

    def ended(
        self,
        status: RunStatus,
        step: int,
        cause: str | None = None,
        remedy: str | None = None,
        kind: OutcomeKind | None = None,
        fault: Fault | None = None,
    ) -> None:
        """The attempt ended; a failure names its cause, what helps, and how the process ended.

        A run may be cancelled before its attempt has begun: then it is told of the one before.
        """
        self.note_start()
        if status is not RunStatus.CANCELLED:
            self._made = self._prepared
        elif not self._prepared:
            _, self._made = _earlier_attempts(self.paths)
        self.status = status
        self._failures += status is RunStatus.FAILED
        self.record(
            "attempt_ended",
            step,
            attempt=self._made,
            outcome=status.value,
            cause=cause,
            remedy=remedy,
            **({} if kind is None else {"ended_by": kind.value}),
            **({} if fault is None else {"fault": fault.value}),
        )

    def sampled(self, sample: ResourceSample, step: int) -> None:
        """The run's processes were looked at."""
        fields = asdict(sample)
        moment = fields.pop("time")  # shared by all samples of one look
        with self._guard, JournalWriter(self.paths.events, lambda: moment, sync=False) as events:
            events.append("resources", step, **fields)

    def record(self, kind: str, step: int, **fields: Any) -> None:
        """Append an event."""
        with self._guard, JournalWriter(self.paths.events) as events:
            events.append(kind, step, **fields)


def _earlier_attempts(paths: RunPaths) -> tuple[int, int]:
    """The latest attempt that events tell of, and the latest that was made."""
    told = made = 0
    for event in Records(paths.events):
        attempt = event.get("attempt", 0)
        told = max(told, attempt)
        if event.get("kind") in ("attempt_started", "attempt_ended"):
            made = max(made, attempt)
    return told, made


def saved_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints that lie in a run's folder."""
    return [int(path.stem.rpartition("_")[2]) for path in folder.glob("checkpoint_[0-9]*.pkl")]


def read_start(attempt: AttemptPaths) -> AttemptStart | None:
    """What an attempt told of its start; None where it has not begun, or cannot be read."""
    try:
        told = read_json(attempt.start)
        return AttemptStart(
            int(told["step"]),
            told["why_inexact"],
            tuple(told.get("deviations", ())),
            tuple(told.get("passed_over", ())),
        )
    except (StorageError, KeyError, TypeError, ValueError):
        return None

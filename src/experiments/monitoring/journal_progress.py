"""One run's progress, read from its journal and events as they grow."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.metric_names import EVAL_RETURN_MEAN, RETURNS
from ..domain.paths import RunPaths
from ..domain.records import RunKey, RunProgress, RunStatus
from ..durability.journal import Record, read_journal_from

SPEED_WINDOW_RECORDS = 20
"""The speed is measured over so many of the latest ``metrics`` records."""

_STATUS_OF_OUTCOME = {
    "completed": RunStatus.COMPLETED,
    "skipped": RunStatus.SKIPPED,
    "interrupted": RunStatus.INTERRUPTED,
}


@dataclass
class _Stream:
    """A file that grows, and at times is cut back or replaced."""

    path: Path
    offset: int = 0
    inode: int | None = None

    def was_cut(self) -> bool:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return self.offset > 0
        replaced = self.inode is not None and status.st_ino != self.inode
        self.inode = status.st_ino
        return replaced or status.st_size < self.offset

    def news(self) -> list[Record]:
        records, self.offset = read_journal_from(self.path, self.offset)
        return records


@dataclass
class _Training:
    """What the journal has told so far."""

    step: int = 0
    total_steps: int | None = None
    started: bool = False
    finished: bool = False
    rollout_return: float | None = None
    evaluation_return: float | None = None
    evaluation_seconds: float = 0.0
    times: deque[tuple[int, float]] = field(
        default_factory=lambda: deque(maxlen=SPEED_WINDOW_RECORDS + 1)
    )

    def learn(self, record: Record) -> None:
        self.step = int(record.get("step", self.step))
        match record.get("kind"):
            case "started":
                self.started = True
                self.total_steps = record.get("planned_timesteps") or record.get("total_timesteps")
                self.times.append((self.step, float(record.get("training_time", 0.0))))
            case "metrics":
                self.rollout_return = _metric(record, RETURNS["mean"], self.rollout_return)
                self._learn_time(record)
            case "evaluation":
                self.evaluation_return = _metric(record, EVAL_RETURN_MEAN, self.evaluation_return)
                self.evaluation_seconds += float(record.get("evaluation_time", 0.0))
            case "finished":
                self.finished = True
                self._learn_time(record)

    def steps_per_second(self) -> float | None:
        """Timesteps per second in training, over the latest records."""
        if len(self.times) < 2:
            return None
        (first_step, first_time), (last_step, last_time) = self.times[0], self.times[-1]
        if last_time <= first_time or last_step <= first_step:
            return None
        return (last_step - first_step) / (last_time - first_time)

    def seconds_left(self, total_steps: int) -> float | None:
        """Training at the latest speed, and evaluations at the pace so far."""
        speed = self.steps_per_second()
        if speed is None or not self.step:
            return None
        seconds_per_step = 1 / speed + self.evaluation_seconds / self.step
        return max(0, total_steps - self.step) * seconds_per_step

    def _learn_time(self, record: Record) -> None:
        if "training_time" in record:
            self.times.append((self.step, float(record["training_time"])))


@dataclass
class _Attempts:
    """What the events have told so far."""

    number: int = 0
    is_queued: bool = False
    """Whether the next attempt was prepared and has not started."""
    outcome: str | None = None
    cause: str | None = None

    def learn(self, record: Record) -> bool:
        """Take an event in; whether it may have cut the journal back."""
        match record.get("kind"):
            case "attempt_started":
                self.number = int(record.get("attempt", self.number + 1))
                self.is_queued = False
                self.outcome = self.cause = None
                return True
            case "rewound":
                self.is_queued = True
                self.outcome = self.cause = None
                return True
            case "attempt_ended":
                self.outcome = record.get("outcome")
                self.cause = record.get("cause")
        return False


class JournalProgress:
    """Reads one run's progress; each `read` takes in only what is new. Safe for several threads."""

    def __init__(self, paths: RunPaths, run: RunKey, total_steps: int = 0) -> None:
        """`total_steps`: what is planned, until the journal tells."""
        self._run = run
        self._planned = total_steps
        self._guard = threading.Lock()
        self._journal = _Stream(paths.journal)
        self._events = _Stream(paths.events)
        self._training = _Training()
        self._attempts = _Attempts()

    def read(self) -> RunProgress:
        """The run's progress now."""
        with self._guard:
            # events first: they tell of rewinds that a journal's length does not give away
            rewound = [self._attempts.learn(record) for record in self._events.news()]
            if any(rewound) or self._journal.was_cut():
                self._journal.offset = 0
                self._training = _Training()
            for record in self._journal.news():
                self._training.learn(record)
            return self._progress()

    def _progress(self) -> RunProgress:
        training, status = self._training, self._status()
        total_steps = training.total_steps or self._planned
        is_running = status is RunStatus.RUNNING
        return RunProgress(
            run=self._run,
            status=status,
            step=training.step,
            total_steps=total_steps,
            steps_per_second=training.steps_per_second(),
            returns_mean=(
                training.evaluation_return
                if training.rollout_return is None
                else training.rollout_return
            ),
            seconds_left=training.seconds_left(total_steps) if is_running else None,
            attempt=max(1, self._attempts.number),
            error=None if status is RunStatus.COMPLETED else self._attempts.cause,
        )

    def _status(self) -> RunStatus:
        if self._attempts.outcome is not None:
            return _STATUS_OF_OUTCOME.get(self._attempts.outcome, RunStatus.FAILED)
        if self._attempts.is_queued:
            return RunStatus.QUEUED
        if self._attempts.number:
            return RunStatus.RUNNING
        if self._training.finished:  # trained without an orchestrator, who would write events
            return RunStatus.COMPLETED
        return RunStatus.RUNNING if self._training.started else RunStatus.QUEUED


def read_progress(paths: RunPaths, run: RunKey, total_steps: int = 0) -> RunProgress:
    """One run's progress from one look at its files."""
    return JournalProgress(paths, run, total_steps).read()


def _metric(record: Mapping[str, object], name: str, otherwise: float | None) -> float | None:
    metrics = record.get("metrics")
    value = metrics.get(name) if isinstance(metrics, Mapping) else None
    return float(value) if isinstance(value, int | float) else otherwise

"""One run's progress, read from its journal and events as they grow."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..domain.errors import StorageError
from ..domain.metric_names import EVAL_RETURN_MEAN, RETURNS
from ..domain.paths import RunPaths
from ..domain.records import ENDED_RUNS, RunKey, RunProgress, RunStatus
from ..durability.journal import Record
from .record_stream import RecordStream

SPEED_WINDOW_RECORDS = 20
"""The speed of a run is measured over so many of its latest ``metrics`` records."""
TAIL_BYTES = 1 << 13
"""Of a run that has ended, this much of each stream tells almost always how."""

_ATTEMPT_EVENTS = ("attempt_queued", "attempt_started", "rewound", "attempt_ended")
_STATUS_OF_OUTCOME = {
    "completed": RunStatus.COMPLETED,
    "skipped": RunStatus.SKIPPED,
    "interrupted": RunStatus.INTERRUPTED,
    "cancelled": RunStatus.CANCELLED,
}


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
            case "diagnostics" | "text":
                self.evaluation_seconds += float(record.get("diagnostics_time", 0.0))
            case "finished":
                self.finished = True
                self._learn_time(record)

    @property
    def returns_mean(self) -> float | None:
        """Of the latest training episodes, else of the latest evaluation."""
        return self.evaluation_return if self.rollout_return is None else self.rollout_return

    def steps_per_second(self, *, overall: bool = False) -> float | None:
        """Timesteps per second in training, over the latest records or since the start."""
        if not self.times:
            return None
        first_step, first_time = (0, 0.0) if overall else self.times[0]
        last_step, last_time = self.times[-1]
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
    last_step: int = 0
    """At which the attempt ended."""
    moment: float | None = None
    """Of the latest of these events, in seconds since the epoch."""

    @property
    def is_under_way(self) -> bool:
        """Whether the journal may grow without an event that tells of it."""
        return self.outcome is None and not self.is_queued

    def learn(self, record: Record) -> bool:
        """Take an event in; whether it may have cut the journal back."""
        match record.get("kind"):
            case "attempt_started":
                self.number = int(record.get("attempt", self.number + 1))
                self.is_queued = False
                self.outcome = self.cause = None
            case "attempt_queued":
                self.is_queued = True
                self.outcome = self.cause = None
            case "rewound":
                if record.get("attempt") != self.number:  # of one that is still to start
                    self.is_queued = True
                    self.outcome = self.cause = None
            case "attempt_ended":
                self.number = int(record.get("attempt", self.number))
                self.outcome = record.get("outcome")
                self.cause = record.get("cause")
                self.last_step = int(record.get("step", 0))
            case _:
                return False
        self.moment = record.get("time")
        return record.get("kind") in ("attempt_started", "rewound")


class JournalProgress:
    """Reads one run's progress; each `read` takes in only what is new. Safe for several threads.

    A look at a run that has not begun, or has ended, costs one stat.
    """

    def __init__(self, paths: RunPaths, run: RunKey, total_steps: int = 0) -> None:
        """`total_steps`: what is planned, until the journal tells."""
        self._paths = paths
        self._run = run
        self._planned = total_steps
        self._guard = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._exists = False
        self._journal = RecordStream(self._paths.journal)
        self._events = RecordStream(self._paths.events)
        self._training = _Training()
        self._attempts = _Attempts()
        self._latest = RunProgress(self._run, RunStatus.QUEUED, step=0, total_steps=self._planned)

    def read(self) -> RunProgress:
        """The run's progress now.

        Raises:
            StorageError: when a line before a stream's last one is damaged.
        """
        with self._guard:
            try:
                return self._read()
            except StorageError:
                # the line in which it stopped may have been cut, and grown again as another one
                self._begin()
            try:
                return self._read()
            except StorageError:
                self._begin()
                raise

    def sample(self) -> Record | None:
        """The latest of the run's resource samples that `read` came by; None without any."""
        with self._guard:
            return self._events.sample()

    @property
    def moment(self) -> float | None:
        """When the latest attempt began, ended or was prepared, in seconds since the epoch."""
        return self._attempts.moment

    def _read(self) -> RunProgress:
        self._exists = self._exists or os.path.isdir(self._paths.root)  # noqa: PTH112 - cheaper
        # events first: they tell of rewinds that a journal's length does not give away
        if self._exists and self._events.has_changed():
            self._take_in_events()
            self._take_in_journal()
            self._latest = self._progress()
        elif self._exists and self._attempts.is_under_way and self._take_in_journal():
            self._latest = self._progress()
        return self._latest

    def _take_in_events(self) -> None:
        if self._events.was_cut:
            self._events.restart()
        if not (self._events.is_at_its_start and self._take_in_the_last_events()):
            self._learn_events(self._events.records())

    def _take_in_the_last_events(self) -> bool:
        """Read backwards to the event that makes all earlier ones superfluous, if it is near."""
        newest: list[Record] = []
        for event in self._events.newest_first(TAIL_BYTES, _ATTEMPT_EVENTS):
            newest.append(event)
            if event["kind"] != "rewound":
                self._learn_events(reversed(newest))
                return True
        self._events.restart()
        return False

    def _learn_events(self, events: Iterable[Record]) -> None:
        for event in events:
            if self._attempts.learn(event):
                self._forget_training()

    def _take_in_journal(self) -> bool:
        """Whether there was anything new."""
        is_news = self._journal.has_changed()
        if self._journal.was_cut:
            self._forget_training()
        elif not is_news and not self._journal.is_at_its_start:
            return False
        if not (self._journal.is_at_its_start and self._take_in_the_end()):
            for record in self._journal.records():
                self._training.learn(record)
        return True

    def _take_in_the_end(self) -> bool:
        """Read a run that has ended backwards to its latest return, if that is near."""
        if self._attempts.outcome is None:
            return False
        newest: list[Record] = []
        for record in self._journal.newest_first(TAIL_BYTES, ["metrics"]):
            newest.append(record)
            if _metric(record, RETURNS["mean"], None) is not None:
                break
        else:
            self._forget_training()
            return False
        is_complete = self._attempts.outcome == RunStatus.COMPLETED
        first = None if is_complete else self._journal.first()  # tells how far it was to go
        for record in [*([first] if first else []), *reversed(newest)]:
            self._training.learn(record)
        return True

    def _forget_training(self) -> None:
        self._journal.restart()
        self._training = _Training()

    def _progress(self) -> RunProgress:
        training, status = self._training, self._status()
        step = max(training.step, self._attempts.last_step if status in ENDED_RUNS else 0)
        told = training.total_steps or (step if status is RunStatus.COMPLETED else None)
        total_steps = told or self._planned
        is_running = status is RunStatus.RUNNING
        return RunProgress(
            run=self._run,
            status=status,
            step=step,
            total_steps=total_steps,
            steps_per_second=training.steps_per_second(overall=status in ENDED_RUNS),
            returns_mean=training.returns_mean,
            seconds_left=training.seconds_left(total_steps) if is_running else None,
            attempt=max(self._attempts.number, int(training.started)),
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


def _metric(record: Mapping[str, object], name: str, otherwise: float | None) -> float | None:
    metrics = record.get("metrics")
    value = metrics.get(name) if isinstance(metrics, Mapping) else None
    return float(value) if isinstance(value, int | float) else otherwise

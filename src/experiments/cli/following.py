"""An experiment followed from its files alone, while another process works on it."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from ..domain.records import (
    ENDED_RUNS,
    ExperimentStatus,
    ResourceSample,
    RunKey,
    RunProgress,
    RunStatus,
)
from ..durability.files import read_json
from ..durability.lock import is_locked
from ..monitoring import JournalProgress, Usage, seconds_remaining, together
from . import stored
from .looks_line import looks_line, recorded_looks
from .snapshot import Snapshot

logger = logging.getLogger(__name__)

CHECK_EVERY_SECONDS = 1.0
"""How often the lock is polled, which tells whether anybody works on the experiment."""


@dataclass(frozen=True)
class Session:
    """The latest command that worked, or works, on an experiment; as far as it was recorded."""

    began: float | None = None
    """Seconds since the epoch."""
    command: tuple[str, ...] = ()


class Follower:
    """Looks at an experiment's files; of a thousand runs it opens those that have news.

    Args:
        paths: of an experiment that exists.
        patience_seconds: what the first snapshot may take. The second one reads what it left out.
        clock: seconds that pass.

    Raises:
        StorageError: when the experiment's own file cannot be read.
    """

    def __init__(
        self,
        paths: ExperimentPaths,
        *,
        patience_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = paths
        self.end: str | None = None
        """Where the experiment stands when nobody works on it any more; None meanwhile."""
        self._clock = clock
        self._patience = patience_seconds
        self._next_check = clock()
        self._session_version: int | None = None
        experiment = _readable(paths)
        self.session = Session(_moment(experiment.experiment.get("started_at")))
        self._has_begun = True
        self._design = experiment.design
        self._latest = {
            run: RunProgress(run, RunStatus.QUEUED, 0, steps)
            for run, steps in experiment.planned_timesteps.items()
        }
        self._folder = paths.run(next(iter(self._latest))).root.parent
        self._unfinished = {run.name: run for run in self._latest}
        self._readers: dict[RunKey, JournalProgress] = {}
        self._damaged: set[RunKey] = set()
        self._check()

    def snapshot(self) -> Snapshot:
        """How far everything is now."""
        if self.end is None and self._clock() >= self._next_check:
            self._check()
        is_whole = self._read_unfinished()
        runs = tuple(self._latest.values())
        running = [run.run for run in runs if run.status is RunStatus.RUNNING]
        return Snapshot(
            phase=self._phase(runs, is_whole=is_whole),
            runs=runs,
            elapsed_seconds=self._elapsed_seconds(),
            seconds_left=self._seconds_left(runs, len(running)) if is_whole else None,
            looks=self._looks_so_far(),
            used=self._usage(running),
        )

    def _check(self) -> None:
        """Whether anybody works on the experiment, and since when."""
        self._next_check = self._clock() + CHECK_EVERY_SECONDS
        if is_locked(self.paths.lock):
            self._has_begun = True
        else:  # read after the lock was seen free: what it says then is its last word
            status = _readable(self.paths).status
            self._has_begun = status != ExperimentStatus.CREATED.value
            self.end = status if self._has_begun else None
        self._learn_session()

    def _learn_session(self) -> None:
        file = self.paths.provenance / "provenance.json"
        try:
            version = file.stat().st_mtime_ns
            if version != self._session_version:
                self.session = _session(read_json(file))
                self._session_version = version
        except (OSError, StorageError):
            return  # it is written a moment after the start

    def _read_unfinished(self) -> bool:
        """Whether there was time for all of them."""
        until, self._patience = self._clock() + self._patience, math.inf
        for run in self._unfinished_that_have_begun():
            if self._clock() > until:
                return False
            self._latest[run] = progress = self._read(run, self._latest[run])
            if progress.status is RunStatus.COMPLETED:
                del self._unfinished[run.name]
        return True

    def _unfinished_that_have_begun(self) -> list[RunKey]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - names are enough
        except FileNotFoundError:
            return []
        return [self._unfinished[name] for name in names if name in self._unfinished]

    def _read(self, run: RunKey, before: RunProgress) -> RunProgress:
        if run in self._damaged:
            return before
        reader = self._readers.get(run)
        if reader is None:
            reader = JournalProgress(self.paths.run(run), run, before.total_steps)
            self._readers[run] = reader
        try:
            progress = reader.read()
        except (StorageError, OSError) as error:
            self._damaged.add(run)
            logger.warning("%s is no longer followed: %s", run.name, error)
            return before
        return self._as_it_stands(progress, reader)

    def _as_it_stands(self, progress: RunProgress, reader: JournalProgress) -> RunProgress:
        """What the streams cannot tell: that it waits to be trained again, or was killed."""
        if progress.status is RunStatus.COMPLETED:
            return progress
        began, moment = self.session.began, reader.moment
        if began is not None and moment is not None and moment < began:
            return RunProgress(
                progress.run, RunStatus.QUEUED, 0, progress.total_steps, attempt=progress.attempt
            )
        if self.end is not None and progress.status is RunStatus.RUNNING:
            return replace(progress, status=RunStatus.INTERRUPTED, seconds_left=None)
        return progress

    def _phase(self, runs: Sequence[RunProgress], *, is_whole: bool) -> str:
        if self.end is not None:
            return self.end
        if not self._has_begun:
            return ExperimentStatus.CREATED.value
        return _phase(runs) if is_whole else "reading"

    def _elapsed_seconds(self) -> float:
        """Since the session began; of one that is over, until its last sign of life."""
        began, until = self.session.began, time.time()
        if self.end is not None:
            signs = (
                sign
                for reader in self._readers.values()
                for sign in (reader.moment, (reader.sample() or {}).get("time"))
            )
            until = max((sign for sign in signs if isinstance(sign, float)), default=0.0)
        return 0.0 if began is None else max(0.0, until - began)

    def _seconds_left(self, runs: Sequence[RunProgress], running: int) -> float | None:
        return None if self.end is not None else seconds_remaining(runs, slots=max(1, running))

    def _looks_so_far(self) -> str | None:
        plan = self._design.get("plan")
        if not isinstance(plan, Mapping):
            return None
        try:
            return looks_line(
                plan, recorded_looks(self.paths.events, self._design.get("fingerprint"))
            )
        except (StorageError, OSError, KeyError, TypeError, ValueError):
            return None  # the runs are shown all the same

    def _usage(self, running: Sequence[RunKey]) -> Usage | None:
        told = (ResourceSample.from_event(self._readers[run].sample() or {}) for run in running)
        samples = [sample for sample in told if sample is not None]
        return together(samples) if samples else None


def _readable(paths: ExperimentPaths) -> stored.StoredExperiment:
    experiment = stored.read(paths)
    if experiment.planned_timesteps:
        return experiment
    raise StorageError(
        "; ".join(experiment.problems) or "it does not say which runs are planned",
        where=str(paths.experiment),
        remedy="restore the file from a copy",
    )


def _phase(runs: Sequence[RunProgress]) -> str:
    arms = {progress.run.arm for progress in runs if progress.status is RunStatus.RUNNING}
    if len(arms) == 1:
        return f"running {arms.pop()}"
    if arms:
        return "running"
    statuses = {progress.status for progress in runs}
    if statuses <= ENDED_RUNS:
        return "comparing"
    return "initializing" if statuses == {RunStatus.QUEUED} else "running"


def _session(provenance: Any) -> Session:
    """The latest of the commands that `provenance.json` lists."""
    listed = provenance if isinstance(provenance, Mapping) else {}
    continued = listed.get("continued")
    latest = continued[-1] if isinstance(continued, list) and continued else listed
    if not isinstance(latest, Mapping):
        return Session()
    words = latest.get("command")
    command = tuple(map(str, words)) if isinstance(words, list) else ()
    return Session(_moment(latest.get("time")), command)


def _moment(text: object) -> float | None:
    """Seconds since the epoch of an ISO 8601 moment."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None

"""Trackers are told beside training: one process each, ended by force where it gets stuck."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ..config.environment_file import tracker_variables
from ..domain.errors import ExperimentsError, StorageError, TrackerError, described
from ..domain.paths import ExperimentPaths
from ..domain.redaction import known_secrets
from ..execution import ExecutorSettings, Job, Outcome, OutcomeKind, ProcessPoolExecutor
from ..experiment import Experiment
from ..tracking.choosing import TrackingChoice, assignments
from ..tracking.ledger import TellingState, TrackerEntry, read_ledger, write_entry
from ..tracking.telling import Assignment, Ending, Told, ask_to_end, forget_ending, tell
from .derived import scrubbed_log, storage_policy

logger = logging.getLogger(__name__)

PRELOAD = (f"{__package__.rpartition('.')[0]}.tracking.telling",)
QUIET_SECONDS = 20.0
"""How long a tracker may get nothing done at the end before its process is ended."""
MOST_SECONDS = 300.0
"""How long they are waited for at the end, however well they get on; `sync` tells the rest."""
PAUSE_SECONDS = 2.0
"""How long they are waited for at an interruption, which itself must be short."""
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 300.0
"""A tracker that failed while training goes on is tried again, after ever longer pauses."""
LONGEST_QUIET_SECONDS = 120.0
"""The same where nothing but the telling is waited for."""
TELLING_SECONDS = 3.0
"""What takes longer than this at the end, a person is told to wait for."""
NOTING_SECONDS = 1.0
"""How long the ledger is waited for, by who has runs to look after."""
POLL_SECONDS = 0.1


@dataclass
class _Telling:
    """One tracker's process, and what became of earlier ones."""

    assignment: Assignment
    job: Job | None = None
    failures: int = 0
    next_try: float = 0.0
    is_over: bool = False


class Uploads:
    """The processes that tell trackers about one experiment.

    Nothing that a tracker does or fails to do is noticed by training; what is not told stays in
    the journals, and `sync` goes on from the ledger.
    """

    def __init__(self, paths: ExperimentPaths) -> None:
        self._paths = paths
        self._open = ExitStack()
        self._pool: ProcessPoolExecutor | None = None
        self._tellings: dict[str, _Telling] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def begin(self, tellings: Sequence[Assignment]) -> None:
        """Start to tell; an experiment that no tracker is told of starts no process.

        Where that cannot be done it is said, and no tracker is told.
        """
        try:
            self._begin(tellings)
        except (OSError, StorageError) as error:
            logger.warning("nothing is uploaded to trackers: %s", error)

    def _begin(self, tellings: Sequence[Assignment]) -> None:
        forget_ending(self._paths)
        if not tellings:
            return
        self._tellings = {each.tracker: _Telling(each) for each in tellings}
        self.poll()

    def poll(self, timeout_seconds: float = 0.0) -> None:
        """Take in what became of the processes; try again what failed a while ago."""
        self._take_in(timeout_seconds)
        now = time.monotonic()
        due = [
            each
            for each in self._tellings.values()
            if each.job is None and not each.is_over and now >= each.next_try
        ]
        pool = self._opened() if due else None
        if pool is not None:
            for telling in due:
                self._submit(telling, pool)

    def conclude(self, ending: Ending, interrupted: Callable[[], bool]) -> None:
        """Have everything told, and wait for it as long as it gets on.

        Args:
            ending: whether the experiment is over, or will be continued.
            interrupted: asked meanwhile; once True, nothing is waited for any more.
        """
        if not self._tellings:
            return
        ask_to_end(self._paths, ending)
        if ending is Ending.FINISH:
            for telling in self._tellings.values():
                telling.next_try = 0.0  # one last try of what had failed
            self.poll()
        self._wait(ending, interrupted)
        self._end()
        for name, telling in self._tellings.items():
            if ending is Ending.FINISH and not telling.is_over:
                _note_pending(self._paths, name, None)

    def _wait(self, ending: Ending, interrupted: Callable[[], bool]) -> None:
        """Wait for the processes, and end those that take too long."""
        begun, is_told = time.time(), False
        while waited_for := [name for name, each in self._tellings.items() if each.job]:
            self._take_in(POLL_SECONDS)  # what fails now is not tried again
            waited = time.time() - begun
            if ending is Ending.PAUSE or interrupted():
                if waited > PAUSE_SECONDS:
                    return
                continue
            if waited > MOST_SECONDS:
                return
            self._end_those_that_are_stuck(begun)
            if waited > TELLING_SECONDS and not is_told:
                is_told = True
                names = " and ".join(waited_for)
                logger.warning("uploading the rest to %s …; Ctrl-C leaves it for later", names)

    def _take_in(self, timeout_seconds: float) -> None:
        """Take in what became of a process; whatever goes wrong with it, training goes on."""
        if self._pool is None:
            return
        try:
            event = self._pool.next_event(timeout_seconds)
        except (OSError, ExperimentsError) as error:
            self._lose(error)
            return
        if isinstance(event, Outcome):
            self._on_outcome(event)

    def _opened(self) -> ProcessPoolExecutor | None:
        """The processes, begun (again) where there are none; None where none are to be had."""
        if self._pool is None:
            pool = ProcessPoolExecutor(ExecutorSettings(len(self._tellings), PRELOAD))
            try:
                self._pool = self._open.enter_context(pool)
            except OSError as error:
                self._lose(error)
        return self._pool

    def _lose(self, error: Exception) -> None:
        """The processes are gone, or none is to be had: they are tried again after a pause."""
        self._end()
        for name, telling in self._tellings.items():
            if not telling.is_over:
                telling.job = None
                self._postpone(name, telling, error)

    def _end(self) -> None:
        self._open.close()
        self._pool = None
        for name in self._tellings:
            _tidy_log(self._paths.tracker_log(name))

    def _submit(self, telling: _Telling, pool: ProcessPoolExecutor) -> None:
        assignment = telling.assignment
        log = self._paths.tracker_log(assignment.tracker)
        telling.job = Job(assignment.tracker, (), partial(tell, assignment), log)
        pool.submit(telling.job)

    def _on_outcome(self, outcome: Outcome) -> None:
        telling = self._tellings[outcome.job.name]
        telling.job = None
        if outcome.kind is OutcomeKind.FINISHED:
            telling.is_over = True
        else:
            self._postpone(outcome.job.name, telling, outcome.as_exception())

    def _postpone(self, name: str, telling: _Telling, error: Exception) -> None:
        telling.failures += 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (telling.failures - 1), LONGEST_PAUSE_SECONDS)
        telling.next_try = time.monotonic() + pause
        say = logger.warning if telling.failures == 1 else logger.info
        say("nothing is uploaded to %s for now: %s", name, described(error))
        if _is_the_trackers(error):
            _note_pending(self._paths, name, described(error))

    def _end_those_that_are_stuck(self, begun: float) -> None:
        for name, telling in self._tellings.items():
            if telling.job is None:
                continue
            quiet = time.time() - max(begun, _last_progress(self._paths, name))
            if quiet > QUIET_SECONDS:
                cause = _stuck(self._paths, name, QUIET_SECONDS)
                self._pool.stop(telling.job, OutcomeKind.HANG, cause)  # type: ignore[union-attr]


def tell_now(assignment: Assignment, interrupted: Callable[[], bool]) -> Told:
    """Tell one tracker what lies there, and wait for it as long as it gets on.

    Raises:
        ExperimentsError: when not everything was uploaded; the ledger says how far it came.
    """
    paths, name = assignment.paths, assignment.tracker
    target = partial(tell, assignment)
    with ProcessPoolExecutor(ExecutorSettings(1, PRELOAD)) as pool:
        job = Job(name, (), target, paths.tracker_log(name))
        pool.submit(job)
        begun = time.time()
        while True:
            event = pool.next_event(POLL_SECONDS)
            if isinstance(event, Outcome):
                break
            if time.time() - max(begun, _last_progress(paths, name)) > LONGEST_QUIET_SECONDS:
                pool.stop(job, OutcomeKind.HANG, _stuck(paths, name, LONGEST_QUIET_SECONDS))
            if interrupted():
                pool.stop(job, OutcomeKind.CANCELLED, TrackerError(f"{name}: stopped"))
    _tidy_log(paths.tracker_log(name))
    if event.kind is OutcomeKind.FINISHED:
        told: Told = event.value
        return told
    error = event.as_exception()
    if _is_the_trackers(error):
        _note_pending(paths, name, described(error))
    if isinstance(error, ExperimentsError):
        raise error
    raise TrackerError(described(error), where=str(paths.tracker_log(name))) from error


def untold(paths: ExperimentPaths, trackers: Sequence[str]) -> Mapping[str, str]:
    """The trackers to which not everything was uploaded, and why; all, where nobody knows."""
    try:
        entries = read_ledger(paths.ledger)
    except StorageError as error:
        return dict.fromkeys(trackers, str(error))
    return {
        tracker: entry.error or "not everything was uploaded"
        for tracker in trackers
        if (entry := entries.get(tracker, TrackerEntry())).state is not TellingState.COMPLETE
    }


def _is_the_trackers(error: Exception) -> bool:
    """Whether something was not told because of it; not where another process is telling."""
    return isinstance(error, TrackerError) or not isinstance(error, ExperimentsError)


def tellings_of(experiment: Experiment, tracking: TrackingChoice) -> list[Assignment]:
    """What each tracker that an experiment names is to be told; nothing where none can be."""
    trackers = experiment.config.trackers
    if not trackers:
        return []
    variables = tracking.variables or tracker_variables()
    variables.keep_secret()
    if tracking.variables is None and variables.wandb_mode == "disabled":  # else it was weighed
        trackers = tuple(each for each in trackers if each != "wandb")
    try:
        return assignments(
            experiment.paths,
            trackers,
            replace(tracking, variables=variables),
            follows=True,
            keeps_files=storage_policy(experiment).should_save_locally(),
        )
    except StorageError as error:
        logger.warning("nothing is uploaded to trackers: %s", error)
        return []


def _tidy_log(log: Path) -> None:
    """Leave no secret in a log, and no log that says nothing."""
    with suppress(OSError):
        if log.stat().st_size:
            scrubbed_log(log, known_secrets())
        else:
            log.unlink()


def _last_progress(paths: ExperimentPaths, tracker: str) -> float:
    try:
        return paths.tracker_lock(tracker).stat().st_mtime
    except OSError:
        return 0.0


def _stuck(paths: ExperimentPaths, tracker: str, seconds: float) -> TrackerError:
    return TrackerError(
        f"{tracker} made no progress for {seconds:g} s",
        where=str(paths.tracker_log(tracker)),
        remedy="what was not uploaded stays here, to be uploaded later",
    )


def _note_pending(paths: ExperimentPaths, tracker: str, error: str | None) -> None:
    """Note in the ledger that a process ended before it had uploaded everything."""
    # where it cannot be written, it says no more than it did
    with suppress(ExperimentsError, OSError):
        entry = read_ledger(paths.ledger).get(tracker, TrackerEntry())
        error = error or entry.error or "it was stopped before everything was uploaded"
        pending = replace(entry, state=TellingState.PENDING, error=error)
        write_entry(paths.ledger, tracker, pending, NOTING_SECONDS)

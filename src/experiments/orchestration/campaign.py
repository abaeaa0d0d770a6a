"""The planned runs of one experiment, carried out through an executor until none is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..cleaning import cleaned_files
from ..domain.errors import ExperimentsError, ProcessDiedError, RunStoppedError, cause_of, described
from ..domain.records import ResourceSample, RunKey, RunProgress, RunStatus
from ..execution import (
    Event,
    Executor,
    FailedRun,
    Fault,
    JobStarted,
    Outcome,
    OutcomeKind,
    RunAttempts,
    Sampled,
    fault_of,
)
from ..experiment import Experiment
from .guard import Guard, Watched
from .placing import Placing
from .run_ends import RunEnds
from .run_jobs import Adjust, RunJobs, Train
from .run_progress import ProgressOfRuns
from .running_runs import RunningRuns
from .stopping import StoppingRules

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How long an executor is waited for before anything else is looked at."""
NOTE_SECONDS = 1.0
"""How often it is looked what running attempts have left."""
MOST_LOSSES = 5
"""How often a run may lose its machine before that counts as its own failure."""

Recover = Callable[[FailedRun], bool]


class Campaign:
    """Trains what is unfinished; each run's outcome goes into the experiment as it comes.

    Args:
        experiment: its directory exists and is locked by this process.
        train: trains one run; picklable, because it may be called in another process.
        recover: decides about a failed run: True to go on (with another attempt, if it asked for
            one), False to stop.
        adjust: what earlier failures changed in an arm's configuration, also in words.
    """

    def __init__(
        self, experiment: Experiment, train: Train, recover: Recover, adjust: Adjust
    ) -> None:
        self._experiment = experiment
        self._recover = recover
        self._executor: Executor | None = None
        self._guard: Guard | None = None
        self._placing = Placing({})
        self._pending: set[RunKey] = set()
        self._running = RunningRuns()
        self._lost: dict[RunKey, int] = {}
        self._waiting: dict[RunKey, float] = {}
        """Runs that are tried again, and from which moment of the monotonic clock on."""
        self._next_note = 0.0
        self._rules = StoppingRules(experiment, self.steps)
        self._is_over = False
        self._is_decided = False
        """Whether a rule has ended the experiment: what still ends then is not needed."""
        self.failures: tuple[str, ...] = ()
        """What failed and why, a line each."""
        self.attempts = {
            run: RunAttempts(run, experiment.paths.run(run)) for run in experiment.runs()
        }
        for run in experiment.complete_runs():  # unless their files are lacking
            self.attempts[run].keep(experiment.results[run].attempts)
        self._jobs = RunJobs(experiment, self.attempts, train, adjust)
        self._progress = ProgressOfRuns(self.attempts, experiment.planned_timesteps())
        self._ends = RunEnds(experiment, self.attempts, self._progress)

    def carry_out(
        self,
        executor: Executor,
        guard: Guard,
        placing: Placing,
        order: list[RunKey],
        interrupted: Callable[[], bool],
        on_tick: Callable[[], None],
    ) -> None:
        """Train the runs of `order` that are unfinished; they end early once `interrupted()`.

        `on_tick` is called about twice a second meanwhile.
        """
        self._executor, self._guard, self._placing = executor, guard, placing
        self._rules.look_at_results()  # one may be due that was not taken before a kill
        self._rules.look_at_training(())
        self._begin(order)
        try:
            while self._pending:
                if interrupted():
                    self._end_it_all()
                self._submit_those_that_waited()
                self._take_in(executor.next_event(POLL_SECONDS))
                self._note_what_attempts_tell()
                guard.enforce(executor, self._running.watched)
                on_tick()
        except KeyboardInterrupt:
            self._end_it_all()
            while self._pending:
                self._take_in(executor.next_event(POLL_SECONDS))
            raise

    def _begin(self, order: list[RunKey]) -> None:
        """Submit what is to be trained, and say of the rest where it stands."""
        to_train = set(self._experiment.runs_to_train())
        cleaned = cleaned_files(self._experiment.paths)
        for run in order:
            result = self._experiment.result_of(run)
            is_complete = result.status is RunStatus.COMPLETED
            is_lacking = is_complete and not self._ends.is_kept(run, cleaned)
            if run in to_train or (is_lacking and self._experiment.is_needed(run)):
                self._submit(run)
            elif result.status is RunStatus.CANCELLED:
                self._ends.cancelled(run)
            else:
                self.attempts[run].status = result.status

    def _note_what_attempts_tell(self) -> None:
        """From where the running attempts went on, and which checkpoints they have saved."""
        now = time.monotonic()
        if now < self._next_note:
            return
        self._next_note = now + NOTE_SECONDS
        for run in self._running.watched:
            self._note(run)
            self._rules.watch(self._progress.of(run))
        self._rules.look_at_training(self._running.watched)
        self._end_what_is_decided()

    def _end_what_is_decided(self) -> None:
        """End the runs that are not needed any more since the last look."""
        experiment = self._experiment
        if self._is_over or not experiment.is_decided:
            return
        if all(experiment.is_needed(run) for run in self._pending):
            return  # what is trained again, because its files were lacking
        self._is_decided = True
        self._end_it_all()

    def _note(self, run: RunKey) -> None:
        self.attempts[run].note_start()
        self.attempts[run].note_checkpoints(self._experiment.paths.run_checkpoints(run))

    def _end_it_all(self) -> None:
        """From now on nothing begins any more, whatever becomes of the runs that are ending."""
        self._is_over = True
        for run in self._waiting:
            self._pending.discard(run)
            if self._is_decided:
                self._ends.cancelled(run)
        self._waiting.clear()
        self._running_executor.cancel()

    # ---- how far it is, for any thread

    def progress(self) -> tuple[RunProgress, ...]:
        """How far each planned run is; safe to call from any thread."""
        return tuple(self._progress.of(run) for run in self.attempts)

    def steps(self) -> int:
        """Timesteps of all runs together so far."""
        return self._progress.steps(list(self._running.watched))

    def pids(self) -> dict[RunKey, int]:
        """The process that trains each run on this machine; safe to call from any thread."""
        return self._running.pids()

    def sampled(self, run: RunKey, sample: ResourceSample) -> None:
        """Take note of what a run's processes use; safe to call from any thread."""
        if not self._running.is_of_one(run, sample):
            return
        self.attempts[run].sampled(sample, self._progress.of(run).step)
        if self._guard is not None:
            self._guard.sampled(run, sample)

    @property
    def nobody_waits(self) -> bool:
        """Whether every run that is left has begun."""
        return len(self._running) == len(self._pending)

    def arms_running(self) -> set[str]:
        """The arms of which a run trains just now."""
        return self._running.arms()

    # ---- what happens

    def _submit(self, run: RunKey, *, first: bool = False) -> None:
        self._prepare(run)
        self._hand_over(run, first=first)

    def _try_again(self, run: RunKey, after_seconds: float) -> bool:
        """Queue another attempt before all others, once it has waited."""
        self._prepare(run, after_seconds)
        self._waiting[run] = time.monotonic() + after_seconds
        return True

    def _submit_those_that_waited(self) -> None:
        now = time.monotonic()
        for run in [run for run, moment in self._waiting.items() if moment <= now]:
            del self._waiting[run]
            self._hand_over(run, first=True)

    def _prepare(self, run: RunKey, after_seconds: float = 0.0) -> None:
        """Number the run's next attempt; what it has done so far counts no more as done."""
        self._progress.begin_anew(run, after_seconds)
        self._experiment.reopen(run)
        self._pending.add(run)

    def _hand_over(self, run: RunKey, *, first: bool) -> None:
        self._running_executor.submit(self._jobs.of(run, self._placing), first=first)

    def _take_in(self, event: Event | None) -> None:
        match event:
            case JobStarted():
                self._on_started(event)
            case Sampled(job, sample):
                for run in job.runs:  # its machine's clock may differ
                    self.sampled(run, replace(sample, time=time.time()))
            case Outcome():
                self._on_outcome(event)

    def _on_started(self, event: JobStarted) -> None:
        for run in event.job.runs:
            attempts = self.attempts[run]
            heartbeat, patience = attempts.current.heartbeat, self._jobs.patience_with(run)
            watched = Watched(event.job, heartbeat, time.time(), patience)
            attempts.started(event.pid, host=event.host, gpu=self._placing.gpu_of(run))
            self._running.began(run, watched, event.pid if event.host is None else None)
            where = f" on {event.host}" if event.host else ""
            logger.info("%s: attempt %d begins%s", run.name, attempts.number, where)

    def _on_outcome(self, outcome: Outcome) -> None:
        for run in outcome.job.runs:
            self._note(run)
            self._forget(run)
            match outcome.kind:
                case OutcomeKind.FINISHED:
                    self._ends.finished(run, outcome.value)
                case _ if self._is_decided:
                    self._ends.cancelled(run)
                case OutcomeKind.CANCELLED:
                    self._on_cancelled(run)
                case OutcomeKind.LOST:
                    self._on_lost(run, outcome.as_exception())
                case OutcomeKind.EXCEPTION if _was_stopped(outcome):
                    self._on_lost(run, outcome.as_exception())
                case OutcomeKind.LIMIT:
                    self._on_limit(run, outcome.as_exception())
                case _:
                    error = outcome.as_exception()
                    fault = fault_of(outcome.kind, error, outcome.signal_number)
                    self._on_failed(run, error, outcome.kind, fault)
            if run in self._experiment.results:
                self._experiment.save_result(run)
            self._progress.of(run)  # its last steps count from now on
        self._rules.look_at_results()
        self._rules.look_at_training(self._running.watched)
        self._end_what_is_decided()

    def _forget(self, run: RunKey) -> None:
        """Nothing of the run's last attempt is in use any more."""
        self._pending.discard(run)
        watched = self._running.ended(run)
        self._placing.release(run)
        if self._guard is not None and watched is not None:
            self._guard.ended(run, watched.heartbeat)

    def _on_cancelled(self, run: RunKey) -> None:
        if self.attempts[run].status is RunStatus.RUNNING:
            self._ends.interrupted(run, "stopped before it was complete")
        else:
            self.attempts[run].withdraw()

    def _on_lost(self, run: RunKey, error: Exception) -> None:
        """Its machine is gone, which says nothing about the run: it is trained again elsewhere."""
        self._lost[run] = self._lost.get(run, 0) + 1
        if self._lost[run] > MOST_LOSSES:
            cause = ProcessDiedError(f"{described(error)}, {self._lost[run]} times")
            self._on_failed(run, cause, OutcomeKind.LOST, Fault.MACHINE)
            return
        step = self._ends.interrupted(run, described(error))
        if self._is_over:
            return
        logger.warning("%s: %s at step %d; it is run again", run.name, described(error), step)
        self._submit(run, first=True)

    def _on_limit(self, run: RunKey, error: Exception) -> None:
        """The disk is full, which no further attempt of any run could help."""
        cause, remedy = cause_of(error), _remedy(error, self.attempts[run])
        self._ends.interrupted(run, cause, remedy, OutcomeKind.LIMIT)
        if not self._is_over:
            self.failures += (f"{cause}; {remedy}",)
            logger.error("%s; %s", cause, remedy)
            self._end_it_all()

    def _on_failed(self, run: RunKey, error: Exception, kind: OutcomeKind, fault: Fault) -> None:
        attempts = self.attempts[run]
        cause, remedy = cause_of(error), _remedy(error, attempts)
        if kind is OutcomeKind.OUT_OF_MEMORY and self._guard is not None:
            self._guard.ran_out_of_memory()
        step = self._ends.failed(run, cause, remedy, kind, fault)
        is_repeated = attempts.fails_again(step, cause) and fault is Fault.RUN
        again = partial(self._try_again, run)
        failed = FailedRun(run.name, run.arm, error, attempts.failures, again, is_repeated)
        goes_on = not self._is_over and self._recover(failed)
        if run in self._pending:
            return
        self.failures += (f"{run.name}: {cause}; {remedy}",)
        if goes_on:
            self._ends.skipped(run, cause, step)
        elif not self._is_over:
            self._end_it_all()

    @property
    def _running_executor(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("no run has been carried out yet")
        return self._executor


def _was_stopped(outcome: Outcome) -> bool:
    """Whether somebody else asked the run to stop, as a batch system does; it lost its place."""
    return isinstance(outcome.as_exception(), RunStoppedError)


def _remedy(error: Exception, attempts: RunAttempts) -> str:
    own = error.remedy if isinstance(error, ExperimentsError) else None
    return own or f"the traceback is in {attempts.current.log}"

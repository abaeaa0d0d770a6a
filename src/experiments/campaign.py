"""The planned runs of one experiment, carried out through an executor until none is left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from .cleaning import cleaned_files, has_model
from .config import trainer_config
from .derived import adopt_run
from .domain.errors import ExperimentsError, ProcessDiedError, RunStoppedError, cause_of, described
from .domain.paths import AttemptPaths
from .domain.records import (
    ResourceSample,
    RunKey,
    RunProgress,
    RunStatus,
    TrainerConfig,
    TrainingResult,
)
from .execution import (
    Event,
    Executor,
    FailedRun,
    Fault,
    Job,
    JobStarted,
    Needs,
    Outcome,
    OutcomeKind,
    RunAttempts,
    Sampled,
    fault_of,
)
from .experiment import Experiment
from .guard import Guard, Watched
from .monitoring import MachineMeter, device_inside
from .placing import Placing
from .run_progress import ProgressOfRuns
from .stopping import StoppingRules

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How long an executor is waited for before anything else is looked at."""
NOTE_SECONDS = 1.0
"""How often it is looked what running attempts have left."""
MOST_LOSSES = 5
"""How often a run may lose its machine before that counts as its own failure."""

Train = Callable[[TrainerConfig], TrainingResult]
Recover = Callable[[FailedRun], bool]
Adjust = Callable[[str, TrainerConfig], tuple[TrainerConfig, list[str]]]


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
        self._train = train
        self._recover = recover
        self._adjust = adjust
        self._executor: Executor | None = None
        self._guard: Guard | None = None
        self._placing = Placing({})
        self._pending: set[RunKey] = set()
        self._running: dict[RunKey, Watched] = {}
        self._pids: dict[RunKey, int] = {}
        self._lost: dict[RunKey, int] = {}
        self._waiting: dict[RunKey, float] = {}
        """Runs that are tried again, and from which moment of the monotonic clock on."""
        self._patience: dict[RunKey, float | None] = {}
        """How long each run may be silent, where an adjustment has changed that."""
        self._next_note = 0.0
        self._rules = StoppingRules(experiment, self.steps)
        self._is_over = False
        self._is_decided = False
        """Whether a rule has ended the experiment: what still ends then is not needed."""
        self._lock = threading.Lock()
        self.failures: tuple[str, ...] = ()
        """What failed and why, a line each."""
        self.attempts = {
            run: RunAttempts(run, experiment.paths.run(run)) for run in experiment.runs()
        }
        for run in experiment.complete_runs():
            self.attempts[run].status = RunStatus.COMPLETED  # unless its files are lacking
        self._progress = ProgressOfRuns(self.attempts, experiment.planned_timesteps())

    def carry_out(
        self,
        executor: Executor,
        guard: Guard,
        placing: Placing,
        order: list[RunKey],
        interrupted: Callable[[], bool],
        on_look: Callable[[], None],
    ) -> None:
        """Train the runs of `order` that are unfinished; they end early once `interrupted()`.

        `on_look` is called about twice a second meanwhile.
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
                self._take_in(executor.next_event(LOOK_SECONDS))
                self._note_what_attempts_tell()
                guard.look(executor, self._running)
                on_look()
        except KeyboardInterrupt:
            self._end_it_all()
            while self._pending:
                self._take_in(executor.next_event(LOOK_SECONDS))
            raise

    def _begin(self, order: list[RunKey]) -> None:
        """Submit what is to be trained, and say of the rest where it stands."""
        to_train = set(self._experiment.runs_to_train())
        cleaned = cleaned_files(self._experiment.paths)
        for run in order:
            result = self._experiment.result_of(run)
            is_lacking = result.status is RunStatus.COMPLETED and not self._is_kept(run, cleaned)
            if run in to_train or (is_lacking and self._experiment.is_needed(run)):
                self._submit(run)
            elif result.status is RunStatus.CANCELLED:
                self._cancel(run)
            else:
                self.attempts[run].status = result.status

    def _note_what_attempts_tell(self) -> None:
        """From where the running attempts went on, and which checkpoints they have saved."""
        now = time.monotonic()
        if now < self._next_note:
            return
        self._next_note = now + NOTE_SECONDS
        for run in self._running:
            self._note(run)
            self._rules.watch(self.progress_of(run))
        self._rules.look_at_training(self._running)
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
                self._cancel(run)
        self._waiting.clear()
        self._running_executor.cancel()

    def _is_kept(self, run: RunKey, cleaned: Collection[Path]) -> bool:
        """Whether a complete run has everything that it left, its model under the final name.

        A model that was removed on purpose is not missing.
        """
        paths = self._experiment.paths
        journal = paths.run(run).journal
        if not journal.is_file() and journal not in cleaned:
            return False
        model = paths.model(run, single_seed=self._experiment.has_single_seed)
        attempt = paths.run(run).attempt(self._experiment.results[run].attempts)
        if has_model(cleaned, model, attempt):
            return True
        return adopt_run(self._experiment, run, attempt) is not None

    # ---- how far it is, for any thread

    def progress(self) -> tuple[RunProgress, ...]:
        """How far each planned run is; safe to call from any thread."""
        return tuple(self._progress.of(run) for run in self.attempts)

    def progress_of(self, run: RunKey) -> RunProgress:
        """How far one run is; safe to call from any thread."""
        return self._progress.of(run)

    def steps(self) -> int:
        """Timesteps of all runs together so far."""
        return self._progress.steps(list(self._running))

    def pids(self) -> dict[RunKey, int]:
        """The process that trains each run on this machine; safe to call from any thread."""
        with self._lock:
            return dict(self._pids)

    def sampled(self, run: RunKey, sample: ResourceSample) -> None:
        """Take note of what a run's processes use; safe to call from any thread."""
        watched = self._running.get(run)
        if watched is None or sample.time < watched.began:
            return  # of an attempt that has ended meanwhile
        self.attempts[run].sampled(sample, self.progress_of(run).step)
        if self._guard is not None:
            self._guard.sampled(run, sample)

    @property
    def nobody_waits(self) -> bool:
        """Whether every run that is left has begun."""
        return len(self._running) == len(self._pending)

    def arms_running(self) -> set[str]:
        """The arms of which a run trains just now."""
        return {run.arm for run in list(self._running)}

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
        attempts = self.attempts[run]
        config = trainer_config(
            self._experiment.config.arms[run.arm],
            seed=run.seed,
            experiment=self._experiment.config,
            run_dir=attempts.paths.root,
            attempt=attempts.number,
            checkpoints=self._experiment.paths.run_checkpoints(run),
            experiment_name=self._experiment.name_of(run),
        )
        config, attempts.deviations = self._adjust(run.arm, config)
        config = replace(config, deviations=tuple(attempts.deviations))
        self._patience[run] = config.hang_seconds
        self._running_executor.submit(self._job(run, config, attempts.current), first=first)

    def _job(self, run: RunKey, config: TrainerConfig, attempt: AttemptPaths) -> Job:
        needs, gpus = self._placing.needs.get(run.arm, Needs()), self._placing.gpus
        environment = None
        if gpus is not None:
            environment = partial(gpus.place, run, config.device, needs.gpu_memory_mb)
        if gpus is not None or needs.gpus:
            config = replace(config, device=device_inside(config.device))
        return Job(
            run.name,
            (run,),
            partial(self._train, config),
            attempt.log,
            environment=environment,
            needs=needs,
            meter=MachineMeter,
        )

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
            heartbeat, patience = attempts.current.heartbeat, self._patience.get(run)
            self._running[run] = Watched(event.job, heartbeat, time.time(), patience)
            attempts.started(event.pid, host=event.host, gpu=self._gpu_of(run))
            if event.host is None:
                with self._lock:
                    self._pids[run] = event.pid
            where = f" on {event.host}" if event.host else ""
            logger.info("%s: attempt %d begins%s", run.name, attempts.number, where)

    def _gpu_of(self, run: RunKey) -> int | None:
        gpus = self._placing.gpus
        return None if gpus is None else gpus.device_of(run)

    def _on_outcome(self, outcome: Outcome) -> None:
        for run in outcome.job.runs:
            self._note(run)
            self._forget(run)
            match outcome.kind:
                case OutcomeKind.FINISHED:
                    self._on_finished(run, outcome.value)
                case _ if self._is_decided:
                    self._cancel(run)
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
            self.progress_of(run)  # its last steps count from now on
        self._rules.look_at_results()
        self._rules.look_at_training(self._running)
        self._end_what_is_decided()

    def _forget(self, run: RunKey) -> None:
        """Nothing of the run's last attempt is in use any more."""
        self._pending.discard(run)
        watched = self._running.pop(run, None)
        with self._lock:
            self._pids.pop(run, None)
        if self._placing.gpus is not None:
            self._placing.gpus.release(run)
        if self._guard is not None and watched is not None:
            self._guard.ended(run, watched.heartbeat)

    def _on_finished(self, run: RunKey, result: TrainingResult) -> None:
        attempts = self.attempts[run]
        model = adopt_run(self._experiment, run, attempts.current)
        result = replace(result, model_path=str(model) if model else None)
        self._experiment.add_result(run.arm, self._named(run, result))
        self._experiment.save_result(run)  # before anything says that it is complete
        attempts.ended(RunStatus.COMPLETED, result.total_timesteps)
        logger.info("%s: complete, %s steps", run.name, result.total_timesteps)

    def _on_cancelled(self, run: RunKey) -> None:
        if self.attempts[run].status is RunStatus.RUNNING:
            step = self.progress_of(run).step
            self.attempts[run].ended(RunStatus.INTERRUPTED, step, "stopped before it was complete")

    def _cancel(self, run: RunKey) -> None:
        """Say of a run that a rule has ended the experiment without it."""
        step = self.progress_of(run).step
        if self.progress_of(run).status is not RunStatus.CANCELLED:
            self.attempts[run].ended(RunStatus.CANCELLED, step, "not needed any more")

    def _on_lost(self, run: RunKey, error: Exception) -> None:
        """Its machine is gone, which says nothing about the run: it is trained again elsewhere."""
        self._lost[run] = self._lost.get(run, 0) + 1
        if self._lost[run] > MOST_LOSSES:
            cause = ProcessDiedError(f"{described(error)}, {self._lost[run]} times")
            self._on_failed(run, cause, OutcomeKind.LOST, Fault.MACHINE)
            return
        step = self.progress_of(run).step
        self.attempts[run].ended(RunStatus.INTERRUPTED, step, described(error))
        if self._is_over:
            return
        logger.warning("%s: %s at step %d; it is run again", run.name, described(error), step)
        self._submit(run, first=True)

    def _on_limit(self, run: RunKey, error: Exception) -> None:
        """The disk is full, which no further attempt of any run could help."""
        attempts = self.attempts[run]
        step, cause, remedy = self.progress_of(run).step, cause_of(error), _remedy(error, attempts)
        attempts.ended(RunStatus.INTERRUPTED, step, cause, remedy, kind=OutcomeKind.LIMIT)
        if not self._is_over:
            self.failures += (f"{cause}; {remedy}",)
            logger.error("%s; %s", cause, remedy)
            self._end_it_all()

    def _on_failed(self, run: RunKey, error: Exception, kind: OutcomeKind, fault: Fault) -> None:
        attempts = self.attempts[run]
        step, cause, remedy = self.progress_of(run).step, cause_of(error), _remedy(error, attempts)
        if kind is OutcomeKind.OUT_OF_MEMORY and self._guard is not None:
            self._guard.ran_out_of_memory()
        attempts.ended(RunStatus.FAILED, step, cause, remedy, kind=kind, fault=fault)
        logger.info("%s: failed at step %d: %s", run.name, step, cause)
        self._record_failure(run, cause, step, fault)
        is_repeated = attempts.fails_again(step, cause) and fault is Fault.RUN
        again = partial(self._try_again, run)
        failed = FailedRun(run.name, run.arm, error, attempts.failures, again, is_repeated)
        goes_on = not self._is_over and self._recover(failed)
        if run in self._pending:
            return
        self.failures += (f"{run.name}: {cause}; {remedy}",)
        if goes_on:
            self._skip(run, step, cause)
        elif not self._is_over:
            self._end_it_all()

    def _skip(self, run: RunKey, step: int, cause: str) -> None:
        self.attempts[run].ended(RunStatus.SKIPPED, step, cause)
        result = replace(self._experiment.results[run], status=RunStatus.SKIPPED)
        self._experiment.add_result(run.arm, result)

    def _record_failure(self, run: RunKey, cause: str, step: int, fault: Fault) -> None:
        failed = replace(self._experiment.failed_result(run, cause, step), fault=fault.value)
        self._experiment.add_result(run.arm, self._named(run, failed))

    def _named(self, run: RunKey, result: TrainingResult) -> TrainingResult:
        attempts = self.attempts[run]
        starts = attempts.starts()
        changed = [deviation for start in starts for deviation in start.deviations]
        inexact = [
            f"resumed approximately from step {start.step}, because {start.why_inexact}"
            for start in starts
            if start.why_inexact is not None
        ]
        return replace(
            result,
            arm=run.arm,
            attempts=attempts.number,
            deviations=tuple(dict.fromkeys((*changed, *attempts.deviations, *inexact))),
            resumed_from_steps=tuple(start.step for start in starts if start.step),
            resume="approximate" if inexact else "exact",
        )

    @property
    def _running_executor(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("no run was carried out yet")
        return self._executor


def _was_stopped(outcome: Outcome) -> bool:
    """Whether somebody else asked the run to stop, as a batch system does; it lost its place."""
    return isinstance(outcome.as_exception(), RunStoppedError)


def _remedy(error: Exception, attempts: RunAttempts) -> str:
    own = error.remedy if isinstance(error, ExperimentsError) else None
    return own or f"the traceback is in {attempts.current.log}"

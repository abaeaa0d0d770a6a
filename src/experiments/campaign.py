"""The planned runs of one experiment, carried out through an executor until none is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from .config import trainer_config
from .derived import adopt_run
from .domain.errors import ExperimentsError, described
from .domain.paths import AttemptPaths
from .domain.records import (
    ENDED_RUNS,
    RunEstimate,
    RunKey,
    RunProgress,
    RunStatus,
    TrainerConfig,
    TrainingResult,
)
from .execution import (
    Executor,
    FailedRun,
    Job,
    JobStarted,
    Outcome,
    OutcomeKind,
    RunAttempts,
)
from .experiment import Experiment
from .monitoring import JournalProgress

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""How long an executor is waited for before anything else is looked at."""

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
        self._pending: set[RunKey] = set()
        self._guard = threading.Lock()
        self._ended: dict[RunKey, RunProgress] = {}
        """What is not read again: with many runs, most have ended."""
        self.outcomes = 0
        """How many jobs have ended."""
        self.failures: tuple[str, ...] = ()
        """What failed and why, a line each."""
        self.attempts = {
            run: RunAttempts(run, experiment.paths.run(run)) for run in experiment.runs()
        }
        planned = experiment.planned_timesteps()
        self._readers = {
            run: JournalProgress(attempts.paths, run, planned[run.arm])
            for run, attempts in self.attempts.items()
        }

    def carry_out(
        self,
        executor: Executor,
        order: list[RunKey],
        interrupted: Callable[[], bool],
        on_look: Callable[[], None],
    ) -> None:
        """Train the runs of `order` that are unfinished; they end early once `interrupted()`.

        `on_look` is called several times a second meanwhile.
        """
        self._executor = executor
        unfinished = set(self._experiment.unfinished_runs())
        for run in order:
            if run not in unfinished and self._is_kept(run):
                self.attempts[run].status = RunStatus.COMPLETED
            else:
                self._submit(run)
        try:
            while self._pending:
                if interrupted():
                    executor.cancel()
                self._take_in(executor.next_event(LOOK_SECONDS))
                on_look()
        except KeyboardInterrupt:
            executor.cancel()
            while self._pending:
                self._take_in(executor.next_event(LOOK_SECONDS))
            raise

    def _is_kept(self, run: RunKey) -> bool:
        """Whether a complete run has everything that it left, its model under the final name."""
        paths = self._experiment.paths
        if not paths.run(run).journal.is_file():
            return False
        if paths.model(run, single_seed=self._experiment.has_single_seed).is_file():
            return True
        attempt = paths.run(run).attempt(self._experiment.results[run].attempts)
        return adopt_run(self._experiment, run, attempt) is not None

    def _take_in(self, event: JobStarted | Outcome | None) -> None:
        match event:
            case JobStarted():
                self._on_started(event)
            case Outcome():
                self._on_outcome(event)

    def progress(self) -> tuple[RunProgress, ...]:
        """How far each planned run is; safe to call from any thread."""
        return tuple(self.progress_of(run) for run in self._readers)

    def progress_of(self, run: RunKey) -> RunProgress:
        """How far one run is; safe to call from any thread."""
        with self._guard:
            if run not in self._ended:
                progress = self._readers[run].read()
                if progress.status not in ENDED_RUNS or self.attempts[run].status not in ENDED_RUNS:
                    return progress
                self._ended[run] = progress
            return self._ended[run]

    def arms_running(self) -> set[str]:
        """The arms of which a run trains just now."""
        return {
            run.arm
            for run, attempts in self.attempts.items()
            if attempts.status is RunStatus.RUNNING
        }

    def _submit(self, run: RunKey, *, first: bool = False) -> bool:
        attempts = self.attempts[run]
        with self._guard:
            number = attempts.prepare()
            self._ended.pop(run, None)
        config = trainer_config(
            self._experiment.config.arms[run.arm],
            seed=run.seed,
            experiment=self._experiment.config,
            run_dir=attempts.paths.root,
            attempt=number,
            experiment_name=self._experiment.name_of(run),
        )
        config, attempts.deviations = self._adjust(run.arm, config)
        self._pending.add(run)
        job = Job(run.name, (run,), partial(self._train, config), attempts.current.log)
        self._running_executor.submit(job, first=first)
        return True

    def _on_started(self, event: JobStarted) -> None:
        for run in event.job.runs:
            self.attempts[run].started(event.pid)
            logger.info("%s: attempt %d begins", run.name, self.attempts[run].number)

    def _on_outcome(self, outcome: Outcome) -> None:
        for run in outcome.job.runs:
            self._pending.discard(run)
            match outcome.kind:
                case OutcomeKind.FINISHED:
                    self._on_finished(run, outcome.value)
                case OutcomeKind.CANCELLED:
                    self._on_cancelled(run)
                case _:
                    self._on_failed(run, outcome.as_exception())
        self._experiment.save()
        self.outcomes += 1

    def _on_finished(self, run: RunKey, result: TrainingResult) -> None:
        attempts = self.attempts[run]
        model = adopt_run(self._experiment, run, attempts.current)
        result = replace(result, model_path=str(model) if model else None)
        attempts.ended(RunStatus.COMPLETED, result.total_timesteps)
        self._experiment.add_result(run.arm, self._named(run, result))
        logger.info("%s: complete, %s steps", run.name, result.total_timesteps)

    def _on_cancelled(self, run: RunKey) -> None:
        if self.attempts[run].status is RunStatus.RUNNING:
            step = self.progress_of(run).step
            self.attempts[run].ended(RunStatus.INTERRUPTED, step, "stopped before it was complete")

    def _on_failed(self, run: RunKey, error: Exception) -> None:
        attempts = self.attempts[run]
        step = self.progress_of(run).step
        cause, remedy = described(error), _remedy(error, attempts.current)
        attempts.ended(RunStatus.FAILED, step, cause, remedy)
        logger.info("%s: failed at step %d: %s", run.name, step, cause)
        self._record_failure(run, cause, step)
        again = partial(self._submit, run, first=True)
        goes_on = self._recover(FailedRun(run.name, run.arm, error, attempts.failures, again))
        if run in self._pending:
            return
        self.failures += (f"{run.name}: {cause}; {remedy}",)
        if goes_on:
            self._skip(run, step, cause)
        else:
            self._running_executor.cancel()

    def _skip(self, run: RunKey, step: int, cause: str) -> None:
        self.attempts[run].ended(RunStatus.SKIPPED, step, cause)
        result = replace(self._experiment.results[run], status=RunStatus.SKIPPED)
        self._experiment.add_result(run.arm, result)

    def _record_failure(self, run: RunKey, cause: str, step: int) -> None:
        failed = self._experiment.failed_result(run, cause, step)
        self._experiment.add_result(run.arm, self._named(run, failed))

    def _named(self, run: RunKey, result: TrainingResult) -> TrainingResult:
        attempts = self.attempts[run]
        deviations = tuple(attempts.deviations)
        return replace(result, arm=run.arm, attempts=attempts.number, deviations=deviations)

    @property
    def _running_executor(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("no run was carried out yet")
        return self._executor


def rehearse_arms(
    experiment: Experiment,
    executor: Executor,
    rehearse: Callable[[RunKey, TrainerConfig], RunEstimate],
    interrupted: Callable[[], bool],
    scratch: Path,
) -> tuple[tuple[RunEstimate, ...], tuple[str, ...]]:
    """Train a handful of steps of each arm: the estimates, and what failed, a line each.

    What the runs print goes to files in `scratch`.
    """
    seed = experiment.config.seed_list[0]
    runs = [RunKey(arm, seed) for arm in experiment.config.arms]
    for run in runs:
        arm = experiment.config.arms[run.arm]
        config = trainer_config(arm, seed=seed, experiment=experiment.config)
        log = scratch / f"{run.name}.log"
        executor.submit(Job(run.name, (run,), partial(rehearse, run, config), log))
    estimates: tuple[RunEstimate, ...] = ()
    failures: tuple[str, ...] = ()
    while len(estimates) + len(failures) < len(runs) and not interrupted():
        event = executor.next_event(LOOK_SECONDS)
        if isinstance(event, Outcome) and event.kind is OutcomeKind.FINISHED:
            estimates += (event.value,)
        elif isinstance(event, Outcome):
            failures += (f"{event.job.name}: {described(event.as_exception())}",)
    return estimates, failures


def _remedy(error: Exception, attempt: AttemptPaths) -> str:
    own = error.remedy if isinstance(error, ExperimentsError) else None
    return own or f"the traceback is in {attempt.log}"

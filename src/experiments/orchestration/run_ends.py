"""How a run's attempt ended, as the experiment's results and the run's events tell it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ..cleaning import has_model
from ..domain.records import RunKey, RunStatus, TrainingResult
from ..execution import Fault, OutcomeKind, RunAttempts
from ..experiment import Experiment
from ..outputs.derived import adopt_run
from .run_progress import ProgressOfRuns

logger = logging.getLogger(__name__)


class RunEnds:
    """Writes down how runs end; what becomes of them then is decided elsewhere.

    Args:
        experiment: its directory exists and is locked by this process.
        attempts: of every planned run.
        progress: how far they are.
    """

    def __init__(
        self,
        experiment: Experiment,
        attempts: Mapping[RunKey, RunAttempts],
        progress: ProgressOfRuns,
    ) -> None:
        self._experiment = experiment
        self._attempts = attempts
        self._progress = progress

    def finished(self, run: RunKey, result: TrainingResult) -> None:
        """The run is complete: its model gets its final name, its result is saved."""
        attempts = self._attempts[run]
        model = adopt_run(self._experiment, run, attempts.current)
        result = replace(result, model_path=str(model) if model else None)
        self._experiment.add_result(run.arm, self._with_history(run, result))
        self._experiment.save_result(run)  # before anything says that it is complete
        attempts.ended(RunStatus.COMPLETED, result.total_timesteps)
        logger.info("%s: complete, %s steps", run.name, result.total_timesteps)

    def interrupted(
        self, run: RunKey, cause: str, remedy: str | None = None, kind: OutcomeKind | None = None
    ) -> int:
        """The attempt was stopped, not through the run's own fault; returns the step."""
        step = self._progress.of(run).step
        self._attempts[run].ended(RunStatus.INTERRUPTED, step, cause, remedy, kind=kind)
        return step

    def cancelled(self, run: RunKey) -> None:
        """A rule has ended the experiment without the run."""
        progress = self._progress.of(run)
        if progress.status is not RunStatus.CANCELLED:
            self._attempts[run].ended(RunStatus.CANCELLED, progress.step, "no longer needed")

    def failed(self, run: RunKey, cause: str, remedy: str, kind: OutcomeKind, fault: Fault) -> int:
        """The attempt failed; returns the step."""
        step = self._progress.of(run).step
        self._attempts[run].ended(RunStatus.FAILED, step, cause, remedy, kind=kind, fault=fault)
        logger.info("%s: failed at step %d: %s", run.name, step, cause)
        failed = replace(self._experiment.failed_result(run, cause, step), fault=fault.value)
        self._experiment.add_result(run.arm, self._with_history(run, failed))
        return step

    def skipped(self, run: RunKey, cause: str, step: int) -> None:
        """A run that failed is not tried again; the experiment goes on without it."""
        self._attempts[run].ended(RunStatus.SKIPPED, step, cause)
        result = replace(self._experiment.results[run], status=RunStatus.SKIPPED)
        self._experiment.add_result(run.arm, result)

    def is_kept(self, run: RunKey, cleaned: Collection[Path]) -> bool:
        """Whether a complete run has everything that it left, its model under the final name.

        A model that was removed on purpose, being one of the `cleaned` files, is not missing.
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

    def _with_history(self, run: RunKey, result: TrainingResult) -> TrainingResult:
        """A result with what the run's attempts say of how it came about."""
        attempts = self._attempts[run]
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
            attempts=attempts.prepared,
            deviations=tuple(dict.fromkeys((*changed, *attempts.deviations, *inexact))),
            resumed_from_steps=tuple(start.step for start in starts if start.step),
            resume="approximate" if inexact else "exact",
        )

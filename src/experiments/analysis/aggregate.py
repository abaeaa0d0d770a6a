"""An arm's runs as one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from ..domain.errors import UsageError
from ..domain.records import RunStatus, TrainingResult
from .evidence import score, seed_order
from .text import listed, plural

WORST_FIRST = (
    RunStatus.FAILED,
    RunStatus.INTERRUPTED,
    RunStatus.SKIPPED,
    RunStatus.CANCELLED,
    RunStatus.RUNNING,
    RunStatus.QUEUED,
    RunStatus.COMPLETED,
)


def aggregate(arm: str, results: Sequence[TrainingResult]) -> TrainingResult:
    """An arm's result: a single run itself, else means over the seeds that completed.

    With several seeds `final_std_reward` is the standard deviation over seeds (ddof 1), timesteps
    and times are sums over all runs, `success` means that every run succeeded, and `status` is the
    worst one. `runs` holds each run in the order of the seeds.

    Raises:
        UsageError: (a ValueError) without any result.
    """
    if not results:
        raise UsageError(f"arm {arm} has no result to aggregate")
    runs = tuple(replace(run, arm=run.arm or arm) for run in sorted(results, key=seed_order))
    first = runs[0]
    if len(runs) == 1:
        return replace(first, runs=runs)
    final_mean_reward, final_std_reward = over_seeds(runs, "final_mean_reward")
    return TrainingResult(
        success=all(run.success for run in runs),
        total_timesteps=sum(run.total_timesteps for run in runs),
        training_time=sum(run.training_time for run in runs),
        final_mean_reward=final_mean_reward,
        final_std_reward=final_std_reward,
        experiment_name=first.experiment_name,
        algorithm=first.algorithm,
        environment_name=first.environment_name,
        seed=None,
        error=_error(runs),
        arm=arm,
        status=min((run.status for run in runs), key=WORST_FIRST.index),
        final_return=over_seeds(runs, "final_return")[0],
        auc=over_seeds(runs, "auc")[0],
        evaluation_time=sum(run.evaluation_time for run in runs),
        diagnostics_time=sum(run.diagnostics_time for run in runs),
        attempts=sum(run.attempts for run in runs),
        resumed_from_steps=tuple(step for run in runs for step in run.resumed_from_steps),
        resume="exact" if all(run.resume == "exact" for run in runs) else "approximate",
        learned=_learned(runs),
        deviations=tuple(dict.fromkeys(text for run in runs for text in run.deviations)),
        runs=runs,
    )


def _learned(runs: Sequence[TrainingResult]) -> bool | None:
    known = [run.learned for run in runs if run.learned is not None]
    return any(known) if known else None


def over_seeds(runs: Sequence[TrainingResult], metric: str) -> tuple[float | None, float | None]:
    """Mean and standard deviation (ddof 1) over completed runs; None where they are too few."""
    values = [value for run in runs if (value := score(run, metric)) is not None]
    mean = fmean(values) if values else None
    return mean, stdev(values) if len(values) > 1 else None


def _error(runs: Sequence[TrainingResult]) -> str | None:
    failed = [run for run in runs if not run.success]
    if not failed:
        return None
    each = [f"seed {run.seed}: {run.error or run.status.value}" for run in failed]
    reasons = listed(each, "; ")
    return f"{len(failed)} of {plural(len(runs), 'run')} did not complete ({reasons})"

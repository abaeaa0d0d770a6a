"""What became of the planned runs, counted by arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..domain.records import RunStatus, TrainingResult
from .text import number, plural

SHOWN_STATUSES = tuple(status for status in RunStatus if status is not RunStatus.COMPLETED)
"""In the order in which they are told; one that no run has is left out."""


@dataclass(frozen=True)
class Outcomes:
    """An arm's runs by how they ended, and what they took."""

    planned: int
    by_status: Mapping[RunStatus, int]
    retried: int
    """Runs that took more than one attempt."""
    attempts: int
    resumed: int
    """Runs that went on from a checkpoint."""
    deviated: int
    """Runs that a retry changed."""

    @property
    def completed(self) -> int:
        """Runs that were trained to the end."""
        return self.by_status.get(RunStatus.COMPLETED, 0)


def status_of(run: TrainingResult) -> RunStatus:
    """How a run stands; one without success has failed, whatever else is said."""
    failed = not run.success and run.status is RunStatus.COMPLETED
    return RunStatus.FAILED if failed else run.status


def outcomes(runs: Iterable[TrainingResult]) -> Outcomes:
    """Count the runs of one arm."""
    listed = list(runs)
    tried = [run for run in listed if run.status is not RunStatus.QUEUED]
    return Outcomes(
        planned=len(listed),
        by_status=Counter(status_of(run) for run in listed),
        retried=sum(run.attempts > 1 for run in tried),
        attempts=sum(run.attempts for run in tried),
        resumed=sum(bool(run.resumed_from_steps) for run in tried),
        deviated=sum(bool(run.deviations) for run in tried),
    )


def was_begun(run: TrainingResult) -> bool:
    """Whether anything was spent on a run."""
    return run.total_timesteps > 0 or run.status is RunStatus.COMPLETED


def spent_text(runs: Iterable[TrainingResult]) -> str:
    """What was spent on runs that are not analysed, and how many were never started."""
    listed = list(runs)
    begun = [run for run in listed if was_begun(run)]
    rest = len(listed) - len(begun)
    never = f"{plural(rest, 'planned run')} {'was' if rest == 1 else 'were'} never started"
    if not begun:
        return f"Nothing was spent beyond the runs that are analysed: {never}."
    counts = Counter(status_of(run) for run in begun)
    told = " and ".join(f"{count} {status.value}" for status, count in counts.items())
    steps = sum(run.total_timesteps for run in begun)
    spent = f"{plural(len(begun), 'run')} ({told}), {steps:,} steps in total"
    return f"{spent}; {never}." if rest else f"{spent}."


def spent_run_text(run: TrainingResult, metric: str) -> str:
    """One of them, such as ``variant, seed 51: completed, 512.0``."""
    score = getattr(run, metric)
    told = number(score) if score is not None else f"after {run.total_timesteps:,} steps"
    return f"{run.arm}, seed {run.seed}: {status_of(run).value}, {told}"

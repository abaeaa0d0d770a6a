"""How far the experiment is, and when it will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ..domain.records import RunProgress, RunStatus

BASELINE = "baseline"


@dataclass
class ProgressInfo:
    """How far the experiment is; percentages run from 0 to 100."""

    current_step: int = 0
    """Timesteps of all runs together."""
    total_steps: int = 0
    current_phase: str = "idle"
    baseline_progress: float = 0.0
    variant_progress: float = 0.0
    """Of the variant; with several variants, of all of them together."""
    estimated_time_remaining: float | None = None
    """Seconds; None while no speed is known."""
    current_config: str | None = None
    """The arms that train now, separated by commas."""

    @property
    def overall_progress(self) -> float:
        """Mean of the baseline's and the variant's progress."""
        return (self.baseline_progress + self.variant_progress) / 2


def progress_info(runs: Sequence[RunProgress], phase: str, *, slots: int = 1) -> ProgressInfo:
    """Sum up the runs' progress; `slots` runs are carried out at a time."""
    running = [run.run.arm for run in runs if run.status is RunStatus.RUNNING]
    return ProgressInfo(
        current_step=sum(run.step for run in runs),
        total_steps=sum(run.total_steps for run in runs),
        current_phase=phase,
        baseline_progress=_mean_percent([run for run in runs if run.run.arm == BASELINE]),
        variant_progress=_mean_percent([run for run in runs if run.run.arm != BASELINE]),
        estimated_time_remaining=seconds_remaining(runs, slots=slots),
        current_config=", ".join(dict.fromkeys(running)) or None,
    )


def seconds_remaining(runs: Sequence[RunProgress], *, slots: int = 1) -> float | None:
    """Wall-clock seconds until the last run is done, at the speeds seen so far.

    A run without a speed of its own is assumed to be as fast as the mean of its arm, else of all
    runs. The answer is the larger of the longest run and the even share of a slot; None while
    something is left and no speed is known.
    """
    unfinished = [run for run in runs if run.status in (RunStatus.QUEUED, RunStatus.RUNNING)]
    if not runs:
        return None
    speeds = _Speeds(runs)
    each = [_seconds_left(run, speeds) for run in unfinished]
    known = [seconds for seconds in each if seconds is not None]
    if len(known) < len(each):
        return None
    return max(max(known, default=0.0), sum(known) / max(1, slots))


class _Speeds:
    """Mean timesteps per second of each arm's runs, and of all runs for an arm without any."""

    def __init__(self, runs: Sequence[RunProgress]) -> None:
        by_arm: dict[str, list[float]] = {}
        for run in runs:
            if run.steps_per_second:
                by_arm.setdefault(run.run.arm, []).append(run.steps_per_second)
        self._means = {arm: fmean(speeds) for arm, speeds in by_arm.items()}
        everything = [speed for speeds in by_arm.values() for speed in speeds]
        self._overall = fmean(everything) if everything else None

    def of(self, arm: str) -> float | None:
        return self._means.get(arm, self._overall)


def _seconds_left(run: RunProgress, speeds: _Speeds) -> float | None:
    if run.status is RunStatus.RUNNING and run.seconds_left is not None:
        return run.seconds_left
    speed = speeds.of(run.run.arm)
    return None if speed is None else max(0, run.total_steps - run.step) / speed


def _mean_percent(runs: Sequence[RunProgress]) -> float:
    return fmean(run.percent for run in runs) if runs else 0.0

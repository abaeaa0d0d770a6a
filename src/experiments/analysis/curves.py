"""Learning curves, read from journals: one line a run, their mean on common steps an arm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..domain.metric_names import EVAL_RETURN_MEAN, RETURNS
from ..domain.records import RunKey
from .step_values import StepValues

Record = Mapping[str, Any]
Values = NDArray[np.float64]
Item = TypeVar("Item")

MAX_POINTS = 400
"""Points of a drawn curve; a longer one is thinned evenly, its last point kept."""
MOST_HELD = 1 << 16
"""Points of a run that are in memory before they are thinned evenly; of more every second goes."""
MAX_LINES = 20
"""Runs of an arm that are drawn one by one; the mean and the range cover all of them."""


class Source(StrEnum):
    """Which returns a curve shows."""

    EVALUATION = "evaluation"
    """Mean return of each evaluation, played apart from training."""
    TRAINING = "training"
    """Mean return of the latest training episodes, exploration included."""


@dataclass(frozen=True)
class RunCurve:
    """One run's returns by training timestep."""

    run: RunKey
    steps: Values
    """Shape ``(points,)``, rising."""
    returns: Values
    """Shape ``(points,)``."""


@dataclass(frozen=True)
class ArmCurve:
    """The curves of an arm's runs, their mean and, from two finished runs on, their range."""

    arm: str
    finished: tuple[RunCurve, ...]
    unfinished: tuple[RunCurve, ...]
    """Runs that failed or were stopped: drawn, but no part of the mean."""
    steps: Values
    """Shape ``(grid,)``: the steps that all finished runs share."""
    mean: Values
    """Mean over the finished runs, shape ``(grid,)``; with a single one that run itself."""
    lowest: Values | None
    """Lowest run at each step; None for a single run, which has no range."""
    highest: Values | None

    @property
    def thin(self) -> Sequence[RunCurve]:
        """The finished runs that are drawn as lines of their own, where there are several."""
        return evenly(self.finished, MAX_LINES) if len(self.finished) > 1 else ()

    @property
    def dotted(self) -> Sequence[RunCurve]:
        """The unfinished runs that are drawn."""
        return evenly(self.unfinished, MAX_LINES)

    @property
    def label(self) -> str:
        """The arm and what its line is, such as ``baseline, mean of 5 seeds``."""
        if len(self.finished) > 1:
            return f"{self.arm}, mean of {len(self.finished)} seeds"
        runs = self.finished or self.unfinished
        return f"{self.arm}, seed {runs[0].run.seed}"


def run_curves(run: RunKey, records: Iterable[Record]) -> dict[Source, RunCurve]:
    """The curves of one run by their source; its journal's records are gone through once."""
    points = {source: StepValues(MOST_HELD) for source in Source}
    for record in records:
        for source, held in points.items():
            value = _value(record, source)
            if value is not None:
                held.add(int(record["step"]), value)
    return {
        source: RunCurve(run, *(_thin(values) for values in held.arrays()))
        for source, held in points.items()
    }


def evenly(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many of the items, evenly chosen, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def arm_curves(
    curves: Iterable[RunCurve], unfinished: Collection[RunKey] = ()
) -> dict[str, ArmCurve]:
    """The curves of all arms that have one, in the order in which they appear in `curves`."""
    by_arm: dict[str, list[RunCurve]] = {}
    for curve in curves:
        if len(curve.steps):
            by_arm.setdefault(curve.run.arm, []).append(curve)
    return {arm: arm_curve(arm, runs, unfinished) for arm, runs in by_arm.items()}


def arm_curve(arm: str, runs: Sequence[RunCurve], unfinished: Collection[RunKey] = ()) -> ArmCurve:
    """Put the curves of an arm together; each run has at least one point.

    The mean covers the finished runs, and only steps that all of them share: else it would jump
    wherever a run ends. Unfinished runs stay visible as lines of their own.
    """
    finished = [curve for curve in runs if curve.run not in unfinished]
    stopped = tuple(curve for curve in runs if curve.run in unfinished)
    grid = _common_grid(finished)
    table = np.array([np.interp(grid, curve.steps, curve.returns) for curve in finished])
    several = len(finished) > 1
    return ArmCurve(
        arm=arm,
        finished=tuple(finished),
        unfinished=stopped,
        steps=grid,
        mean=table.mean(axis=0) if finished else grid,
        lowest=table.min(axis=0) if several else None,
        highest=table.max(axis=0) if several else None,
    )


def _value(record: Record, source: Source) -> float | None:
    kind, name = (
        ("evaluation", EVAL_RETURN_MEAN)
        if source is Source.EVALUATION
        else ("metrics", RETURNS["mean"])
    )
    value = record.get("metrics", {}).get(name) if record.get("kind") == kind else None
    return None if value is None else float(value)


def _common_grid(runs: Sequence[RunCurve]) -> Values:
    if not runs:
        return np.array([], float)
    first = max(run.steps[0] for run in runs)
    last = min(run.steps[-1] for run in runs)
    steps = np.unique(np.concatenate([run.steps for run in runs]))
    return _thin(steps[(steps >= first) & (steps <= last)])


def _thin(values: Values) -> Values:
    if len(values) <= MAX_POINTS:
        return values
    kept: Values = values[np.linspace(0, len(values) - 1, MAX_POINTS).round().astype(int)]
    return kept

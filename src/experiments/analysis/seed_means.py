"""An arm's curve as the mean over its seeds, with every point that was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domain.metric_names import EVAL_RETURN_MEAN, RETURNS
from .curves import Source
from .step_values import StepValues

Record = Mapping[str, Any]
Values = NDArray[np.float64]

_POINTS = {
    Source.EVALUATION: ("evaluation", EVAL_RETURN_MEAN),
    Source.TRAINING: ("metrics", RETURNS["mean"]),
}
"""The kind of record that holds a point, and the metric in it."""


@dataclass(frozen=True)
class Points:
    """One run's returns by training timestep, finite and none left out."""

    steps: Values
    """Shape ``(points,)``, rising."""
    returns: Values
    """Shape ``(points,)``."""


@dataclass(frozen=True)
class SeedMean:
    """The mean of some runs' curves, linear between their points."""

    steps: Values
    """Shape ``(points,)``, rising: every step at which one of the runs has a point.

    Only between the first and the last step that all runs share: beyond them the mean would jump
    wherever a run begins or ends.
    """
    returns: Values
    """Shape ``(points,)``."""
    runs: int
    """How many it is the mean of."""

    def at(self, steps: Values) -> Values:
        """The mean at other steps within its range."""
        return np.interp(steps, self.steps, self.returns)


def points(records: Iterable[Record], source: Source) -> Points:
    """A run's curve from its journal; of two values at one step the later record's counts."""
    kind, name = _POINTS[source]
    found = StepValues()
    for record in records:
        metrics = record.get("metrics") if record.get("kind") == kind else None
        value = metrics.get(name) if isinstance(metrics, Mapping) else None
        if isinstance(value, int | float) and math.isfinite(value):
            found.add(int(record["step"]), float(value))
    return Points(*found.arrays())


def seed_mean(runs: Sequence[Points]) -> SeedMean:
    """The mean of the runs that have a point; one of no points where they share no step."""
    measured = [run for run in runs if len(run.steps)]
    if not measured:
        return SeedMean(np.array([]), np.array([]), 0)
    first = max(run.steps[0] for run in measured)
    last = min(run.steps[-1] for run in measured)
    steps = np.unique(np.concatenate([run.steps for run in measured]))
    steps = steps[(steps >= first) & (steps <= last)]
    returns = np.array([np.interp(steps, run.steps, run.returns) for run in measured])
    return SeedMean(steps, returns.mean(axis=0), len(measured))

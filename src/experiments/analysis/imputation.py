"""Scores for the runs that failed through their own fault: none is dropped.

A failed run's score is NaN here, shape ``(n,)`` per arm in the planned order of seeds. Leaving it
out would compare one arm's survivors with the other arm's runs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .crossover import MAXIMIZE
from .statistics import Scores

Values = NDArray[np.float64]


def impute(scores: Scores, value: float) -> Values:
    """The scores with one value in place of every failed run's."""
    known = np.asarray(scores, float)
    return np.where(np.isfinite(known), known, value)


def failures_p(
    failed_baseline: int, runs_baseline: int, failed_variant: int, runs_variant: int
) -> float:
    """Two-sided p of Fisher's exact test on the counts of failed runs; 1 without any run."""
    failed, runs = failed_baseline + failed_variant, runs_baseline + runs_variant
    of_baseline = range(max(0, failed - runs_variant), min(failed, runs_baseline) + 1)
    # whole numbers: no rounding tells tables apart that are equally likely
    ways = {
        k: math.comb(runs_baseline, k) * math.comb(runs_variant, failed - k) for k in of_baseline
    }
    as_rare = sum(each for each in ways.values() if each <= ways[failed_baseline])
    return as_rare / math.comb(runs, failed)


def extremes(
    baseline: Scores, variant: Scores, floor: float | None, direction: str
) -> tuple[float, float]:
    """The poorest and the best of all scores and the floor.

    Raises:
        ValueError: where a run failed and there is neither a score nor a floor.
    """
    values = np.concatenate([np.asarray(baseline, float), np.asarray(variant, float)])
    complete = bool(np.isfinite(values).all())
    known = [*values[np.isfinite(values)], *([] if floor is None else [floor])]
    if not known:
        if complete:
            return 0.0, 0.0
        raise ValueError("no run has a score and there is no floor to impute; measure the floor")
    ends = float(min(known)), float(max(known))
    return ends if direction == MAXIMIZE else ends[::-1]

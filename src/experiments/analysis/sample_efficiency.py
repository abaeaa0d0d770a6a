"""How many steps an arm needs to reach a return; runs that never reach it are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

SHARES = (0.25, 0.5, 0.75, 0.9)
"""Of the way from the start to the better arm's end: the returns that are asked for."""


@dataclass(frozen=True)
class Reached:
    """When the runs of an arm reached a return."""

    runs: int
    reached: int
    """Runs that reached it at all."""
    median: float | None
    """Steps that half of all runs needed at most; None where fewer than half reached it."""
    quartiles: tuple[float | None, float | None]
    """The same for a quarter and for three quarters of all runs."""


def thresholds(
    start: float, end: float, shares: Sequence[float] = SHARES
) -> tuple[tuple[float, float], ...]:
    """Each share with the return that lies so far on the way from `start` to `end`."""
    return tuple((share, start + share * (end - start)) for share in shares)


def first_step_at(
    steps: Values, returns: Values, threshold: float, *, minimize: bool = False
) -> float:
    """The first evaluated step at which a curve, two arrays ``(points,)``, is at the threshold.

    Infinite where it never is. Nothing is assumed between evaluations.
    """
    at = returns <= threshold if minimize else returns >= threshold
    return float(steps[at.argmax()]) if at.any() else float("inf")


def reached(first_steps: Sequence[float]) -> Reached:
    """Count and summarise one first step for each run, infinite for those that never got there.

    A quantile is the smallest step by which that share of *all* runs had got there (the inverse
    of the distribution function): leaving out the others would favour an arm that often fails.
    """
    ordered = np.sort(np.asarray(first_steps, float))
    quarter, half, three_quarters = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return Reached(
        runs=len(ordered),
        reached=int(np.isfinite(ordered).sum()),
        median=half,
        quartiles=(quarter, three_quarters),
    )


def _quantile(ordered: Values, share: float) -> float | None:
    if not len(ordered):
        return None
    value = ordered[int(np.ceil(share * len(ordered))) - 1]
    return float(value) if np.isfinite(value) else None

"""From which step on one learning curve stays above another: a description, and no test."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .seed_means import SeedMean, Values

MAXIMIZE, MINIMIZE = "maximize", "minimize"
ROUNDING = 1e-12
"""Curves that are closer than so many times their size are equal."""


class Lead(StrEnum):
    """Whether a curve stays ahead of another until the end of what both have."""

    FROM_THE_START = "from_the_start"
    """It is ahead at every step that both have."""
    FROM_A_STEP = "from_a_step"
    NEVER = "never"
    """It is not ahead at the last step that both have."""
    UNKNOWN = "unknown"
    """There is no step that both have."""


@dataclass(frozen=True)
class Crossover:
    """Where a curve overtakes another one for good."""

    lead: Lead
    step: float | None = None
    """From here on it stays ahead, linear between evaluations; None where it never does."""
    compared: tuple[float, float] | None = None
    """First and last step that both have."""


def crossover(curve: SeedMean, other: SeedMean, direction: str = MAXIMIZE) -> Crossover:
    """From which step on `curve` stays above `other`, or below it where less is better.

    Equal is not ahead. Both curves are linear between their points, so that the crossing lies where
    their difference, linear between the points of either, last leaves zero.
    """
    steps = _shared_steps(curve, other)
    if not len(steps):
        return Crossover(Lead.UNKNOWN)
    compared = (float(steps[0]), float(steps[-1]))
    ahead = _ahead(curve.at(steps), other.at(steps))
    if direction == MINIMIZE:
        ahead = -ahead
    behind = np.flatnonzero(ahead <= 0)
    if not len(behind):
        return Crossover(Lead.FROM_THE_START, compared[0], compared)
    last = behind[-1]
    if last == len(steps) - 1:
        return Crossover(Lead.NEVER, None, compared)
    share = -ahead[last] / (ahead[last + 1] - ahead[last])
    step = steps[last] + share * (steps[last + 1] - steps[last])
    return Crossover(Lead.FROM_A_STEP, float(step), compared)


def _ahead(returns: Values, others: Values) -> Values:
    difference = returns - others
    size = np.maximum(np.abs(returns), np.abs(others))
    return np.where(np.abs(difference) <= ROUNDING * size, 0.0, difference)


def _shared_steps(curve: SeedMean, other: SeedMean) -> Values:
    """The points of either curve between the first and the last step that both have.

    Step 0 is left out, at which nothing has been learned: curves from one model begin together.
    """
    if not len(curve.steps) or not len(other.steps):
        return np.array([], float)
    first = max(curve.steps[0], other.steps[0])
    last = min(curve.steps[-1], other.steps[-1])
    steps = np.union1d(curve.steps, other.steps)
    shared: Values = steps[(steps >= first) & (steps <= last) & (steps > 0)]
    return shared

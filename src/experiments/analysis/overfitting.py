"""A hint that a policy gets better at what it trains on and worse where it is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .crossover import MAXIMIZE, MINIMIZE
from .seed_means import SeedMean, Values

FEWEST_POINTS = 4
"""Of either curve: a line through fewer leaves hardly anything to tell its error by."""
STANDARD_ERRORS = 2.0
SMALLEST_SHARE = 1e-6
"""A trend that is a smaller part of the returns themselves is rounding."""
RULE = (
    "over the last third of training, least-squares lines through the means over seeds: "
    f"training returns improve and evaluation returns worsen, each by more than "
    f"{STANDARD_ERRORS:g} of its standard errors"
)


@dataclass(frozen=True)
class Trend:
    """The straight line through the late part of a curve, by least squares."""

    change: float
    """How much it rises from the beginning of that part to its end; negative where it falls."""
    standard_error: float
    """Of `change`, from how far the points lie from the line."""


@dataclass(frozen=True)
class OverfittingHint:
    """What made the rule fire; a hint, and not a verdict."""

    training: Trend
    evaluation: Trend
    first_step: float
    """Where the last third begins."""
    last_step: float


def overfitting_hint(
    training: SeedMean, evaluation: SeedMean, direction: str = MAXIMIZE
) -> OverfittingHint | None:
    """A hint where an arm seems to overfit; None where it does not, or too little is known.

    The rule: in the last third of the steps that both curves have, each has at least
    `FEWEST_POINTS` points; the line through its training returns rises and the line through its
    evaluation returns falls (the other way round where less is better), each by more than
    `STANDARD_ERRORS` standard errors of that change. Curves are means over seeds, so that one
    seed's luck counts little; points that scatter about their line widen its standard error.

    The standard error takes neighbouring points for independent, which those of one policy that
    changes little are not: their trend looks surer than it is. Hence a hint and no more.
    """
    if not len(training.steps) or not len(evaluation.steps):
        return None
    last = min(training.steps[-1], evaluation.steps[-1])
    first = 2 * last / 3
    trends = [trend(curve, first, last) for curve in (training, evaluation)]
    if trends[0] is None or trends[1] is None:
        return None
    better = -1.0 if direction == MINIMIZE else 1.0
    if not (_is_clear(trends[0], better) and _is_clear(trends[1], -better)):
        return None
    return OverfittingHint(trends[0], trends[1], float(first), float(last))


def trend(curve: SeedMean, first: float, last: float) -> Trend | None:
    """The line through the points of a stretch; None where they are fewer than `FEWEST_POINTS`."""
    late = (curve.steps >= first) & (curve.steps <= last)
    steps, returns = curve.steps[late], curve.returns[late]
    if len(steps) < FEWEST_POINTS:
        return None
    return _line(steps, returns)


def _line(steps: Values, returns: Values) -> Trend:
    """Ordinary least squares: slope and its standard error, times the stretch that is spanned."""
    span = float(steps[-1] - steps[0])
    centred = (steps - steps.mean()) / span
    squares = float(centred @ centred)
    change = float(centred @ (returns - returns.mean())) / squares
    residuals = returns - returns.mean() - change * centred
    variance = float(residuals @ residuals) / (len(steps) - 2)
    size = float(np.abs(returns).max())
    if abs(change) <= SMALLEST_SHARE * size:
        change = 0.0
    return Trend(change, math.sqrt(variance / squares))


def _is_clear(line: Trend, sign: float) -> bool:
    return sign * line.change > STANDARD_ERRORS * line.standard_error

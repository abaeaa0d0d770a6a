"""Where a function changes its sign, to the last bit that a float holds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

_SPACING = 2.0 * sys.float_info.epsilon
_MOST_STEPS = 2_000
"""Far beyond what the narrowest bracket of two floats takes when it is halved each time."""


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The place between `low` and `high` at which a continuous function is zero.

    By inverse quadratic interpolation where the last three points allow it, else by bisection
    (Chandrupatla 1997, Advances in Engineering Software 28, 145-149).

    Raises:
        ValueError: unless the function has different signs at both ends, or is zero at one.
    """
    newest, other = (low, function(low)), (high, function(high))
    if newest[1] * other[1] > 0.0:
        raise ValueError(f"no change of sign between {low} and {high}: {newest[1]}, {other[1]}")
    share = 0.5
    for _ in range(_MOST_STEPS):
        best = min(newest, other, key=lambda point: abs(point[1]))
        width = abs(other[0] - newest[0])
        allowed = _SPACING * abs(best[0]) + sys.float_info.min
        if best[1] == 0.0 or width <= 2.0 * allowed:
            return best[0]
        least = allowed / width
        place = newest[0] + min(max(share, least), 1.0 - least) * (other[0] - newest[0])
        found = place, function(place)
        if (found[1] > 0.0) == (newest[1] > 0.0):
            third, newest = newest, found
        else:
            third, other, newest = other, newest, found
        share = _interpolated(newest, other, third)
    raise ValueError(f"no root between {low} and {high} after {_MOST_STEPS} steps")


def _interpolated(
    newest: tuple[float, float], other: tuple[float, float], third: tuple[float, float]
) -> float:
    """How far from the newest point to the other one the root is; a half where that is unsure."""
    (x1, f1), (x2, f2), (x3, f3) = newest, other, third
    if f1 in (f2, f3) or f2 == f3:
        return 0.5
    along, across = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    if not 1.0 - math.sqrt(1.0 - along) < across < math.sqrt(along):
        return 0.5
    nearer = f1 / (f2 - f1) * (f3 / (f2 - f3))
    return nearer + (x3 - x1) / (x2 - x1) * (f1 / (f3 - f1)) * (f2 / (f3 - f2))

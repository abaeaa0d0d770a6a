"""How much of α each look at unfinished data may spend, and the boundary that spends it.

The score process is B(f) = z √f, standard Brownian motion under the null hypothesis, with f the
information fraction: seeds per arm over planned seeds per arm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .distributions import Values, normal_cdf, normal_cdfs, normal_quantile, quadrature
from .roots import root

RHO = 2.0
"""Exponent of the power family: little is spent early, and less than by Pocock's boundary late."""

_FARTHEST = 40.0
_UNBOUNDED = 9.0


def power_family(fraction: float, alpha: float, rho: float = RHO) -> float:
    """The α that may be spent up to an information fraction: α f^ρ (Kim & DeMets 1987)."""
    return float(alpha * fraction**rho)


def critical_values(
    fractions: Sequence[float], spent: Sequence[float], *, two_sided: bool = True
) -> tuple[float, ...]:
    """The boundary on z at each look, given the α spent up to it.

    By the recursion of Armitage, McPherson & Rowe (1969): the density of the score among
    experiments that still go on, carried from look to look by Gauss-Legendre quadrature.
    A one-sided boundary is the upper one, without a lower one.

    Raises:
        ValueError: unless fractions and spent α both rise from above zero.
    """
    _check(fractions, spent)
    at, mass = np.zeros(1), np.ones(1)
    values: list[float] = []
    fraction_before = spent_before = 0.0
    for fraction, spent_now in zip(fractions, spent, strict=True):
        step = float(np.sqrt(fraction - fraction_before))
        edge = _edge(at, mass, step, spent_now - spent_before, two_sided=two_sided)
        low = -edge if two_sided else -_UNBOUNDED * float(np.sqrt(fraction))
        at, mass = _carried(at, mass, step, (low, edge))
        values.append(edge / float(np.sqrt(fraction)))
        fraction_before, spent_before = fraction, spent_now
    return tuple(values)


def two_sided_level(critical_value: float) -> float:
    """The two-sided p of a value of z."""
    return 2.0 * normal_cdf(-abs(critical_value))


def two_sided_value(level: float) -> float:
    """The value of z, not negative, that has a two-sided p."""
    # adding zero makes of minus zero, which p = 1 has, a plain one
    return -normal_quantile(level / 2.0) + 0.0


def _check(fractions: Sequence[float], spent: Sequence[float]) -> None:
    for name, values in (("information fractions", fractions), ("spent alpha", spent)):
        if not values or values[0] <= 0 or any(np.diff(values) <= 0):
            raise ValueError(f"{name} must rise from above zero, got {list(values)}")


def _edge(at: Values, mass: Values, step: float, share: float, *, two_sided: bool) -> float:
    """The value of the score that is passed with a probability of `share`."""

    def excess(edge: float) -> float:
        passed = normal_cdfs((at - edge) / step)
        if two_sided:
            passed = passed + normal_cdfs((-edge - at) / step)
        return float(passed @ mass - share)

    return root(excess, 0.0, _FARTHEST)


def _carried(
    at: Values, mass: Values, step: float, between: tuple[float, float]
) -> tuple[Values, Values]:
    """Nodes between two scores, and the probability of having come there, one look later."""
    nodes, weights = quadrature()
    half = (between[1] - between[0]) / 2.0
    then = between[0] + half * (nodes + 1.0)
    kernel = np.exp(-0.5 * ((then[:, np.newaxis] - at) / step) ** 2)
    density = kernel @ mass / (step * np.sqrt(2.0 * np.pi))
    return then, density * weights * half

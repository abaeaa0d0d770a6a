"""The normal and the t distribution without scipy, to twelve digits or more.

The orchestrator takes looks while runs train, and scipy's special functions alone would take a
quarter of the memory that it may use. The tests hold each function to scipy's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import cache, lru_cache, reduce
from itertools import count, pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .roots import root

Values = NDArray[np.float64]

NODES = 256
"""Of a quadrature; with a thousand looks they still lie closer than one step of the process."""

_NORMAL = NormalDist()
_erfc = np.frompyfunc(math.erfc, 1, 1)
_LARGE = 100.0
"""Above it the asymptotic series is exact to the last bit, below it the gamma function is."""
_HALF_STEP = (1.0, -1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144, 869 / 4194304)


def normal_cdf(z: float) -> float:
    """P(Z ≤ z) of a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_cdfs(z: Values) -> Values:
    """`normal_cdf` of each value."""
    return 0.5 * np.asarray(_erfc(z / -math.sqrt(2.0)), float)


def normal_quantile(p: float) -> float:
    """The z with P(Z ≤ z) = p; infinite for 0 and 1."""
    if p in (0.0, 1.0):
        return math.copysign(math.inf, p - 0.5)
    return _NORMAL.inv_cdf(p)


def t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's t with `df` degrees of freedom, which need not be whole.

    By the continued fraction of the incomplete beta function (DLMF 8.17.22). NaN for a NaN.
    """
    if math.isnan(t) or math.isnan(df):
        return math.nan
    if t < 0.0:
        return 1.0 - t_tail(-t, df)
    half, square = df / 2.0, t * t / df
    inner, outer = 1.0 / (1.0 + square), square / (1.0 + square)
    if math.isinf(square):
        return 0.0
    density = math.exp(-half * math.log1p(square)) * math.sqrt(outer)
    density *= gamma_half_step(half) / math.sqrt(math.pi)
    if inner < (half + 1.0) / (half + 2.5):
        return density / (df * _beta_fraction(half, 0.5, inner))
    return 0.5 - density / _beta_fraction(0.5, half, outer)


@lru_cache(maxsize=128)
def t_limit(tail: float, df: float) -> float:
    """The t with P(T > t) = `tail`, which is a half at most; infinite for zero.

    Raises:
        ValueError: for another tail.
    """
    if not 0.0 <= tail <= 0.5:
        raise ValueError(f"a tail lies between 0 and 0.5, got {tail}")
    if tail == 0.0:
        return math.inf
    high = 1.0
    while t_tail(high, df) > tail:
        high *= 2.0
    return root(lambda t: t_tail(t, df) - tail, 0.0 if high == 1.0 else high / 2.0, high)


def noncentral_t_tail(t: float, df: float, shift: float) -> float:
    """P((Z + shift) / S > t) for t ≥ 0, with S² a chi-squared of `df` by `df`.

    The normal tail at t S - shift is averaged over S. Its step from one to zero may be far narrower
    than the distribution of S, or far wider: each side of it is a piece of the quadrature.
    """
    if t == 0.0:
        return normal_cdf(shift)
    middle, reach = math.sqrt(max(df - 1.0, 0.0) / df), 9.0 / math.sqrt(df)
    low, high = max(0.0, middle - reach), middle + reach
    step = ((shift - 9.0) / t, (shift + 9.0) / t)
    edges = (low, *(min(max(edge, low), high) for edge in step), high)
    nodes, weights = quadrature()
    whole = above = 0.0
    for start, end in pairwise(edges):
        at = start + (end - start) / 2.0 * (nodes + 1.0)
        with np.errstate(divide="ignore"):
            logarithm = (df - 1.0) * np.log(at / (middle or 1.0)) if df > 1.0 else 0.0
        density = np.exp(logarithm - df * (at**2 - middle**2) / 2.0)
        mass = density * weights * (end - start) / 2.0
        whole += float(mass.sum())
        above += float((mass * normal_cdfs(shift - t * at)).sum())
    return above / whole


def gamma_half_step(a: float) -> float:
    """Γ(a + ½) / Γ(a), without the cancellation of two logarithms."""
    if a < _LARGE:
        return math.gamma(a + 0.5) / math.gamma(a)
    return math.sqrt(a) * math.fsum(c / a**power for power, c in enumerate(_HALF_STEP))


@cache
def quadrature() -> tuple[Values, Values]:
    """Nodes and weights of Gauss-Legendre quadrature on [-1, 1], shape ``(NODES,)`` each."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction by which the incomplete beta function is divided.

    Gone through forwards until it converges (Lentz), and summed backwards, where nothing piles up.
    """
    terms, numerator, denominator = [], 1.0, 0.0
    for term in _beta_terms(a, b, x):
        terms.append(term)
        denominator = 1.0 / (1.0 + term * denominator)
        numerator = 1.0 + term / numerator
        if abs(numerator * denominator - 1.0) <= sys.float_info.epsilon:
            break
    return reduce(lambda below, term: 1.0 + term / below, reversed(terms), 1.0)


def _beta_terms(a: float, b: float, x: float) -> Iterator[float]:
    for m in count():
        if m:
            yield m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))

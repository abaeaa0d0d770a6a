"""Statistics on scores by seed: pure functions of one array per arm, one number per run.

An array has shape ``(n,)``, in units of the metric. Episodes are not seeds: they never enter here.
An effect is always variant minus baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from .distributions import gamma_half_step, normal_quantile, t_limit
from .relabelling import RELATIVE, all_relabellings, sorted_runs, studentised
from .roots import root
from .t_test_power import detectable_in_sd, fewest_seeds, t_test_power

Scores = Sequence[float] | NDArray[np.float64]
Interval = tuple[float, float]

POWER = 0.8
"""Power at which the minimum detectable effect is given."""
MAX_ENUMERATED = 200_000
"""Up to so many relabellings are all visited (10 seeds per arm give 184 756)."""
RANDOM_DRAWS = 20_000
"""Relabellings drawn where there are too many to visit."""
CELLS_AT_ONCE = 500_000
"""Of the table of drawn relabellings, so many numbers are in memory at a time."""
MAX_SEEDS = 10_000
"""More seeds per arm than this are never asked for."""

_TIE = 1e-9


def mean_difference(baseline: Scores, variant: Scores) -> float:
    """Difference of the arms' means over seeds, variant minus baseline."""
    return float(np.mean(variant) - np.mean(baseline))


def welch_interval(baseline: Scores, variant: Scores, level: float = 0.95) -> Interval | None:
    """Welch's t interval for the difference of means, in units of the metric.

    None with fewer than two runs in an arm, and for two samples without spread that differ:
    their standard error of zero says nothing about new seeds.
    """
    if min(len(baseline), len(variant)) < 2:
        return None
    if is_constant(baseline) and is_constant(variant):
        return _interval_without_spread(mean_difference(baseline, variant), variant)
    error, df = standard_error(baseline, variant)
    return _interval(mean_difference(baseline, variant), error, df, level)


def paired_interval(baseline: Scores, variant: Scores, level: float = 0.95) -> Interval | None:
    """Student's t interval for the mean of the differences by seed, in units of the metric.

    None with fewer than two pairs, and for equal differences other than zero.
    """
    differences = np.subtract(variant, baseline)
    if len(differences) < 2:
        return None
    if is_constant(differences):
        return _interval_without_spread(float(differences.mean()), variant)
    n = len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    return _interval(float(differences.mean()), error, n - 1, level)


def standard_error(baseline: Scores, variant: Scores) -> tuple[float, float]:
    """Of the difference of means, and its degrees of freedom (Welch 1947).

    With at least two runs in each arm, which vary in one of them.
    """
    arms = np.asarray(baseline, float), np.asarray(variant, float)
    scale = max(float(np.ptp(arm)) for arm in arms)  # no square is too large or too small
    parts = [float(np.var(arm / scale, ddof=1)) / len(arm) for arm in arms]
    whole = sum(parts)
    shares = [(part / whole) ** 2 / (len(arm) - 1) for part, arm in zip(parts, arms, strict=True)]
    return math.sqrt(whole) * scale, 1.0 / sum(shares)


def hedges_g(baseline: Scores, variant: Scores) -> float | None:
    """Standardised difference of means, free of small-sample bias (Hedges 1981, eq. 6a).

    None without at least two degrees of freedom or without spread.
    """
    n_baseline, n_variant = len(baseline), len(variant)
    df = n_baseline + n_variant - 2
    spread = pooled_sd(baseline, variant)
    if df < 2 or not spread:
        return None
    correction = gamma_half_step((df - 1) / 2) / math.sqrt(df / 2)
    return float(mean_difference(baseline, variant) / spread * correction)


def pooled_sd(baseline: Scores, variant: Scores) -> float | None:
    """Pooled standard deviation over seeds, zero without spread; None for < 2 runs in an arm."""
    n_baseline, n_variant = len(baseline), len(variant)
    if min(n_baseline, n_variant) < 2:
        return None
    if is_constant(baseline) and is_constant(variant):
        return 0.0
    squares = (n_baseline - 1) * np.var(baseline, ddof=1) + (n_variant - 1) * np.var(
        variant, ddof=1
    )
    return math.sqrt(float(squares) / (n_baseline + n_variant - 2))


def permutation_p(
    baseline: Scores, variant: Scores, generator: np.random.Generator
) -> float | None:
    """Two-sided p of the permutation test with the studentised (Welch) difference of means.

    Exact, by visiting every relabelling, while there are at most `MAX_ENUMERATED` of them; else
    from `RANDOM_DRAWS` draws of `generator`, the observed labels counted among them; swapped arms
    and another order give the same p. None for < 2 runs in an arm. After Janssen (1997).
    """
    fewer, more = sorted((np.asarray(baseline, float), np.asarray(variant, float)), key=len)
    if len(fewer) < 2:
        return None
    pooled, labels = sorted_runs(fewer, more)
    observed = np.abs(studentised(pooled[labels], len(fewer)))
    if math.comb(len(pooled), len(fewer)) <= MAX_ENUMERATED:
        orders = all_relabellings(len(pooled), len(fewer))
        return _share_as_extreme(np.abs(studentised(pooled[orders], len(fewer))), observed[0])
    statistics = [observed]
    for rows in _pieces(len(pooled)):
        # which runs come first is all that counts, not their order
        keys = generator.random((rows, len(pooled)))
        orders = np.argpartition(keys, len(fewer), axis=1)
        statistics.append(np.abs(studentised(pooled[orders], len(fewer))))
    return _share_as_extreme(np.concatenate(statistics), observed[0])


def paired_permutation_p(
    baseline: Scores, variant: Scores, generator: np.random.Generator
) -> float | None:
    """Two-sided p of the sign-flip test on the differences by seed.

    Exact while there are at most `MAX_ENUMERATED` sign patterns, else `RANDOM_DRAWS` of them.
    None with fewer than two pairs. The sum orders the patterns as their t statistic does.
    """
    differences = np.subtract(variant, baseline)
    n = len(differences)
    if n < 2:
        return None
    if 2**n <= MAX_ENUMERATED:
        tables: Iterable[NDArray[np.float64]] = [np.array(list(product((1.0, -1.0), repeat=n)))]
    else:
        draws = (generator.choice((1.0, -1.0), (rows, n)) for rows in _pieces(n))
        tables = chain([np.ones((1, n))], draws)
    scale = np.abs(differences).max()
    scaled = differences / scale if scale else differences
    sums = np.abs(np.concatenate([signs @ scaled for signs in tables]))
    return _share_as_extreme(sums, sums[0])


def smallest_attainable_p(n_baseline: int, n_variant: int, *, paired: bool = False) -> float:
    """The smallest two-sided p that the permutation test can give; 1 where there is no test."""
    if min(n_baseline, n_variant) < 2:
        return 1.0
    if paired:
        return 2.0 ** (1 - n_baseline)
    # with equal sizes the mirrored labels are as extreme as the observed ones
    extreme = 2 if n_baseline == n_variant else 1
    return extreme / math.comb(n_baseline + n_variant, n_baseline)


def seeds_needed(alpha: float, *, paired: bool = False) -> int:
    """The fewest seeds per arm with which the permutation test can reach p ≤ alpha.

    Raises:
        ValueError: when alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    n = 2
    while smallest_attainable_p(n, n, paired=paired) > alpha:
        n += 1
    return n


def minimum_detectable_effect(
    n_per_arm: int, alpha: float = 0.05, power: float = POWER, *, paired: bool = False
) -> float | None:
    """The effect that a two-sided t-test shows with the given power, in standard deviations.

    With `paired`, in standard deviations of the differences by seed. None for fewer than two.
    """
    if n_per_arm < 2:
        return None
    return detectable_in_sd(n_per_arm, alpha, power, paired=paired)


def seeds_for_effect(
    effect_in_sd: float, alpha: float = 0.05, power: float = POWER, *, paired: bool = False
) -> int | None:
    """The fewest seeds per arm that show an effect with the given power; None above `MAX_SEEDS`."""
    if effect_in_sd <= 0:
        return None

    def enough(n: int) -> bool:
        return t_test_power(effect_in_sd, n, alpha, paired=paired) >= power

    return fewest_seeds(enough, 2, MAX_SEEDS)


def probability_of_improvement(
    baseline: Scores, variant: Scores, level: float = 0.95
) -> tuple[float, Interval]:
    """P(a variant run scores higher than a baseline run), ties half, with its interval.

    The estimate is U/(n·m); the interval solves (θ̂ - θ)² = z² V(θ) with the variance of
    Newcombe (2006, Statistics in Medicine 25, 559-573, method 5).
    """
    n_baseline, n_variant = len(baseline), len(variant)
    ascending = np.sort(baseline)
    below, not_above = (np.searchsorted(ascending, variant, side) for side in ("left", "right"))
    estimate = float(below.sum() + not_above.sum()) / (2 * n_baseline * n_variant)
    return estimate, _newcombe_interval(estimate, n_baseline, n_variant, level)


def correlation(baseline: Scores, variant: Scores) -> float | None:
    """Pearson correlation of the arms over equal seeds; None for < 3 pairs or without spread."""
    if len(baseline) != len(variant) or len(baseline) < 3:
        return None
    if is_constant(baseline) or is_constant(variant):
        return None
    return float(np.corrcoef(baseline, variant)[0, 1])


def is_constant(scores: Scores) -> bool:
    """Whether all runs scored the same, but for rounding."""
    values = np.asarray(scores, float)
    return bool(np.ptp(values) <= RELATIVE * np.abs(values).max())


def _pieces(columns: int) -> Iterator[int]:
    """The random draws in pieces of so many rows each; numbers drawn stay the same ones."""
    most = max(1, CELLS_AT_ONCE // columns)
    for start in range(0, RANDOM_DRAWS, most):
        yield min(most, RANDOM_DRAWS - start)


def _interval(middle: float, error: float, df: float, level: float) -> Interval:
    half = t_limit((1.0 - level) / 2.0, df) * error
    return middle - half, middle + half


def _interval_without_spread(difference: float, scores: Scores) -> Interval | None:
    equal = abs(difference) <= RELATIVE * float(np.abs(np.asarray(scores, float)).max())
    return (0.0, 0.0) if equal else None


def _share_as_extreme(statistics: NDArray[np.float64], observed: float) -> float:
    """Share of the statistics that reach the observed one; rounding makes no ties."""
    threshold = observed * (1.0 - _TIE) - RELATIVE
    return float(np.mean(statistics >= threshold))


def _newcombe_interval(estimate: float, n_baseline: int, n_variant: int, level: float) -> Interval:
    z = normal_quantile(0.5 + level / 2)
    half = (n_baseline + n_variant) / 2

    def excess(theta: float) -> float:
        bracket = 2 * half - 1 - (3 * half - 3) / ((2 - theta) * (1 + theta))
        variance = theta * (1 - theta) * bracket / (n_baseline * n_variant)
        return float((theta - estimate) ** 2 - z**2 * variance)

    edge = 1e-12
    low = root(excess, 0.0, min(estimate, 1 - edge)) if estimate > 0 else 0.0
    high = root(excess, max(estimate, edge), 1.0) if estimate < 1 else 1.0
    return low, high

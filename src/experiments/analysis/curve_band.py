"""A band about the difference of two arms' learning curves that holds at all steps at once.

A test at each step finds a difference somewhere on a third of all pairs of equal algorithms. Here
the largest |t| over the steps is compared with the largest |t| of relabelled runs, so that a pair
of equal algorithms leaves the band anywhere with probability alpha (Westfall & Young 1993,
Resampling-Based Multiple Testing, section 2.3; single-step max-T).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .relabelling import RELATIVE, all_relabellings
from .statistics import smallest_attainable_p

Values = NDArray[np.float64]

MAX_ENUMERATED = 5000
"""Up to so many relabellings are all visited (7 seeds per arm give 3432)."""
RANDOM_DRAWS = 2000
"""Relabellings drawn where there are too many to visit."""
CELLS_AT_ONCE = 500_000
"""Of the tables of relabellings, so many numbers are in memory at a time."""

_TIE = 1e-9


@dataclass(frozen=True)
class CurveBand:
    """The difference of two mean curves, variant minus baseline, with its simultaneous band."""

    steps: Values
    """Shape ``(points,)``, as everything below, in units of the returns."""
    difference: Values
    low: Values
    high: Values
    level: float
    """With this probability the band covers the true difference at every step together."""
    p_value: float
    """Of the largest |t| over all steps: whether the curves differ anywhere."""
    relabellings: int
    is_exact: bool
    """Whether every relabelling was visited."""

    @property
    def apart(self) -> NDArray[np.bool_]:
        """The steps at which the band excludes zero, shape ``(points,)``."""
        return (self.low > 0) | (self.high < 0)


def difference_band(
    steps: Values,
    baseline: Values,
    variant: Values,
    alpha: float,
    generator: np.random.Generator,
    *,
    paired: bool = False,
) -> CurveBand | None:
    """The band from curves of shape ``(runs, points)`` an arm, one row for each seed.

    Labels are permuted over whole curves, with Welch's t at each step; with `paired` the signs of
    the differences by seed are flipped, with Student's t. None where so few seeds leave no
    relabelling that could be significant, or where arms differ at a step and neither varies there:
    an error of zero says nothing about new seeds.
    """
    least = smallest_attainable_p(len(baseline), len(variant), paired=paired)
    if least > alpha or not len(steps):
        return None
    if paired:
        difference, error, largest = _over_signs(variant - baseline, generator)
    else:
        difference, error, largest = _over_labels(baseline, variant, generator)
    exceeding = math.floor(alpha * len(largest) + _TIE)
    critical = np.sort(largest)[len(largest) - 1 - exceeding] * (1 + _TIE)
    if not math.isfinite(critical) or (error[difference != 0] == 0).any():
        return None
    return CurveBand(
        steps=steps,
        difference=difference,
        low=difference - critical * error,
        high=difference + critical * error,
        level=1 - alpha,
        p_value=float(np.mean(largest >= largest[0] * (1 - _TIE))),
        relabellings=len(largest),
        is_exact=len(largest) == _relabellings(len(baseline), len(variant), paired=paired),
    )


def welch_t(table: Values, first: Values) -> tuple[Values, Values, Values]:
    """Differences of means, their standard errors and Welch's t, each ``(rows, points)``.

    `table` has a run a row, ``(runs, points)``; a row of `first`, ``(rows, runs)``, is 1 for the
    runs of the first arm and 0 for the others. Without spread t is 0, or infinite for a difference.
    """
    n, total = first.sum(axis=1, keepdims=True), len(table)
    squares = table**2
    sums, square_sums = first @ table, first @ squares
    rest, square_rest = table.sum(axis=0) - sums, squares.sum(axis=0) - square_sums
    variance = (square_sums - sums**2 / n) / (n - 1) / n
    variance += (square_rest - rest**2 / (total - n)) / (total - n - 1) / (total - n)
    difference = sums / n - rest / (total - n)
    return (difference, *_divided(difference, variance, squares.mean(axis=0)))


def student_t(table: Values, signs: Values) -> tuple[Values, Values, Values]:
    """The same for differences by seed, ``(seeds, points)``, under rows of signs ±1."""
    n = len(table)
    mean = signs @ table / n
    square = (table**2).mean(axis=0)
    variance = (square - mean**2) / (n - 1)
    return (mean, *_divided(mean, variance, square))


def _divided(difference: Values, variance: Values, square: Values) -> tuple[Values, Values]:
    """Standard errors and t; `square` is the mean square at each step, the measure of rounding."""
    has_spread = variance > RELATIVE * square
    error = np.sqrt(np.where(has_spread, variance, 0.0))
    t = np.where(np.abs(difference) <= _TIE * np.sqrt(square), 0.0, np.inf)
    np.divide(np.abs(difference), error, out=t, where=has_spread)
    return error, t


def _over_labels(
    baseline: Values, variant: Values, generator: np.random.Generator
) -> tuple[Values, Values, Values]:
    """Difference and standard error at each step, and the largest |t| of every relabelling."""
    table = np.concatenate([variant, baseline])
    table = table - table.mean(axis=0)
    observed = np.zeros((1, len(table)))
    observed[0, : len(variant)] = 1.0
    difference, error, t = welch_t(table, observed)
    pieces = _labels(len(variant), table, generator)
    largest = [welch_t(table, labels)[2].max(axis=1) for labels in pieces]
    return difference[0], error[0], np.concatenate([t.max(axis=1), *largest])


def _over_signs(
    differences: Values, generator: np.random.Generator
) -> tuple[Values, Values, Values]:
    difference, error, t = student_t(differences, np.ones((1, len(differences))))
    pieces = _signs(differences, generator)
    largest = [student_t(differences, signs)[2].max(axis=1) for signs in pieces]
    return difference[0], error[0], np.concatenate([t.max(axis=1), *largest])


def _labels(n_first: int, table: Values, generator: np.random.Generator) -> Iterator[Values]:
    """Relabellings other than the observed one, ``(rows, runs)``, 1 for the first arm's runs."""
    total = len(table)
    if _relabellings(n_first, total - n_first, paired=False) <= MAX_ENUMERATED:
        # the first one has the labels as they were
        yield _ones_at(all_relabellings(total, n_first)[1:, :n_first], total)
        return
    for rows in _pieces(table):
        keys = generator.random((rows, total))
        yield _ones_at(np.argpartition(keys, n_first, axis=1)[:, :n_first], total)


def _signs(table: Values, generator: np.random.Generator) -> Iterator[Values]:
    n = len(table)
    if _relabellings(n, n, paired=True) <= MAX_ENUMERATED:
        yield np.array(list(product((1.0, -1.0), repeat=n)))[1:]
        return
    for rows in _pieces(table):
        yield generator.choice((1.0, -1.0), (rows, n))


def _ones_at(places: NDArray[np.intp], columns: int) -> Values:
    ones = np.zeros((len(places), columns))
    np.put_along_axis(ones, places, 1.0, axis=1)
    return ones


def _pieces(table: Values) -> Iterator[int]:
    """The random draws, of which the observed labels are one, in pieces of so many rows each."""
    most = max(1, CELLS_AT_ONCE // max(table.shape))
    for start in range(1, RANDOM_DRAWS, most):
        yield min(most, RANDOM_DRAWS - start)


def _relabellings(n_baseline: int, n_variant: int, *, paired: bool) -> int:
    return 2**n_baseline if paired else math.comb(n_baseline + n_variant, n_baseline)

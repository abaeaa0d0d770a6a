"""The boundaries that spend α, against published ones and against their definition."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy

from src.experiments.analysis.spending import (
    critical_values,
    power_family,
    two_sided_level,
    two_sided_value,
)

from .published import half_a_digit, needs_published_data, rows


def obrien_fleming(fraction, alpha):
    """Lan & DeMets' spending function that looks like O'Brien and Fleming's boundary."""
    return 2 * scipy.stats.norm.sf(scipy.stats.norm.isf(alpha / 2) / math.sqrt(fraction))


@needs_published_data
def test_the_published_bounds_are_reproduced():
    designs = rows("reference_bounds.csv")
    assert len(designs) == 2
    for row in designs:
        alpha = float(row["design"].rsplit(" ", 1)[1])
        looks = [float(Fraction(look)) for look in row["looks"].split()]
        printed = [row[f"z{k}"] for k in range(1, 5) if row[f"z{k}"]]
        spent = [obrien_fleming(look, alpha) for look in looks]

        values = critical_values(looks, spent, two_sided=False)
        for value, digits in zip(values, printed, strict=True):
            # three digits alone tell a bound to 5e-4
            assert value == pytest.approx(float(digits), abs=max(4e-4, half_a_digit(digits)))


def nominal_levels(fractions, alpha):
    """The two-sided p at or below which each look rejects (Lan & DeMets 1983)."""
    spent = [power_family(fraction, alpha) for fraction in fractions]
    return [two_sided_level(value) for value in critical_values(fractions, spent)]


@pytest.mark.parametrize(
    ("looks", "levels"),
    [
        ((4, 6, 8, 10), (0.0080, 0.0137, 0.0228, 0.0347)),
        ((5, 8, 11, 14, 17, 20), (0.0031, 0.0061, 0.0105, 0.0163, 0.0236, 0.0323)),
    ],
)
def test_the_nominal_levels_are_the_specified_ones(looks, levels):
    fractions = [look / looks[-1] for look in looks]

    assert nominal_levels(fractions, 0.05) == pytest.approx(list(levels), abs=5.5e-5)


def test_a_single_look_spends_everything_at_once():
    assert nominal_levels([1.0], 0.05) == pytest.approx([0.05])


def test_two_looks_at_half_and_full_data_are_those_of_the_bivariate_normal():
    first, second = critical_values([0.5, 1.0], [power_family(0.5, 0.05), 0.05])
    covariance = [[1.0, math.sqrt(0.5)], [math.sqrt(0.5), 1.0]]
    inside = scipy.stats.multivariate_normal([0.0, 0.0], covariance).cdf(
        [first, second], lower_limit=[-first, -second]
    )

    assert inside == pytest.approx(0.95, abs=1e-6)


def test_brownian_paths_leave_the_boundaries_at_the_rate_that_is_spent():
    fractions = np.array([0.3, 0.55, 0.8, 1.0])
    steps = np.sqrt(np.diff(fractions, prepend=0.0))
    scores = np.cumsum(np.random.default_rng(2).standard_normal((40_000, 4)) * steps, axis=1)
    values = critical_values(fractions.tolist(), [0.05 * f**2 for f in fractions])

    for look in range(4):
        passed = (
            np.abs(scores[:, : look + 1]) / np.sqrt(fractions[: look + 1]) >= values[: look + 1]
        )
        rate, spent = passed.any(axis=1).mean(), 0.05 * fractions[look] ** 2
        assert rate == pytest.approx(spent, abs=4 * math.sqrt(spent / 40_000))


def test_looks_that_lie_close_together_lose_no_accuracy():
    few = critical_values([0.5, 1.0], [0.0125, 0.05])
    # the looks between them spend next to nothing
    fractions = [0.5, *(0.5 + 0.005 * k for k in range(1, 100)), 1.0]
    spent = [0.0125, *(0.0125 + 1e-9 * k for k in range(1, 100)), 0.05]
    many = critical_values(fractions, spent)

    assert (many[0], many[-1]) == pytest.approx(few, abs=1e-4)


def test_levels_and_values_of_z_are_each_others_inverse():
    assert two_sided_level(1.959964) == pytest.approx(0.05, abs=1e-7)
    assert two_sided_value(0.05) == pytest.approx(1.959964, abs=1e-6)
    assert str(two_sided_value(1.0)) == "0.0"


@pytest.mark.parametrize(
    ("fractions", "spent"),
    [([], []), ([0.0, 1.0], [0.01, 0.05]), ([0.5, 0.5], [0.01, 0.05]), ([0.5, 1.0], [0.05, 0.05])],
)
def test_looks_that_do_not_rise_are_refused(fractions, spent):
    with pytest.raises(ValueError, match="must rise from above zero"):
        critical_values(fractions, spent)

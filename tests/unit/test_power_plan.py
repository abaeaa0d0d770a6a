"""Seeds that an effect takes: against published figures, simulation-free."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from src.experiments.analysis.power import (
    FEWEST,
    MOST,
    Spread,
    paired_spread,
    plan,
    pooled_spread,
    seeds_for,
    t_test_power,
    usable_alpha,
)
from src.experiments.analysis.statistics import MAX_SEEDS, permutation_p


def test_the_smallest_effects_shown_are_the_published_ones() -> None:
    rows = {row.n: row for row in plan(1.0).rows}

    # in standard deviations, 80 % power, alpha 0.05, two-sided
    expected = {3: 3.07, 5: 2.02, 10: 1.32, 15: 1.06, 20: 0.91}
    assert {n: round(rows[n].detectable_in_sd, 2) for n in expected} == expected
    assert list(rows) == list(range(FEWEST, MOST + 1))


def test_effects_scale_with_the_spread() -> None:
    one, ten = plan(1.0, 1.5), plan(10.0, 15.0)

    assert ten.seeds == one.seeds
    assert ten.effect_in_sd == one.effect_in_sd == 1.5
    for small, large in zip(one.rows, ten.rows, strict=True):
        assert large.detectable == pytest.approx(10 * small.detectable)
        assert large.power == pytest.approx(small.power)


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 64), (0.8, 26), (1.0, 17), (2.0, 6)])
def test_seeds_for_an_effect_are_those_of_cohens_tables(effect: float, seeds: int) -> None:
    # Cohen (1988), table 2.4.1: alpha 0.05 two-sided, power 0.80
    found = plan(1.0, effect)

    assert found.seeds == seeds
    if seeds <= MOST:
        row = found.rows[seeds - FEWEST]
        assert row.power is not None
        assert row.power >= 0.8 > (found.rows[seeds - FEWEST - 1].power or 0.0)
        assert row.detectable_in_sd <= effect


def test_nothing_is_planned_below_what_the_permutation_test_can_decide() -> None:
    found = plan(1.0, 20.0)

    assert found.seeds == found.fewest == 4
    assert [row.can_decide for row in found.rows[:3]] == [False, True, True]
    assert found.rows[0].power == 0.0
    assert plan(1.0, 20.0, alpha=0.01).seeds == 5
    assert plan(1.0, 20.0, paired=True).seeds == 6


def test_an_effect_that_no_affordable_number_shows_has_none() -> None:
    assert plan(1.0, 1e-3).seeds is None
    # 2 (1.96 + 0.84)² / d² seeds
    just = math.sqrt(2 * (1.959964 + 0.841621) ** 2 / MAX_SEEDS)
    assert seeds_for(1.05 * just, 1.0, alpha=0.05, power=0.8) == pytest.approx(
        MAX_SEEDS / 1.05**2, rel=0.01
    )
    assert seeds_for(0.95 * just, 1.0, alpha=0.05, power=0.8) is None


@pytest.mark.parametrize(("effect", "n"), [(0.01, 3), (0.7, 3), (3.0, 4), (0.7, 8), (0.5, 30)])
def test_the_power_is_that_of_the_t_test(effect: float, n: int) -> None:
    assert t_test_power(effect, n, 0.05) == pytest.approx(TTestIndPower().power(effect, n, 0.05))
    assert t_test_power(effect, n, 0.01, paired=True) == pytest.approx(
        TTestPower().power(effect, n, 0.01)
    )


@pytest.mark.parametrize(
    ("n", "alpha", "paired", "usable"),
    [
        (3, 0.05, False, 0.0),
        (4, 0.05, False, 2 / 70),
        (5, 0.05, False, 0.05),  # 12 of 252 relabellings: 0.0476
        (5, 0.01, False, 2 / 252),
        (5, 0.05, True, 0.0),
        (6, 0.05, True, 2 / 64),
        (3, 0.1, False, 0.1),
        (20, 0.05, False, 0.05),
    ],
)
def test_few_seeds_can_use_a_part_of_alpha_alone(
    n: int, alpha: float, paired: bool, usable: float
) -> None:
    assert usable_alpha(n, alpha, paired=paired) == pytest.approx(usable)


@pytest.mark.parametrize(("n", "experiments", "expected"), [(4, 2000, 0.76), (5, 1000, 0.79)])
def test_the_permutation_test_has_nearly_the_power_that_is_planned(
    n: int, experiments: int, expected: float
) -> None:
    generator = np.random.default_rng(2030)
    effect = plan(1.0).rows[n - FEWEST].detectable_in_sd

    p_values = [
        permutation_p(generator.normal(size=n), generator.normal(effect, 1, n), generator)
        for _ in range(experiments)
    ]

    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(expected, abs=0.03)


def test_the_power_of_an_enormous_effect_is_one() -> None:
    assert t_test_power(1e3, 30, 0.05) == 1.0
    assert t_test_power(1e9, 3, 1e-6) == 1.0


@pytest.mark.parametrize("alpha", [1e-4, 0.01, 0.5])
@pytest.mark.parametrize("paired", [False, True])
def test_each_row_can_be_told_for_any_alpha(alpha: float, paired: bool) -> None:
    effects = [
        row.detectable for row in plan(2.0, 1.0, alpha=alpha, power=0.95, paired=paired).rows
    ]

    assert all(math.isfinite(effect) and effect > 0 for effect in effects)
    assert effects == sorted(effects, reverse=True)


def test_the_spread_is_pooled_about_each_arms_own_mean() -> None:
    spread = pooled_spread([[1.0, 2.0, 3.0], [104.0, 108.0], [7.0]])

    # squares 2 and 8 over 2 + 1 degrees of freedom
    assert spread is not None
    assert (spread.sd, spread.df) == (pytest.approx(math.sqrt(10 / 3)), 3)
    assert pooled_spread([[1.0], [2.0]]) is None
    assert pooled_spread([[0.1] * 3, [0.3] * 3]) == Spread(0.0, 4)


def test_a_paired_spread_is_that_of_the_differences() -> None:
    spread = paired_spread([1.0, 5.0, 9.0], [3.0, 8.0, 13.0])

    assert spread is not None
    assert (spread.sd, spread.df) == (pytest.approx(1.0), 2)


def test_a_pilots_spread_may_be_larger_by_its_chi_square_limit() -> None:
    # 10 df: the 20 % point of chi-square is 6.179
    assert Spread(2.0, 10).upper == pytest.approx(2.0 * math.sqrt(10 / 6.179), rel=1e-4)
    assert Spread(2.0, 1000).upper == pytest.approx(2.0, rel=0.03)

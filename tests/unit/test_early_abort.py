"""When a hopeless variant is ended in mid-training."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from src.experiments.analysis.early_abort import (
    AbortRule,
    cost_of,
    look_for_abort,
    worse_p,
)

GOOD, POOR = [100.0, 101.0, 99.0, 102.0, 98.0], [10.0, 12.0, 9.0, 11.0, 8.0]


def test_a_variant_that_is_far_behind_is_ended():
    look = look_for_abort(GOOD, POOR, 0.5)

    assert look.abort
    assert look.p_value < 1e-6
    assert (look.fraction, look.n_baseline, look.n_variant) == (0.5, 5, 5)
    assert look.effect == pytest.approx(-90.0)


def test_a_variant_that_is_far_ahead_goes_on():
    look = look_for_abort(POOR, GOOD, 0.5)

    assert not look.abort
    assert look.p_value > 0.99


def test_four_seeds_of_an_arm_are_too_few_for_the_welch_rule():
    look = look_for_abort(GOOD, POOR[:4], 0.5)

    assert (look.abort, look.p_value) == (False, None)


def test_where_less_is_better_the_higher_arm_is_the_hopeless_one():
    assert look_for_abort(POOR, GOOD, 0.5, direction="minimize").abort
    assert not look_for_abort(GOOD, POOR, 0.5, direction="minimize").abort


def test_the_one_sided_p_is_that_of_welchs_test():
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=6), rng.normal(-0.5, 3, 8)
    expected = scipy.stats.ttest_ind(variant, baseline, equal_var=False, alternative="less").pvalue

    assert worse_p(baseline, variant) == pytest.approx(expected)
    assert worse_p(baseline, variant, "minimize") == pytest.approx(1 - expected)


def test_arms_without_spread_are_compared_by_their_values():
    assert worse_p([5.0] * 5, [3.0] * 5) == 0.0
    assert worse_p([3.0] * 5, [5.0] * 5) == 1.0
    assert worse_p([5.0] * 5, [5.0] * 5) == 1.0
    assert worse_p([0.3] * 5, [0.1 + 0.2] * 5, "minimize") == 1.0


def test_equal_arms_are_ended_as_rarely_as_the_rule_says():
    rng = np.random.default_rng(2)
    ended = np.mean(
        [look_for_abort(rng.normal(size=5), rng.normal(size=5), 0.5).abort for _ in range(4000)]
    )

    # one per cent, with a binomial error of 0.16 %; Welch's test is a little conservative here
    assert 0.004 <= ended <= 0.0145


def test_the_habit_ends_a_variant_for_being_behind():
    habit = AbortRule.WORSE_THAN_BASELINE

    assert look_for_abort([2.0], [1.0], 0.2, habit).abort
    assert not look_for_abort([1.0], [2.0], 0.2, habit).abort
    assert look_for_abort([1.0], [2.0], 0.2, habit, "minimize").abort
    assert not look_for_abort([1.0], [1.0], 0.2, habit).abort
    assert not look_for_abort([1.0], [], 0.2, habit).abort


def test_a_look_is_plain_data_and_each_rule_says_what_it_costs():
    assert look_for_abort(GOOD, POOR, 0.75).to_dict()["rule"] == "welch"
    assert AbortRule("worse_than_baseline") is AbortRule.WORSE_THAN_BASELINE
    assert "18 % of the better ones" in cost_of(AbortRule.WORSE_THAN_BASELINE)
    assert "p < 0.01" in cost_of(AbortRule.WELCH)

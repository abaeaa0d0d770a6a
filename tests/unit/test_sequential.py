"""What a look says and whether it ends the experiment."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis import statistics
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sequential import (
    Decision,
    decide,
    follow,
    predictive_power,
    stopped_early,
    take_look,
)
from src.experiments.analysis.spending import two_sided_value

PLAN = plan_looks(4, 2, 10)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# --- one look ----------------------------------------------------------------------------------


def test_a_look_reports_effect_p_boundary_and_repeated_interval(generator):
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=6), rng.normal(0.8, 1, 6)
    look = PLAN.look_at(6)

    taken = take_look(baseline, variant, PLAN, generator)
    assert (taken.n_per_arm, taken.effect) == (6, pytest.approx(variant.mean() - baseline.mean()))
    assert (taken.nominal_level, taken.critical_value) == (look.nominal_level, look.critical_value)
    assert taken.statistic == pytest.approx(scipy.stats.norm.isf(taken.p_value / 2))
    assert taken.level == pytest.approx(1 - look.nominal_level)
    assert taken.interval == statistics.welch_interval(baseline, variant, 1 - look.nominal_level)
    assert json.loads(json.dumps(taken.to_dict()))["n_per_arm"] == 6


def test_where_the_test_does_not_look_there_is_no_interval(generator):
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=4), rng.normal(0.8, 1, 4)

    taken = take_look(baseline, variant, PLAN, generator)

    assert (taken.nominal_level, taken.interval) == (None, None)


@pytest.mark.parametrize("asked", [(4, 2, 10), (2, 2, 10), (4, 1, 20)])
def test_the_intervals_of_all_looks_together_hold_as_often_as_was_promised(asked):
    plan = plan_looks(*asked)
    draws = np.random.default_rng(1).normal(size=(100_000, plan.max_seeds)).cumsum(axis=1)
    missed = np.zeros(len(draws), bool)
    for n in plan.points:
        example = take_look(np.arange(n) * 1.0, np.arange(n) + 0.5, plan, np.random.default_rng(0))
        if example.interval is not None:
            missed |= abs(draws[:, n - 1]) > math.sqrt(n) * two_sided_value(1 - example.level)

    assert missed.mean() == pytest.approx(plan.alpha, abs=0.0015)


def test_separated_arms_are_told_apart_by_the_first_look_that_can(generator):
    taken = take_look(np.arange(6.0), np.arange(6.0) + 100, PLAN, generator)

    assert taken.decision is Decision.REJECT
    assert taken.p_value == pytest.approx(2 / 420)


def test_an_earlier_look_ends_for_futility_alone(generator):
    apart = take_look(np.arange(4.0), np.arange(4.0) + 100, PLAN, generator)
    alike = take_look(np.arange(4.0), np.arange(4.0)[::-1], PLAN, generator)

    assert apart.nominal_level is None
    assert apart.critical_value is None
    assert apart.decision is Decision.GO_ON
    assert alike.decision is Decision.FUTILITY
    assert apart.level == pytest.approx(1 - 0.05 * 0.4**2)


def test_the_last_look_knows_no_future(generator):
    rng = np.random.default_rng(2)
    taken = take_look(rng.normal(size=10), rng.normal(size=10), PLAN, generator)

    assert taken.predictive_power is None
    assert taken.decision is Decision.LAST_LOOK


def test_runs_without_spread_have_no_interval_and_a_test(generator):
    same = take_look([5.0] * 6, [5.0] * 6, PLAN, generator)
    different = take_look([5.0] * 6, [7.0] * 6, PLAN, generator)

    assert (same.p_value, same.interval, same.statistic) == (1.0, (0.0, 0.0), 0.0)
    assert same.decision is Decision.FUTILITY
    assert (different.decision, different.interval) == (Decision.REJECT, None)


def test_a_paired_plan_looks_at_the_differences_by_seed(generator):
    plan = plan_looks(6, 3, 12, paired=True)
    rng = np.random.default_rng(3)
    seeds = rng.normal(0, 10, 9)
    baseline, variant = seeds + rng.normal(0, 0.1, 9), seeds + rng.normal(1, 0.1, 9)

    taken = take_look(baseline, variant, plan, generator)
    assert taken.decision is Decision.REJECT
    assert taken.p_value == pytest.approx(2.0**-8)
    assert taken.interval == statistics.paired_interval(baseline, variant, taken.level)


def test_no_look_is_taken_where_none_is_planned(generator):
    with pytest.raises(ValueError, match="5 and 5 scores: looks are planned after 4, 6, 8, 10"):
        take_look([1.0] * 5, [1.0] * 5, PLAN, generator)
    with pytest.raises(ValueError, match="6 and 4 scores"):
        take_look([1.0] * 6, [1.0] * 4, PLAN, generator)


# --- the decision ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "level", "promise", "decision"),
    [
        (0.01, 0.01, 0.9, Decision.REJECT),
        (0.01, 0.01, None, Decision.REJECT),
        (0.011, 0.01, 0.9, Decision.GO_ON),
        (0.9, 0.01, 0.0999, Decision.FUTILITY),
        (0.9, 0.01, 0.1, Decision.GO_ON),
        (0.9, 0.01, None, Decision.LAST_LOOK),
        (0.001, None, 0.9, Decision.GO_ON),
        (0.9, None, 0.01, Decision.FUTILITY),
    ],
)
def test_the_decision_follows_from_level_and_promise(p, level, promise, decision):
    assert decide(p, level, promise) is decision


def test_a_rejection_comes_before_equivalence_and_equivalence_before_all_else():
    assert decide(0.01, 0.01, 0.9, is_equivalent=True) is Decision.REJECT
    for promise in (0.9, 0.01, None):
        assert decide(0.9, 0.01, promise, is_equivalent=True) is Decision.EQUIVALENT
    assert Decision.EQUIVALENT.ends


def test_an_interval_inside_the_margin_ends_the_looks():
    values = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.02, 0.98, 1.01, 0.99])
    other = values[::-1] + 0.05

    wide, narrow = (follow(values, other, PLAN, 1, margin=margin) for margin in (1.0, 0.01))

    # where the test does not look there is no interval, and nothing is given up
    assert [look.decision for look in wide] == [Decision.GO_ON, Decision.EQUIVALENT]
    assert narrow[0].decision is Decision.GO_ON
    assert all(look.decision is not Decision.EQUIVALENT for look in narrow)
    assert follow(values, other, PLAN, 1)[-1].decision is not Decision.EQUIVALENT


def test_futility_need_not_be_followed():
    assert decide(0.9, 0.01, 0.01, use_futility=False) is Decision.GO_ON
    assert not Decision.GO_ON.ends
    assert Decision.FUTILITY.ends


def test_the_predictive_power_is_its_formula():
    # f = 0.36, √f = 0.6, B = 0.6, B/f = 5/3, √(0.64/0.36) = 4/3: 1 - Φ((2 - 5/3)/(4/3))
    expected = scipy.stats.norm.sf(0.25)

    assert predictive_power(1.0, 0.36, 2.0) == pytest.approx(expected)
    assert predictive_power(-1.0, 0.36, 2.0) == pytest.approx(expected)


def test_the_predictive_power_is_the_share_of_futures_that_pass_the_boundary():
    rng = np.random.default_rng(5)
    z, f, c = 1.4, 0.5, 2.1
    # a flat prior on the drift: after B(f) = z √f it is normal about B/f with variance 1/f
    drift = rng.normal(z / math.sqrt(f), 1 / math.sqrt(f), 200_000)
    end = z * math.sqrt(f) + drift * (1 - f) + rng.normal(0, math.sqrt(1 - f), 200_000)

    assert predictive_power(z, f, c) == pytest.approx(np.mean(end > c), abs=0.005)


# --- look after look ---------------------------------------------------------------------------


def test_looks_end_with_the_first_that_decides():
    rng = np.random.default_rng(6)
    baseline, variant = rng.normal(size=10), rng.normal(5, 1, 10)

    taken = follow(baseline, variant, PLAN, 1)
    assert [look.n_per_arm for look in taken] == [4, 6]
    assert [look.decision for look in taken] == [Decision.GO_ON, Decision.REJECT]
    assert stopped_early(taken, PLAN)


def test_seeds_beyond_the_look_that_decides_change_nothing():
    rng = np.random.default_rng(6)
    baseline, variant = rng.normal(size=10), rng.normal(5, 1, 10)
    spoilt = variant.copy()
    spoilt[6:] = -1e6

    assert follow(baseline, spoilt, PLAN, 1) == follow(baseline, variant, PLAN, 1)


def test_a_look_waits_for_both_arms():
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=10), rng.normal(1.2, 1, 10)

    assert follow(baseline, variant[:3], PLAN, 1) == ()
    partly = follow(baseline, variant[:7], PLAN, 1)
    assert [look.n_per_arm for look in partly] == [4, 6]


def test_a_look_taken_again_says_the_same():
    rng = np.random.default_rng(7)
    plan = plan_looks(8, 4, 24)
    baseline, variant = rng.normal(size=24), rng.normal(0.5, 1, 24)

    whole = follow(baseline, variant, plan, 1, use_futility=False)
    piecewise = follow(baseline[:16], variant[:16], plan, 1, use_futility=False)
    assert piecewise == whole[: len(piecewise)]
    assert len(piecewise) == 3


def test_a_rejection_at_the_last_look_is_not_an_early_one():
    rng = np.random.default_rng(6)
    plan = plan_looks(10, 2, 10)

    taken = follow(rng.normal(size=10), rng.normal(5, 1, 10), plan, 1)
    assert taken[-1].decision is Decision.REJECT
    assert not stopped_early(taken, plan)
    assert not stopped_early((), plan)


SCORES = st.integers(-1000, 1000).map(lambda value: value / 10)
ARMS = st.lists(st.tuples(SCORES, SCORES), min_size=10, max_size=10)


def arms(pairs):
    baseline, variant = np.array(pairs).T
    return baseline, variant + 40.0


@settings(deadline=None, max_examples=20)
@given(ARMS)
def test_swapped_arms_give_the_mirrored_verdict(pairs):
    baseline, variant = arms(pairs)
    there, back = follow(baseline, variant, PLAN, 1), follow(variant, baseline, PLAN, 1)

    assert len(there) == len(back)
    for one, other in zip(there, back, strict=True):
        assert other.effect == pytest.approx(-one.effect)
        assert (other.p_value, other.decision) == (one.p_value, one.decision)
        if one.effect:
            assert other.statistic == -one.statistic
        if one.interval:
            assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))


@settings(deadline=None, max_examples=20)
@given(ARMS, st.sampled_from([0.001, 0.3, 2.0, 1000.0]), st.integers(-100, 100))
def test_other_units_give_the_same_verdict(pairs, scale, offset):
    baseline, variant = arms(pairs)
    before = follow(baseline, variant, PLAN, 1)
    after = follow(scale * (baseline + offset), scale * (variant + offset), PLAN, 1)

    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert (other.p_value, other.decision) == (one.p_value, one.decision)
        assert other.effect == pytest.approx(scale * one.effect, abs=1e-9 * scale)
        if one.interval:
            expected = (scale * one.interval[0], scale * one.interval[1])
            assert other.interval == pytest.approx(expected, abs=1e-6 * scale)


@settings(deadline=None, max_examples=20)
@given(ARMS)
def test_order_within_a_batch_does_not_matter(pairs):
    baseline, variant = arms(pairs)
    ends = np.cumsum([0, *PLAN.blocks])
    mixed = np.concatenate([variant[a:b][::-1] for a, b in pairwise(ends)])

    before, after = follow(baseline, variant, PLAN, 1), follow(baseline, mixed, PLAN, 1)
    assert [(look.p_value, look.decision) for look in before] == [
        (look.p_value, look.decision) for look in after
    ]


def test_a_repeated_interval_is_wider_than_that_of_a_fixed_design(generator):
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=6), rng.normal(size=6)
    low, high = statistics.welch_interval(baseline, variant)

    taken = take_look(baseline, variant, PLAN, generator)
    assert taken.interval[0] < low < high < taken.interval[1]
    assert replace(taken, decision=Decision.GO_ON).interval == taken.interval

"""Mean curves over seeds, where they cross, and when they hint at overfitting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.analysis.crossover import Lead, crossover
from src.experiments.analysis.curves import MAX_POINTS, Source
from src.experiments.analysis.overfitting import RULE, overfitting_hint, trend
from src.experiments.analysis.seed_means import SeedMean, points, seed_mean


def curve(*pairs):
    steps, returns = zip(*pairs, strict=True)
    return SeedMean(np.array(steps, float), np.array(returns, float), 1)


def line(values, every=1000):
    return curve(*((every * place, value) for place, value in enumerate(values, start=1)))


def evaluation(step, value):
    return {"kind": "evaluation", "step": step, "metrics": {"eval/return_mean": value}}


def test_before_the_first_step_nobody_is_behind():
    one, other = curve((0, 3), (10, 5), (20, 6)), curve((0, 3), (10, 4), (20, 5))

    found = crossover(one, other)

    assert (found.lead, found.compared) == (Lead.FROM_THE_START, (10, 20))


# ---- the mean over seeds


def test_a_curve_has_every_evaluation_however_many_there_are():
    records = [evaluation(step, float(step)) for step in range(1, 2 * MAX_POINTS)]

    found = points(records, Source.EVALUATION)

    assert found.steps.tolist() == list(range(1, 2 * MAX_POINTS))


def test_what_is_no_finite_number_is_no_point_and_a_later_value_counts():
    records = [
        {"kind": "started", "step": 0},
        evaluation(1, float("nan")),
        evaluation(2, "7"),
        evaluation(3, 1.0),
        evaluation(3, 2.0),
        {"kind": "evaluation", "step": 4, "metrics": None},
        {"kind": "metrics", "step": 5, "metrics": {"rollouts/returns_mean": 9.0}},
    ]

    evaluated, trained = (points(records, each) for each in (Source.EVALUATION, Source.TRAINING))

    assert (evaluated.steps.tolist(), evaluated.returns.tolist()) == ([3], [2])
    assert (trained.steps.tolist(), trained.returns.tolist()) == ([5], [9])


def test_the_mean_over_seeds_covers_the_steps_that_all_of_them_share():
    first = points(
        [evaluation(s, r) for s, r in ((0, 0.0), (10, 10.0), (20, 10.0))], Source.EVALUATION
    )
    second = points(
        [evaluation(s, r) for s, r in ((5, 1.0), (15, 3.0), (30, 9.0))], Source.EVALUATION
    )
    without = points([], Source.EVALUATION)

    mean = seed_mean([first, second, without])

    assert mean.runs == 2
    assert mean.steps.tolist() == [5, 10, 15, 20]
    # first at 5 is 5, second at 10 is 2 and at 20 it is 3 + 6 / 3
    assert mean.returns == pytest.approx([3.0, 6.0, 6.5, 7.5])
    assert seed_mean([without]).runs == 0


# ---- crossover


def test_a_curve_stays_ahead_from_where_the_lines_cross_for_the_last_time():
    baseline = curve((100, 0), (200, 100), (300, 100))
    variant = curve((100, 50), (200, 50), (300, 150))

    found = crossover(variant, baseline)

    # ahead at 100, behind at 200, ahead at 300: the difference goes from -50 to 50
    assert (found.lead, found.step, found.compared) == (Lead.FROM_A_STEP, 250.0, (100.0, 300.0))
    assert crossover(baseline, variant).lead is Lead.NEVER


def test_evaluations_at_different_steps_are_compared_along_their_lines():
    found = crossover(curve((0, 0), (300, 30)), curve((100, 12), (200, 18), (400, 18)))

    # within 100 to 300: -2, 2, 12
    assert (found.lead, found.step, found.compared) == (Lead.FROM_A_STEP, 150.0, (100.0, 300.0))


@pytest.mark.parametrize(
    ("values", "others", "lead", "step"),
    [
        ((2, 3, 4), (1, 2, 3), Lead.FROM_THE_START, 1000.0),
        ((1, 2, 3), (2, 3, 4), Lead.NEVER, None),
        ((1, 2, 3), (1, 2, 3), Lead.NEVER, None),
        ((1, 2, 3), (1, 2, 2), Lead.FROM_A_STEP, 2000.0),
        ((5, 9, 3), (1, 2, 3), Lead.NEVER, None),
        ((0.1 + 0.2, 1), (0.3, 1), Lead.NEVER, None),
        ((7,), (6,), Lead.FROM_THE_START, 1000.0),
    ],
)
def test_from_the_start_and_never_are_told_plainly(values, others, lead, step):
    found = crossover(line(values), line(others))

    assert (found.lead, found.step) == (lead, step)


def test_where_less_is_better_the_lower_curve_is_ahead():
    assert crossover(line((1, 2)), line((2, 3)), "minimize").lead is Lead.FROM_THE_START
    assert crossover(line((2, 3)), line((1, 2)), "minimize").lead is Lead.NEVER


def test_curves_without_a_common_step_are_not_compared():
    nothing = SeedMean(np.array([]), np.array([]), 0)

    assert crossover(curve((0, 1), (10, 2)), curve((11, 1))).lead is Lead.UNKNOWN
    assert crossover(nothing, line((1, 2))).lead is Lead.UNKNOWN


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=12),
    st.lists(st.integers(-50, 50), min_size=2, max_size=12),
)
def test_two_curves_are_never_both_ahead_and_ahead_means_at_every_later_step(values, others):
    first, second = line(values), line(others)

    leads = [crossover(first, second), crossover(second, first)]

    assert sum(found.lead is not Lead.NEVER for found in leads) <= 1
    for found, (above, below) in zip(leads, ((first, second), (second, first)), strict=True):
        if found.lead is not Lead.NEVER:
            steps = np.linspace(found.step, found.compared[1], 50)[1:]
            assert np.all(above.at(steps) > below.at(steps))


# ---- overfitting


FALLING_AT_THE_END = (10, 20, 30, 40, 50, 60, 70, 80, 78, 74, 69, 66)
RISING = tuple(range(10, 130, 10))


def test_training_that_improves_while_evaluation_worsens_is_a_hint():
    found = overfitting_hint(line(RISING), line(FALLING_AT_THE_END))

    assert found is not None
    assert (found.first_step, found.last_step) == (8000.0, 12000.0)
    assert found.training.change == pytest.approx(40.0)
    # least squares by hand: x of 8 to 12, the sum of (x - 10)(y - 73.4) is -37, by 10 -3.7 a step
    assert found.evaluation.change == pytest.approx(-3.7 * 4)
    assert "last third" in RULE


def test_both_falling_or_both_rising_is_no_hint():
    assert overfitting_hint(line(FALLING_AT_THE_END), line(FALLING_AT_THE_END)) is None
    assert overfitting_hint(line(RISING), line(RISING)) is None
    assert overfitting_hint(line(FALLING_AT_THE_END), line(RISING)) is None


def test_a_drop_before_the_last_third_is_no_hint():
    early = (10, 60, 80, 70, 60, 50, 40, 41, 42, 43, 44, 45)

    assert overfitting_hint(line(RISING), line(early)) is None


def test_where_less_is_better_a_falling_training_curve_improves():
    training, measured = (line([-value for value in each]) for each in (RISING, FALLING_AT_THE_END))

    assert overfitting_hint(training, measured, "minimize") is not None
    assert overfitting_hint(training, measured) is None


@pytest.mark.parametrize(
    ("steps", "is_hint"),
    [((4000, 8000, 10_000, 12_000), False), ((4000, 8000, 9000, 10_000, 12_000), True)],
)
def test_too_few_late_evaluations_are_no_hint(steps, is_hint):
    falling = curve(*((step, 100.0 - step / 1000) for step in steps))

    assert (overfitting_hint(line(RISING), falling) is not None) == is_hint


def test_a_curve_that_does_not_move_has_no_trend():
    assert overfitting_hint(line(RISING), line([500.0] * 12)) is None
    assert overfitting_hint(line([500.0] * 12), line(FALLING_AT_THE_END)) is None
    rounding = [500.0 - 1e-10 * place for place in range(12)]
    assert overfitting_hint(line(RISING), line(rounding)) is None


def test_a_trends_error_is_that_of_least_squares():
    # y = 0, 1, 1, 2 over x = 0..3: slope 0.6, residual variance 0.1, squares about the mean 5
    found = trend(curve((0, 0), (1, 1), (2, 1), (3, 2)), 0, 3)

    assert found.change == pytest.approx(0.6 * 3)
    assert found.standard_error == pytest.approx(np.sqrt(0.1 / 5) * 3)


def hints_among(draw, count=400):
    generator = np.random.default_rng(7)
    return sum(overfitting_hint(*draw(generator)) is not None for _ in range(count)) / count


def test_noise_about_a_plateau_is_seldom_a_hint():
    def plateau(generator):
        return [line(100 + generator.normal(0, 10, 30)) for _ in range(2)]

    assert hints_among(plateau) <= 0.02


def test_noise_about_a_policy_that_still_learns_is_hardly_ever_a_hint():
    def learning(generator):
        means = np.linspace(0, 100, 30)
        return [line(means + generator.normal(0, 10, 30)) for _ in range(2)]

    assert hints_among(learning) <= 0.005


def test_a_clear_drop_is_found_through_the_noise():
    def overfitting(generator):
        drop = np.concatenate([np.linspace(0, 100, 20), np.linspace(100, 40, 10)])
        training = np.linspace(0, 100, 30)
        return [line(means + generator.normal(0, 8, 30)) for means in (training, drop)]

    assert hints_among(overfitting) >= 0.9

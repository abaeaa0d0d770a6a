"""The simultaneous band about the difference of two learning curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy

from src.experiments.analysis.curve_band import (
    RANDOM_DRAWS,
    difference_band,
    student_t,
    welch_t,
)
from tests.unit.published import PUBLISHED, needs_published_data

ONE_STEP = np.array([1000.0])


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def rows(*values):
    return np.array(values, float).reshape(len(values), -1)


def test_the_band_of_one_step_is_the_hand_computed_one(generator):
    # relabellings of (0, 2 | 10, 12): |t| is 10/√2 twice, 2/√50 twice and 0 twice; at alpha 0.4
    # two of six may exceed, so that c = 2/√50, and the error is √(2/2 + 2/2)
    found = difference_band(ONE_STEP, rows(0, 2), rows(10, 12), 0.4, generator)

    half = 2 / math.sqrt(50) * math.sqrt(2)
    assert (found.difference[0], half) == (10.0, pytest.approx(0.4))
    assert (found.low[0], found.high[0]) == (pytest.approx(9.6), pytest.approx(10.4))
    assert found.p_value == pytest.approx(2 / 6)
    assert (found.relabellings, found.is_exact, found.level) == (6, True, 0.6)


def test_a_second_step_widens_the_band_at_the_first(generator):
    # at the second step the runs are (0, 10 | 2, 12): other labels are as extreme there as the
    # observed ones at the first step, so that four of six reach 10/√2
    baseline, variant = rows([0, 0], [2, 10]), rows([10, 2], [12, 12])

    found = difference_band(np.array([1.0, 2.0]), baseline, variant, 0.4, generator)

    assert found.difference.tolist() == pytest.approx([10.0, 2.0])
    assert found.p_value == pytest.approx(4 / 6)
    assert (found.low[0], found.high[0]) == (pytest.approx(0.0, abs=1e-6), pytest.approx(20.0))
    assert not found.apart.any()


def test_the_paired_band_flips_signs(generator):
    # differences 1, 2, 3: mean 2, error 1/√3; of eight sign patterns two reach t = 2√3, the others
    # have |sum| 4, 2 or 0: means 4/3, 2/3 and 0 with sum of squares 14
    found = difference_band(ONE_STEP, rows(5, 5, 5), rows(6, 7, 8), 0.3, generator, paired=True)

    error = math.sqrt((14 / 3 - (4 / 3) ** 2) / 2)
    assert found.difference[0] == pytest.approx(2.0)
    assert found.high[0] - 2.0 == pytest.approx(4 / 3 / error / math.sqrt(3))
    assert found.p_value == pytest.approx(2 / 8)


def test_the_statistics_are_those_of_the_textbook(generator):
    first, second = generator.normal(size=(4, 3)), generator.normal(2.0, 3.0, size=(6, 3))
    labels = np.array([[1.0] * 4 + [0.0] * 6])

    _, _, t = welch_t(np.concatenate([first, second]), labels)
    assert t[0] == pytest.approx(np.abs(scipy.stats.ttest_ind(first, second, equal_var=False)[0]))
    _, _, paired = student_t(first, np.ones((1, 4)))
    assert paired[0] == pytest.approx(np.abs(scipy.stats.ttest_1samp(first, 0.0)[0]))


def test_a_step_at_which_no_run_varies_has_no_say(generator):
    baseline, variant = generator.normal(size=(2, 5, 3))
    with_start = [np.column_stack([np.full(5, 9.0), runs]) for runs in (baseline, variant)]

    steps = np.arange(4.0)
    found = difference_band(steps, *with_start, 0.05, generator)
    without = difference_band(steps[1:], baseline, variant, 0.05, generator)

    assert (found.low[0], found.high[0]) == (0.0, 0.0)
    assert found.low[1:] == pytest.approx(without.low)
    assert found.p_value == without.p_value


def test_too_few_seeds_have_no_band(generator):
    three = generator.normal(size=(3, 2))

    assert difference_band(np.arange(2.0), three, three + 9, 0.05, generator) is None


def test_arms_that_differ_without_any_spread_have_no_band(generator):
    assert difference_band(ONE_STEP, rows(*[1] * 4), rows(*[2] * 4), 0.05, generator) is None


def test_of_many_relabellings_a_bounded_number_is_drawn_the_same_each_time():
    baseline, variant = np.random.default_rng(1).normal(size=(2, 30, 5))

    one, two = (
        difference_band(np.arange(5.0), baseline, variant, 0.05, np.random.default_rng(7))
        for _ in range(2)
    )
    assert (one.relabellings, one.is_exact) == (RANDOM_DRAWS, False)
    assert np.array_equal(one.low, two.low)


@pytest.mark.parametrize("paired", [False, True])
def test_equal_algorithms_leave_the_band_as_often_as_it_says(generator, paired):
    seeds, steps, experiments = 8 if paired else 5, np.arange(15.0), 400
    left = pointwise = 0
    for _ in range(experiments):
        baseline, variant = np.cumsum(generator.normal(size=(2, seeds, 15)), axis=2)
        found = difference_band(steps, baseline, variant, 0.05, generator, paired=paired)
        left += found.apart.any()
        test = scipy.stats.ttest_rel if paired else scipy.stats.ttest_ind
        pointwise += (test(baseline, variant)[1] <= 0.05).any()

    # two standard errors at 400 experiments are 2.2 points
    assert 0.025 <= left / experiments <= 0.075
    assert pointwise / experiments > 0.15


def test_a_lasting_difference_is_found(generator):
    baseline = generator.normal(size=(8, 20))
    variant = generator.normal(size=(8, 20)) + np.where(np.arange(20) < 10, 0.0, 4.0)

    found = difference_band(np.arange(20.0), baseline, variant, 0.05, generator)

    assert not found.apart[:10].any()
    assert found.apart[10:].all()
    assert (found.low[10:] > 0).all()


@needs_published_data
def test_on_published_curves_of_one_algorithm_the_band_stays_quiet_and_single_steps_do_not():
    files = sorted((PUBLISHED / "td3_curves" / "HalfCheetah").glob("*.npy"))
    curves = np.array([np.load(file) for file in files])[:, ::4]
    generator, splits = np.random.default_rng(0), 100
    left = pointwise = 0
    for _ in range(splits):
        order = generator.permutation(10)
        halves = curves[order[:5]], curves[order[5:]]
        found = difference_band(np.arange(curves.shape[1], dtype=float), *halves, 0.05, generator)
        left += found.apart.any()
        pointwise += (scipy.stats.ttest_ind(*halves, equal_var=False)[1] <= 0.05).any()

    assert left / splits <= 0.1
    assert pointwise / splits >= 0.3

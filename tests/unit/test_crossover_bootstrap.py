"""How sure a crossover is."""

from __future__ import annotations

import numpy as np
import pytest

from src.experiments.analysis.crossover import crossover
from src.experiments.analysis.crossover_bootstrap import lasting_lead, overtaking
from src.experiments.analysis.seed_means import SeedMean

STEPS = np.array([0.0, 10.0, 20.0, 30.0])


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("ahead", "step"),
    [
        ([1, 1, 1, 1], 0),
        ([-1, -1, 1, 1], 15),
        ([-1, 3, -1, 1], 25),
        ([0, 1, 1, 1], 0),
        ([-1, 0, 2, 2], 10),
        ([1, 1, 1, -1], np.nan),
        ([1, 1, 1, 0], np.nan),
    ],
)
def test_a_lead_lasts_from_where_the_difference_last_leaves_zero(ahead, step):
    found = lasting_lead(STEPS, np.array([ahead], float))

    assert found.tolist() == pytest.approx([step], nan_ok=True)


def test_a_single_common_step_decides_alone():
    found = lasting_lead(np.array([5.0]), np.array([[1.0], [-1.0]]))

    assert found.tolist() == pytest.approx([5.0, np.nan], nan_ok=True)


def test_it_agrees_with_the_crossover_of_two_mean_curves(generator):
    steps = STEPS + 10
    for _ in range(50):
        baseline, variant = np.cumsum(generator.normal(size=(2, 1, 4)), axis=2)
        found = overtaking(steps, baseline, variant, generator)
        curves = {True: SeedMean(steps, variant[0], 1), False: SeedMean(steps, baseline[0], 1)}
        expected = crossover(curves[found.leads], curves[not found.leads])
        assert found.step == pytest.approx(expected.step)


def test_runs_that_all_cross_at_one_step_leave_no_doubt(generator):
    baseline = np.tile([2.0, 2.0, 2.0, 2.0], (5, 1))
    variant = np.tile([0.0, 1.0, 3.0, 4.0], (5, 1))

    found = overtaking(STEPS, baseline, variant, generator)

    assert (found.step, found.leads, found.interval) == (15.0, True, (15.0, 15.0))
    assert found.share_without == 0.0
    assert found.is_a_crossing


def test_the_share_without_a_crossover_is_that_of_the_resamples(generator):
    # the variant ends ahead unless all three draws are the run that ends behind: 1/27
    baseline = np.zeros((3, 2))
    variant = np.array([[-1.0, 10.0], [-1.0, 10.0], [-1.0, -4.0]])

    found = overtaking(np.array([0.0, 10.0]), baseline, variant, generator)

    assert found.share_without == pytest.approx(1 / 27, abs=0.018)  # three standard errors


def test_where_less_is_better_the_lower_curve_leads(generator):
    baseline, variant = np.full((3, 4), 5.0), np.tile([9.0, 6.0, 4.0, 1.0], (3, 1))

    found = overtaking(STEPS, baseline, variant, generator, minimize=True)

    assert (found.leads, found.step) == (True, 15.0)


def test_an_arm_that_is_ahead_throughout_has_not_overtaken(generator):
    found = overtaking(STEPS, np.ones((3, 4)), np.zeros((3, 4)), generator)

    assert (found.leads, found.from_the_start, found.is_a_crossing) == (False, True, False)


def test_curves_that_end_level_have_no_leader(generator):
    found = overtaking(STEPS, np.ones((3, 4)), np.ones((3, 4)), generator)

    assert (found.step, found.interval, found.share_without) == (None, None, 1.0)


def test_the_interval_covers_the_true_crossover_of_simulated_curves(generator):
    # the true mean curves cross at step 15; a percentile interval of few seeds covers too rarely,
    # which is why it is a description
    covered = 0
    for _ in range(200):
        baseline = np.full(4, 1.5) + generator.normal(scale=0.5, size=(10, 1))
        variant = np.array([0.0, 1.0, 2.0, 3.0]) + generator.normal(scale=0.5, size=(10, 1))
        found = overtaking(STEPS, baseline, variant, generator)
        assert found.interval is not None
        low, high = found.interval
        covered += low <= 15.0 <= high

    assert 0.85 <= covered / 200 <= 0.99

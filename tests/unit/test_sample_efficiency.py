"""Steps to a return, with the runs that never reach it."""

from __future__ import annotations

import numpy as np
import pytest

from src.experiments.analysis.sample_efficiency import first_step_at, reached, thresholds

STEPS = np.array([100.0, 200.0, 300.0])
NEVER = float("inf")


def test_thresholds_lie_at_their_share_of_the_way():
    assert thresholds(20.0, 500.0, (0.25, 0.5)) == ((0.25, 140.0), (0.5, 260.0))
    assert thresholds(-1000.0, -200.0, (0.5,)) == ((0.5, -600.0),)


@pytest.mark.parametrize(
    ("returns", "step"),
    [((5, 10, 12), 200), ((10, 1, 1), 100), ((1, 2, 3), NEVER), ((1, float("nan"), 11), 300)],
)
def test_the_first_evaluation_at_the_return_counts(returns, step):
    assert first_step_at(STEPS, np.array(returns, float), 10.0) == step


def test_where_less_is_better_a_run_has_to_come_down():
    assert first_step_at(STEPS, np.array([9.0, 5.0, 1.0]), 5.0, minimize=True) == 200


def test_the_median_is_over_all_runs():
    found = reached([100, 200, 300, NEVER, NEVER])

    assert (found.runs, found.reached, found.median) == (5, 3, 300)
    assert found.quartiles == (200, None)


def test_a_return_that_half_of_the_runs_miss_has_no_median():
    assert reached([100, NEVER, NEVER]).median is None
    assert reached([NEVER]).median is None
    assert reached([]).median is None


def test_with_an_even_number_the_median_is_when_half_of_them_were_there():
    assert reached([400, 100, 200, NEVER]).median == 200

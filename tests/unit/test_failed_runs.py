"""Failed runs keep their place, and how much they could matter is said."""

from __future__ import annotations

import pytest
import scipy

from src.experiments.analysis.imputation import extremes, failures_p, impute

NAN = float("nan")


def test_a_failed_run_gets_the_value_and_keeps_its_place():
    assert impute([1.0, NAN, 3.0], -2.0).tolist() == [1.0, -2.0, 3.0]


def test_an_infinite_score_is_a_failed_run():
    assert impute([1.0, float("inf"), float("-inf")], 0.0).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("floor", "direction", "expected"),
    [
        (-2.0, "maximize", (-2.0, 9.0)),
        (5.0, "maximize", (1.0, 9.0)),
        (20.0, "minimize", (20.0, 1.0)),
        (None, "maximize", (1.0, 9.0)),
    ],
)
def test_the_poorest_and_the_best_are_of_all_scores_and_the_floor(floor, direction, expected):
    assert extremes([1.0, NAN], [NAN, 9.0], floor, direction) == expected


def test_nothing_is_made_of_nothing():
    with pytest.raises(ValueError, match="no floor to impute"):
        extremes([NAN], [NAN], None, "maximize")


def test_the_counts_of_failures_are_compared_exactly():
    # the tea tasting: three of four against one of four
    assert failures_p(1, 4, 3, 4) == pytest.approx(34 / 70)
    # one table in C(20, 10) on either side
    assert failures_p(0, 10, 10, 10) == pytest.approx(2 / scipy.special.comb(20, 10))
    assert failures_p(0, 5, 0, 5) == 1.0
    assert failures_p(0, 0, 0, 0) == 1.0
    assert failures_p(2, 9, 5, 7) == pytest.approx(failures_p(5, 7, 2, 9))

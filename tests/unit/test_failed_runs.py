"""Failed runs keep their place, and how much they could matter is said."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis.imputation import (
    best_for_variant,
    failures_p,
    impute,
    with_floor,
    worst_for_variant,
)

NAN = float("nan")


def test_a_failed_run_gets_the_floor_and_keeps_its_place():
    completed = with_floor([1.0, NAN, 3.0], [NAN, 5.0, 6.0], floor=-2.0)

    assert completed.baseline.tolist() == [1.0, -2.0, 3.0]
    assert completed.variant.tolist() == [-2.0, 5.0, 6.0]


def test_an_infinite_score_is_a_failed_run():
    assert impute([1.0, float("inf"), float("-inf")], 0.0).tolist() == [1.0, 0.0, 0.0]


def test_the_worst_case_is_poor_for_the_variant_and_good_for_the_baseline():
    worst = worst_for_variant([1.0, NAN], [NAN, 9.0], floor=-2.0)

    assert worst.baseline.tolist() == [1.0, 9.0]
    assert worst.variant.tolist() == [-2.0, 9.0]


def test_the_best_case_is_the_mirror_image():
    best = best_for_variant([1.0, NAN], [NAN, 9.0], floor=-2.0)

    assert best.baseline.tolist() == [1.0, -2.0]
    assert best.variant.tolist() == [9.0, 9.0]


def test_where_less_is_better_the_poorest_score_is_the_largest():
    worst = worst_for_variant([1.0, NAN], [NAN, 9.0], 20.0, "minimize")

    assert worst.baseline.tolist() == [1.0, 1.0]
    assert worst.variant.tolist() == [20.0, 9.0]


def test_without_a_floor_the_poorest_score_counts():
    assert worst_for_variant([1.0, 2.0], [NAN, 9.0]).variant.tolist() == [1.0, 9.0]


def test_nothing_is_made_of_nothing():
    with pytest.raises(ValueError, match="no floor to impute"):
        worst_for_variant([NAN], [NAN])


SCORES = st.lists(st.one_of(st.just(NAN), st.floats(-100, 100)), min_size=1, max_size=8)


@settings(deadline=None)
@given(SCORES, SCORES, st.floats(-200, 200))
def test_no_run_vanishes_and_the_effect_lies_between_worst_and_best(baseline, variant, floor):
    worst, usual, best = (
        imputed(baseline, variant, floor)
        for imputed in (worst_for_variant, with_floor, best_for_variant)
    )

    for completed in (worst, usual, best):
        assert (len(completed.baseline), len(completed.variant)) == (len(baseline), len(variant))
        assert np.isfinite(completed.baseline).all()
        assert np.isfinite(completed.variant).all()
    effects = [each.variant.mean() - each.baseline.mean() for each in (worst, usual, best)]
    assert effects[0] - 1e-9 <= effects[1] <= effects[2] + 1e-9


def test_the_counts_of_failures_are_compared_exactly():
    # the tea tasting: three of four against one of four
    assert failures_p(1, 4, 3, 4) == pytest.approx(34 / 70)
    # one table in C(20, 10) on either side
    assert failures_p(0, 10, 10, 10) == pytest.approx(2 / scipy.special.comb(20, 10))
    assert failures_p(0, 5, 0, 5) == 1.0
    assert failures_p(0, 0, 0, 0) == 1.0
    assert failures_p(2, 9, 5, 7) == pytest.approx(failures_p(5, 7, 2, 9))

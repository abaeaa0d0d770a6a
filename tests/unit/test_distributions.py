"""Distributions and roots of our own, against those of scipy and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.analysis import imputation, statistics
from src.experiments.analysis.distributions import (
    NODES,
    gamma_half_step,
    noncentral_t_tail,
    normal_cdf,
    normal_cdfs,
    normal_quantile,
    quadrature,
    t_limit,
    t_tail,
)
from src.experiments.analysis.roots import root

DF = (1.0, 1.3, 2.0, 3.0, 4.7, 8.0, 15.2, 58.0, 198.0, 199.5, 1_998.0, 19_998.0)
TAILS = (1e-12, 1e-6, 5e-4, 0.005, 0.025, 0.05, 0.2, 0.4, 0.499, 0.5)
VALUES = st.integers(-(10**9), 10**9).map(lambda whole: whole / 1_000)
SCORES = st.lists(VALUES, min_size=2, max_size=12)


@pytest.mark.parametrize("df", DF)
def test_the_tail_of_t_is_scipys(df):
    for t in (0.0, 0.01, 0.7, 1.0, 1.7, 1.75, 2.5, 6.0, 30.0, 1_000.0):
        expected = scipy.special.stdtr(df, -t)
        assert t_tail(t, df) == pytest.approx(expected, rel=1e-12, abs=1e-290)
        assert t_tail(-t, df) == pytest.approx(1.0 - expected, rel=1e-13)


@pytest.mark.parametrize("t", [1e-8, 1e-3, 0.5, 1.0, 2.0, 1e3, 1e8])
def test_with_one_degree_of_freedom_the_tail_is_cauchys(t):
    assert t_tail(t, 1.0) == pytest.approx(math.atan2(1.0, t) / math.pi, rel=1e-15)


@pytest.mark.parametrize("df", DF)
def test_the_limits_of_t_are_scipys(df):
    for tail in TAILS:
        expected = -scipy.special.stdtrit(df, tail)
        assert t_limit(tail, df) == pytest.approx(expected, rel=2e-12, abs=1e-12)


def test_tails_beyond_every_float_are_zero_and_no_tail_is_infinitely_far():
    assert t_tail(1e300, 3.0) == t_tail(math.inf, 3.0) == 0.0
    assert t_limit(0.0, 3.0) == math.inf


@pytest.mark.parametrize("tail", [-0.1, 0.51, math.nan])
def test_what_is_no_tail_has_no_limit(tail):
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        t_limit(tail, 5.0)


def test_the_normal_is_scipys():
    z = np.linspace(-37.0, 8.0, 1_001)

    assert normal_cdfs(z) == pytest.approx(scipy.special.ndtr(z), rel=1e-12, abs=0.0)
    assert [normal_cdf(each) for each in z.tolist()] == normal_cdfs(z).tolist()
    for p in (1e-300, 1e-12, 0.001, 0.025, 0.3, 0.5, 0.9, 1 - 1e-12):
        assert normal_quantile(p) == pytest.approx(scipy.special.ndtri(p), rel=1e-14, abs=1e-16)
    assert (normal_quantile(0.0), normal_quantile(1.0)) == (-math.inf, math.inf)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 6, 18, 58, 198, 1_998, 19_998])
@pytest.mark.parametrize("tail", [1e-6, 5e-4, 0.005, 0.025, 0.25])
def test_the_noncentral_tail_is_scipys(df, tail):
    limit = t_limit(tail, df)

    assert noncentral_t_tail(limit, df, 0.0) == pytest.approx(tail, abs=1e-12)
    for shift in (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0):
        expected = float(scipy.stats.nct.sf(limit, df, shift))
        assert noncentral_t_tail(limit, df, shift) == pytest.approx(expected, abs=1e-11)


def test_the_noncentral_tail_is_a_number_however_far_the_shift_is():
    assert noncentral_t_tail(2.0, 58, 1e9) == 1.0
    assert noncentral_t_tail(2.0, 58, -1e9) == 0.0
    assert noncentral_t_tail(0.0, 5, 1.0) == normal_cdf(1.0)


@pytest.mark.parametrize("a", [0.5, 1.0, 7.5, 99.9, 100.0, 100.1, 1e4, 1e9])
def test_half_a_step_of_the_gamma_function_is_scipys(a):
    assert gamma_half_step(a) == pytest.approx(scipy.special.poch(a, 0.5), rel=1e-11)


def test_the_quadrature_integrates_polynomials_exactly():
    nodes, weights = quadrature()

    for power in (0, 2, 100, NODES):
        assert nodes**power @ weights == pytest.approx(2.0 / (power + 1), rel=1e-12)


@pytest.mark.parametrize(
    ("function", "low", "high", "expected"),
    [
        (lambda x: x**3 - 2.0, 0.0, 40.0, 2.0 ** (1 / 3)),
        (lambda x: math.exp(-x) - 1e-9, 0.0, 1e4, 9.0 * math.log(10.0)),
        (lambda x: math.tanh(1e8 * (x - 0.3)), 0.0, 1.0, 0.3),
        (lambda x: 1.0 if x > 1e-5 else -1.0, 0.0, 1.0, 1e-5),
        (lambda x: x - 5.0, 5.0, 9.0, 5.0),
        (lambda x: 5.0 - x, 1.0, 5.0, 5.0),
        (lambda x: x, -1.0, 1.0, 0.0),
    ],
)
def test_a_root_is_found_to_the_last_bits(function, low, high, expected):
    assert root(function, low, high) == pytest.approx(expected, rel=2e-15, abs=1e-300)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(0.1, 5.0))
def test_the_root_of_a_rising_function_is_where_it_is(place, slope, power):
    def rising(x: float) -> float:
        return math.copysign(abs(slope * (x - place)) ** power, x - place)

    assert root(rising, place - 7.0, place + 11.0) == pytest.approx(place, rel=1e-14, abs=1e-14)


def test_an_ordinary_root_takes_few_steps():
    asked = []

    def excess(t: float) -> float:
        asked.append(t)
        return t_tail(t, 8.0) - 0.025

    root(excess, 2.0, 4.0)

    assert len(asked) <= 15


def test_without_a_change_of_sign_there_is_no_root():
    with pytest.raises(ValueError, match=r"no change of sign between 1\.0 and 2\.0"):
        root(lambda x: x, 1.0, 2.0)


@given(SCORES, SCORES, st.sampled_from([0.5, 0.8, 0.95, 0.999]))
def test_welchs_interval_is_scipys(baseline, variant, level):
    ours = statistics.welch_interval(baseline, variant, level)

    if statistics.is_constant(baseline) or statistics.is_constant(variant):
        return
    theirs = scipy.stats.ttest_ind(variant, baseline, equal_var=False).confidence_interval(level)
    scale = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-11, abs=1e-11 * scale)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=12))
def test_the_paired_interval_is_scipys(pairs):
    baseline, variant = zip(*pairs, strict=True)
    ours = statistics.paired_interval(baseline, variant)

    differences = np.subtract(variant, baseline)
    if statistics.is_constant(differences):
        return
    theirs = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    scale = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-11, abs=1e-11 * scale)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_welchs_interval_knows_no_size_of_scores(size):
    low, high = statistics.welch_interval([1.0, 2.0, 4.0], [3.0, 5.0, 6.0])
    scaled = statistics.welch_interval(
        [1.0 * size, 2.0 * size, 4.0 * size], [3.0 * size, 5.0 * size, 6.0 * size]
    )

    assert scaled == pytest.approx((low * size, high * size), rel=1e-12, abs=0.0)


@given(*[st.integers(0, 30)] * 4)
def test_the_test_on_failures_is_fishers(failed_baseline, well_baseline, failed_variant, well):
    runs = failed_baseline + well_baseline, failed_variant + well
    table = [[failed_baseline, well_baseline], [failed_variant, well]]

    p = imputation.failures_p(failed_baseline, runs[0], failed_variant, runs[1])

    assert p == pytest.approx(float(scipy.stats.fisher_exact(table).pvalue), rel=1e-9)


@given(SCORES, SCORES)
def test_the_share_of_better_runs_is_that_of_the_ranks(baseline, variant):
    share, (low, high) = statistics.probability_of_improvement(baseline, variant)

    u = float(scipy.stats.mannwhitneyu(variant, baseline).statistic)
    assert share == pytest.approx(u / (len(baseline) * len(variant)))
    assert 0.0 <= low <= share <= high <= 1.0

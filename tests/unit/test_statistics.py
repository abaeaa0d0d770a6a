"""The statistics against hand-computed and published numbers."""

from __future__ import annotations

import csv
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from src.experiments.analysis import statistics

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_published_data = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published per-seed results are not beside this repository"
)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# --- intervals ---------------------------------------------------------------------------------


def test_the_welch_interval_is_the_textbook_one():
    # means 2 and 6, variances 1 and 4, se² = 1/3 + 4/3 = 5/3, df = (5/3)²/((1/3)²/2 + (4/3)²/2)
    low, high = statistics.welch_interval([1, 2, 3], [4, 6, 8])
    df = (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert df == pytest.approx(50 / 17)

    # t(0.975; 2.94) = 3.2205 by interpolation between t(2) and t(3)'s tables
    half = (high - low) / 2
    assert (high + low) / 2 == pytest.approx(4.0)
    assert half / math.sqrt(5 / 3) == pytest.approx(3.22, abs=0.01)


def test_there_is_no_interval_for_a_single_run():
    assert statistics.welch_interval([1.0], [2.0, 3.0]) is None
    assert statistics.paired_interval([1.0], [2.0]) is None


def test_equal_constants_have_a_point_interval_and_different_ones_none():
    assert statistics.welch_interval([5.1] * 4, [5.1] * 4) == (0.0, 0.0)
    assert statistics.welch_interval([5.1] * 4, [7.3] * 4) is None
    assert statistics.paired_interval([1.0, 2.0], [1.0, 2.0]) == (0.0, 0.0)
    assert statistics.paired_interval([1.0, 2.0], [2.0, 3.0]) is None


def test_one_constant_arm_still_has_an_interval():
    low, high = statistics.welch_interval([500.0] * 3, [480.0, 490.0, 500.0])

    # only the variant varies: mean -10, sd 10, two degrees of freedom
    assert (low + high) / 2 == pytest.approx(-10.0)
    assert (high - low) / 2 == pytest.approx(4.302653 * 10 / math.sqrt(3), rel=1e-5)


def test_the_paired_interval_is_that_of_the_differences():
    low, high = statistics.paired_interval([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])

    assert (low + high) / 2 == pytest.approx(2.0)
    assert (high - low) / 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)


def test_the_welch_interval_covers_the_true_difference_at_its_level():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(600):
        low, high = statistics.welch_interval(rng.normal(0, 1, 5), rng.normal(1, 1, 5))
        covered += low <= 1 <= high

    assert covered / 600 >= 0.93


# --- effect sizes ------------------------------------------------------------------------------


def test_hedges_g_is_the_standardised_difference_with_its_small_sample_factor():
    # difference 4, pooled sd sqrt((2·1 + 2·4)/4), exact factor for four degrees of freedom
    factor = math.gamma(2) / (math.sqrt(2) * math.gamma(1.5))
    assert factor == pytest.approx(0.7979, abs=1e-4)

    assert statistics.hedges_g([1, 2, 3], [4, 6, 8]) == pytest.approx(4 / math.sqrt(2.5) * factor)


def test_hedges_g_needs_spread_and_degrees_of_freedom():
    assert statistics.hedges_g([1.0], [2.0]) is None
    assert statistics.hedges_g([5.0] * 3, [7.0] * 3) is None


def test_the_probability_of_improvement_counts_pairs_and_halves_ties():
    estimate, _ = statistics.probability_of_improvement([1, 2, 3], [2, 3, 4])

    # of nine pairs the variant wins 1+2+3 and ties twice
    assert estimate == pytest.approx((6 + 2 * 0.5) / 9)


def test_newcombes_interval_solves_its_equation():
    estimate, (low, high) = statistics.probability_of_improvement([1, 2, 3, 5], [2, 3, 4, 6, 7])
    z, n_star = 1.959964, (4 + 5) / 2 - 1

    for theta in (low, high):
        bracket = 1 + n_star * (1 - theta) / (2 - theta) + n_star * theta / (1 + theta)
        variance = theta * (1 - theta) * bracket / 20
        assert (theta - estimate) ** 2 == pytest.approx(z**2 * variance, rel=1e-4)
    assert 0 < low < estimate < high < 1


def test_newcombes_interval_mirrors_and_stays_a_probability_at_the_extremes():
    best, (low, high) = statistics.probability_of_improvement([1, 2, 3], [4, 5, 6])
    worst, (mirrored_low, mirrored_high) = statistics.probability_of_improvement(
        [4, 5, 6], [1, 2, 3]
    )

    assert (best, high, worst, mirrored_low) == (1.0, 1.0, 0.0, 0.0)
    assert low == pytest.approx(1 - mirrored_high)
    assert low > 0


def test_correlation_needs_pairs_and_spread():
    assert statistics.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert statistics.correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert statistics.correlation([1, 2], [2, 4]) is None
    assert statistics.correlation([1, 1, 1], [2, 4, 6]) is None
    assert statistics.correlation([1, 2, 3], [2, 4]) is None


# --- permutation test --------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), [(3, 0.10), (4, 0.0286), (5, 0.0079)])
def test_the_smallest_p_is_the_published_one_and_is_reached(n, p, generator):
    assert statistics.smallest_attainable_p(n, n) == pytest.approx(p, abs=5e-5)

    separated = statistics.permutation_p(np.arange(n), np.arange(n) + 100, generator)
    assert separated == pytest.approx(statistics.smallest_attainable_p(n, n))


def test_unequal_arms_have_no_mirrored_relabelling(generator):
    assert statistics.smallest_attainable_p(2, 4) == pytest.approx(1 / 15)

    p = statistics.permutation_p([0.0, 1.0], [100.0, 101.0, 102.0, 103.0], generator)
    assert p == pytest.approx(1 / 15)


def test_a_single_run_has_no_test(generator):
    assert statistics.smallest_attainable_p(1, 5) == 1.0
    assert statistics.permutation_p([1.0], [2.0, 3.0], generator) is None
    assert statistics.paired_permutation_p([1.0], [2.0], generator) is None


@pytest.mark.parametrize(("alpha", "n"), [(0.05, 4), (0.1, 3), (0.01, 5), (0.0079, 6), (0.34, 2)])
def test_the_seeds_needed_are_the_fewest_that_can_reach_alpha(alpha, n):
    assert statistics.seeds_needed(alpha) == n


def test_a_paired_comparison_needs_six_seeds():
    assert statistics.seeds_needed(0.05, paired=True) == 6


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.seeds_needed(alpha)


def test_the_enumerated_p_is_that_of_plain_counting(generator):
    baseline, variant = [1.3, 2.7, 0.4, 3.1], [2.2, 4.9, 3.0, 5.5]

    def welch_t(values):
        v, b = np.array(values[:4]), np.array(values[4:])
        return (v.mean() - b.mean()) / math.sqrt(v.var(ddof=1) / 4 + b.var(ddof=1) / 4)

    pooled = [*variant, *baseline]
    observed = abs(welch_t(pooled))
    reached = [abs(welch_t(order)) >= observed - 1e-9 for order in permutations(pooled)]

    p = statistics.permutation_p(baseline, variant, generator)
    assert p == pytest.approx(np.mean(reached))


def test_drawn_relabellings_agree_with_all_of_them(generator, monkeypatch):
    rng = np.random.default_rng(5)
    baseline, variant = rng.normal(0, 1, 7), rng.normal(0.9, 1, 7)
    exact = statistics.permutation_p(baseline, variant, generator)

    monkeypatch.setattr(statistics, "MAX_ENUMERATED", 10)
    assert statistics.permutation_p(baseline, variant, generator) == pytest.approx(exact, abs=0.01)


def test_drawn_relabellings_depend_on_the_generator_alone():
    rng = np.random.default_rng(5)
    baseline, variant = rng.normal(0, 1, 14), rng.normal(0.5, 1, 14)

    first, second = (
        statistics.permutation_p(baseline, variant, np.random.default_rng(9)) for _ in range(2)
    )
    assert first == second


def test_a_drawn_p_is_never_zero(generator):
    p = statistics.permutation_p(np.arange(15.0), np.arange(15.0) + 1000, generator)

    assert p == pytest.approx(1 / (statistics.RANDOM_DRAWS + 1))


def test_equal_constants_are_never_rejected_and_different_ones_by_counting(generator):
    assert statistics.permutation_p([5.1] * 4, [5.1] * 4, generator) == 1.0
    assert statistics.permutation_p([0.1] * 4, [0.3] * 4, generator) == pytest.approx(2 / 70)
    assert statistics.permutation_p([0.0] * 5, [0.0] * 5, generator) == 1.0


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_p_does_not_depend_on_units(scale, generator):
    baseline, variant = np.array([1.0, 2, 3, 4, 6]), np.array([3.0, 5, 4, 7, 9])
    expected = statistics.permutation_p(baseline, variant, generator)

    p = statistics.permutation_p(baseline * scale, variant * scale, generator)
    assert p == pytest.approx(expected)


def test_the_sign_flip_test_counts_sign_patterns(generator):
    baseline = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    variant = [value + 1 for value in baseline]

    assert statistics.paired_permutation_p(baseline, variant, generator) == pytest.approx(2 / 64)
    assert statistics.paired_permutation_p(baseline, baseline, generator) == 1.0


def test_the_sign_flip_test_draws_where_there_are_too_many_patterns(generator):
    baseline = np.arange(20.0)

    p = statistics.paired_permutation_p(baseline, baseline + 1, generator)
    assert p == pytest.approx(1 / (statistics.RANDOM_DRAWS + 1))


def test_a_true_null_is_rejected_at_most_as_often_as_stated(generator):
    rng = np.random.default_rng(11)
    rejected = sum(
        statistics.permutation_p(rng.lognormal(size=5), rng.lognormal(size=5), generator) <= 0.05
        for _ in range(1500)
    )

    # 12 of 252 relabellings may be rejected: 4.8 %, with a binomial error of 0.55 %
    assert 0.03 <= rejected / 1500 <= 0.063


# --- power -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "sd"), [(3, 3.07), (5, 2.02), (10, 1.32), (15, 1.06), (20, 0.91)])
def test_the_minimum_detectable_effect_is_the_published_one(n, sd):
    assert statistics.minimum_detectable_effect(n) == pytest.approx(sd, abs=0.005)


def test_a_single_run_detects_nothing():
    assert statistics.minimum_detectable_effect(1) is None


def test_the_seeds_for_an_effect_invert_the_minimum_detectable_effect():
    # Cohen's table: 64 a group for a medium effect, 26 for a large one
    assert statistics.seeds_for_effect(0.5) == 64
    assert statistics.seeds_for_effect(0.8) == 26
    for n in (3, 10, 20):
        effect = statistics.minimum_detectable_effect(n)
        assert statistics.seeds_for_effect(effect * 1.0001) == n


def test_an_effect_too_small_to_be_shown_asks_for_no_number():
    assert statistics.seeds_for_effect(1e-4) is None
    assert statistics.seeds_for_effect(0.0) is None


# --- published results -------------------------------------------------------------------------


def _rows(name):
    with (PUBLISHED / name).open(newline="") as file:
        return list(csv.DictReader(file))


@needs_published_data
@pytest.mark.parametrize("phase", ["offline", "online"])
def test_corls_table_is_reproduced_to_its_printed_digits(phase):
    runs = _rows("corl_finetune_last.csv")
    for cell in _rows("corl_finetune_published.csv"):
        scores = [
            float(run[f"{phase}_last"])
            for run in runs
            if (run["algo"], run["dataset"]) == (cell["algo"], cell["dataset"])
        ]
        assert len(scores) == 4
        assert np.mean(scores) == pytest.approx(float(cell[f"{phase}_mean"]), abs=0.00501)
        assert np.std(scores) == pytest.approx(float(cell[f"{phase}_sd0"]), abs=0.00501)


@needs_published_data
def test_adastops_agents_are_told_apart_where_the_authors_tell_them_apart(generator):
    scores: dict[str, list[float]] = {}
    for batch in sorted((PUBLISHED / "adastop_walker").glob("walker*.csv")):
        for row in _rows(f"adastop_walker/{batch.name}"):
            for agent in {"SAC", "PPO", "TRPO", "DDPG"} & row.keys():
                scores.setdefault(agent, []).append(float(row[agent]))

    assert {
        agent: (len(values), round(np.mean(values), 3)) for agent, values in scores.items()
    } == {
        "SAC": (10, 4543.398),
        "PPO": (10, 2901.528),
        "TRPO": (30, 1192.751),
        "DDPG": (30, 893.229),
    }
    assert statistics.permutation_p(scores["PPO"], scores["SAC"], generator) < 0.05
    assert statistics.permutation_p(scores["DDPG"], scores["PPO"], generator) < 0.05

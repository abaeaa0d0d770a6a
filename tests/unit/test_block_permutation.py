"""The permutation test within batches, against plain counting and its invariances."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis import statistics
from src.experiments.analysis.block_permutation import block_permutation_p, block_permutation_ps
from src.experiments.analysis.looks import smallest_p


def p_value(baseline, variant, blocks):
    return block_permutation_p(baseline, variant, blocks, np.random.default_rng(1))


def counted(baseline, variant, blocks):
    """The definition: |Welch's t| of every relabelling within blocks, one after the other."""
    pooled, start = [], 0
    for block in blocks:
        pooled.append([*variant[start : start + block], *baseline[start : start + block]])
        start += block

    def welch_t(choice):
        chosen = [[runs[i] for i in own] for runs, own in zip(pooled, choice, strict=True)]
        others = [
            [run for i, run in enumerate(runs) if i not in own]
            for runs, own in zip(pooled, choice, strict=True)
        ]
        v, b = np.concatenate(chosen), np.concatenate(others)
        error = math.sqrt(v.var(ddof=1) / len(v) + b.var(ddof=1) / len(b))
        return abs(v.mean() - b.mean()) / error

    observed = welch_t([tuple(range(block)) for block in blocks])
    choices = product(*(combinations(range(2 * block), block) for block in blocks))
    return np.mean([welch_t(choice) >= observed - 1e-9 for choice in choices])


@pytest.mark.parametrize("blocks", [(4,), (2, 2), (3, 1), (1, 1, 1, 1), (1, 2, 1)])
def test_the_p_is_that_of_plain_counting_with_welchs_statistic(blocks):
    baseline, variant = [1.3, 2.7, 0.4, 3.1], [2.2, 4.9, 3.0, 5.5]

    assert p_value(baseline, variant, blocks) == pytest.approx(counted(baseline, variant, blocks))


def test_one_block_gives_the_p_of_the_fixed_design():
    rng = np.random.default_rng(4)
    baseline, variant = rng.lognormal(size=7), rng.lognormal(0.5, size=7)

    expected = statistics.permutation_p(baseline, variant, rng)
    assert p_value(baseline, variant, (7,)) == pytest.approx(expected)


def test_blocks_of_one_give_the_p_of_the_sign_flip_test():
    rng = np.random.default_rng(4)
    baseline, variant = rng.normal(size=9), rng.normal(0.5, size=9)

    expected = statistics.paired_permutation_p(baseline, variant, rng)
    assert p_value(baseline, variant, (1,) * 9) == pytest.approx(expected)


@pytest.mark.parametrize("blocks", [(4, 2), (3, 3), (5,), (1,) * 8])
def test_separated_arms_reach_the_smallest_p(blocks):
    n = sum(blocks)

    p = p_value(np.arange(n), np.arange(n) + 1000.0, blocks)
    assert p == pytest.approx(smallest_p(blocks))


def test_drawn_relabellings_agree_with_all_of_them():
    rng = np.random.default_rng(6)
    baseline, variant = rng.normal(size=(1, 8)), rng.normal(0.8, 1, (1, 8))
    exact = block_permutation_ps(baseline, variant, (4, 4), rng)

    drawn = block_permutation_ps(baseline, variant, (4, 4), rng, most_enumerated=10)
    assert drawn == pytest.approx(exact, abs=0.01)
    assert drawn != pytest.approx(exact, abs=1e-9)


def test_a_drawn_p_counts_the_observed_labels():
    p = p_value(np.arange(20.0), np.arange(20.0) + 1000, (5, 5, 5, 5))

    assert p == pytest.approx(1 / (statistics.RANDOM_DRAWS + 1))


def test_many_experiments_at_once_give_the_p_of_each(monkeypatch):
    rng = np.random.default_rng(8)
    baseline, variant = rng.normal(size=(30, 6)), rng.normal(0.5, 1, (30, 6))
    each = [p_value(b, v, (4, 2)) for b, v in zip(baseline, variant, strict=True)]

    # in pieces of two experiments
    monkeypatch.setattr("src.experiments.analysis.block_permutation.CELLS_AT_ONCE", 1000)
    assert block_permutation_ps(baseline, variant, (4, 2), rng) == pytest.approx(each)


def test_equal_constants_are_never_rejected_and_different_ones_by_counting():
    assert p_value([5.1] * 4, [5.1] * 4, (2, 2)) == 1.0
    assert p_value([0.1 + 0.2] * 4, [0.3] * 4, (4,)) == 1.0
    assert p_value([0.1] * 4, [0.3] * 4, (2, 2)) == pytest.approx(2 / 36)


def test_scores_that_do_not_fill_the_blocks_are_refused():
    with pytest.raises(ValueError, match="the batches have 4 seeds per arm"):
        p_value([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], (2, 2))
    with pytest.raises(ValueError, match="the batches have 2 seeds per arm"):
        p_value([1.0, 2.0], [1.0, 2.0, 3.0], (2,))


def test_a_failed_run_is_not_taken_for_a_score():
    with pytest.raises(ValueError, match="not finite; impute"):
        p_value([1.0, float("nan")], [1.0, 2.0], (2,))


def test_a_true_null_is_rejected_at_most_as_often_as_stated():
    rng = np.random.default_rng(12)
    p = block_permutation_ps(
        rng.lognormal(size=(4000, 6)), rng.lognormal(size=(4000, 6)), (3, 3), rng
    )

    # 20 of 400 relabellings may be rejected: 5 %, with a binomial error of 0.35 %
    assert 0.036 <= np.mean(p <= 0.05) <= 0.064


SCORES = st.integers(-10_000, 10_000).map(lambda value: value / 100)
BLOCKS = st.sampled_from([(4,), (2, 2, 2), (3, 1), (4, 2), (1,) * 6, (5, 5, 5)])


@st.composite
def experiments(draw):
    blocks = draw(BLOCKS)
    n = sum(blocks)
    arms = [draw(st.lists(SCORES, min_size=n, max_size=n)) for _ in range(2)]
    return np.array(arms[0]), np.array(arms[1]), blocks


@settings(deadline=None, max_examples=30)
@given(experiments())
def test_swapped_arms_have_the_same_p(experiment):
    baseline, variant, blocks = experiment

    assert p_value(variant, baseline, blocks) == p_value(baseline, variant, blocks)


@settings(deadline=None, max_examples=30)
@given(experiments(), st.sampled_from([1e-6, 0.37, 1.0, 8.0, 1e6]), st.integers(-1000, 1000))
def test_the_p_does_not_depend_on_units_and_zero(experiment, scale, offset):
    baseline, variant, blocks = experiment

    p = p_value(scale * (baseline + offset), scale * (variant + offset), blocks)
    assert p == p_value(baseline, variant, blocks)


@settings(deadline=None, max_examples=30)
@given(experiments(), st.randoms(use_true_random=False))
def test_the_p_does_not_depend_on_the_order_within_a_batch(experiment, random):
    baseline, variant, blocks = experiment
    order, start = [], 0
    for block in blocks:
        own = list(range(start, start + block))
        random.shuffle(own)
        order += own
        start += block

    assert p_value(baseline[order], variant, blocks) == p_value(baseline, variant, blocks)


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 11), st.integers(2, 11), st.integers(0, 1000))
def test_the_fixed_designs_p_knows_nothing_of_arms_rows_and_units(n_baseline, n_variant, seed):
    rng = np.random.default_rng(seed)
    baseline, variant = rng.normal(size=n_baseline).round(2), rng.normal(size=n_variant).round(2)

    def p(first, second):
        return statistics.permutation_p(first, second, np.random.default_rng(3))

    expected = p(baseline, variant)
    assert p(variant, baseline) == expected
    assert p(rng.permutation(baseline), rng.permutation(variant)) == expected
    assert p(5.0 * baseline - 3.0, 5.0 * variant - 3.0) == pytest.approx(expected)

"""The plan of looks: where it looks, at which level, and what can come out there."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis.looks import (
    blocks_within,
    fewest_max_seeds,
    plan_looks,
    smallest_p,
)


def looked_at(plan):
    return [look.n_per_arm for look in plan.looks]


@pytest.mark.parametrize("first_look", [1, 2, 4, 5])
def test_with_batches_of_one_the_first_of_ten_seeds_that_can_reject_is_the_eighth(first_look):
    plan = plan_looks(first_look, 1, 10)

    assert looked_at(plan) == [8, 9, 10]
    assert plan.futility_only == tuple(range(first_look, 8))


@pytest.mark.parametrize("first_look", [2, 4, 6])
def test_with_batches_of_two_it_is_the_sixth(first_look):
    plan = plan_looks(first_look, 2, 10)

    assert looked_at(plan) == [6, 8, 10]


def test_a_plan_whose_looks_all_can_reject_keeps_them():
    plan = plan_looks(6, 3, 15)

    assert plan.blocks == (6, 3, 3, 3)
    assert plan.futility_only == ()
    assert looked_at(plan) == [6, 9, 12, 15]
    assert [look.nominal_level for look in plan.looks] == pytest.approx(
        [0.0080, 0.0137, 0.0228, 0.0347], abs=5e-5
    )
    assert [look.spent_alpha for look in plan.looks] == pytest.approx(
        [0.05 * (n / 15) ** 2 for n in (6, 9, 12, 15)]
    )
    assert plan.looks[0].smallest_p == pytest.approx(2 / math.comb(12, 6))
    assert plan.looks[1].smallest_p == pytest.approx(2 / (math.comb(12, 6) * 20))


def test_a_look_that_spends_nothing_leaves_its_alpha_to_the_next():
    plan = plan_looks(5, 3, 20)

    assert plan.futility_only == (5,)
    assert plan.looks[0].n_per_arm == 8
    assert plan.looks[0].nominal_level == pytest.approx(0.05 * 0.4**2)


def test_the_last_look_is_at_the_largest_number_of_seeds_and_its_batch_may_be_smaller():
    plan = plan_looks(6, 4, 16)

    assert plan.blocks == (6, 4, 4, 2)
    assert looked_at(plan) == [6, 10, 14, 16]
    assert plan.looks[-1].spent_alpha == pytest.approx(0.05)


def test_a_first_look_at_all_seeds_is_a_fixed_design():
    (look,) = plan_looks(10, 5, 10).looks

    assert (look.n_per_arm, look.nominal_level) == (10, pytest.approx(0.05))
    assert look.smallest_p == pytest.approx(2 / math.comb(20, 10))


def test_a_plan_that_can_never_reject_says_so():
    plan = plan_looks(2, 1, 3)

    assert looked_at(plan) == [3]
    assert not plan.can_reject
    assert plan_looks(4, 2, 10).can_reject


@pytest.mark.parametrize(
    ("numbers", "fewest"), [((2, 1), 6), ((2, 2), 5), ((4, 2), 4), ((3, 1, 0.01), 8)]
)
def test_the_fewest_seeds_of_a_plan_that_can_reject_are_known(numbers, fewest):
    first_look, batch, *alpha = numbers

    assert fewest_max_seeds(first_look, batch, *alpha) == fewest
    assert plan_looks(first_look, batch, fewest, *alpha).can_reject
    if fewest > first_look:
        assert not plan_looks(first_look, batch, fewest - 1, *alpha).can_reject


def test_paired_labels_are_swapped_within_pairs():
    plan = plan_looks(6, 3, 15, paired=True)

    assert plan.blocks == (1,) * 15
    assert plan.looks[0].n_per_arm == 9
    assert plan.looks[0].smallest_p == pytest.approx(2.0**-8)


def test_the_plan_is_plain_data():
    plan = plan_looks(4, 2, 10)

    told = json.loads(json.dumps(plan.to_dict()))
    assert (told["max_seeds"], told["blocks"]) == (10, [4, 2, 2, 2])
    assert told["futility_only"] == [4]
    assert told["looks"][0].keys() == {
        "n_per_arm",
        "spent_alpha",
        "nominal_level",
        "critical_value",
        "smallest_p",
    }
    assert told["looks"][0]["n_per_arm"] == 6


def test_the_smallest_p_counts_the_relabellings_of_every_block():
    assert smallest_p((5,)) == pytest.approx(0.0079, abs=5e-5)
    assert smallest_p((1,) * 8) == pytest.approx(2 / 256)
    assert smallest_p((4, 2)) == pytest.approx(2 / (70 * 6))


def test_a_batch_is_never_cut():
    assert blocks_within((4, 2, 2), 6) == (4, 2)
    with pytest.raises(ValueError, match="5 seeds per arm end within a batch"):
        blocks_within((4, 2, 2), 5)


@settings(deadline=None, max_examples=60)
@given(
    first_look=st.integers(1, 12),
    batch=st.integers(1, 6),
    more=st.integers(0, 20),
    alpha=st.floats(0.005, 0.2),
)
def test_every_plan_rises_to_its_end_and_spends_alpha_once(first_look, batch, more, alpha):
    most = max(2, first_look + more)
    plan = plan_looks(first_look, batch, most, alpha)

    assert sum(plan.blocks) == most == plan.looks[-1].n_per_arm
    assert list(plan.points) == sorted({*range(first_look, most, batch), most})
    assert all(look.can_reject for look in plan.looks[:-1])
    assert plan.looks[-1].spent_alpha == pytest.approx(alpha)
    for look in plan.looks:
        assert 0 < look.nominal_level <= look.spent_alpha * (1 + 1e-9)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 1, 10), "at least one seed per arm"),
        ((4, 0, 10), "at least one seed per arm"),
        ((8, 2, 6), "max_seeds 6 is too few for a first look after 8; give at least 8"),
        ((1, 1, 1), "give at least 2"),
        ((4, 2, 10, 0.0), "alpha must lie between 0 and 1"),
        ((4, 2, 10, float("nan")), "alpha must lie between 0 and 1"),
    ],
)
def test_numbers_of_which_no_plan_can_be_made_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        plan_looks(*numbers)

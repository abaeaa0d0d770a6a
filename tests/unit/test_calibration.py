"""A/A calibration: the rule on equal groups, and what chance alone looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.experiments.analysis import compare
from src.experiments.analysis.calibration import CALIBRATION_SEED, calibrate, caveat, sentence
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.power import seeds_for
from src.experiments.analysis.sequential import Decision, follow
from src.experiments.analysis.statistics import minimum_detectable_effect
from src.experiments.domain.errors import UsageError
from src.experiments.domain.records import TrainingResult
from src.experiments.domain.verdicts import DecisionRule, Verdict

RUNS = np.random.default_rng(3).normal(100.0, 15.0, 200)
FEW = [3.0, 5.0, 4.0, 9.0, 1.0, 7.5]
DECIDED = (Verdict.VARIANT_BETTER, Verdict.VARIANT_WORSE)


def groups(runs: list[float], pairs: int, n: int) -> list[np.ndarray]:
    """The groups that a calibration draws."""
    generator = np.random.default_rng(CALIBRATION_SEED)
    return [generator.choice(runs, (pairs, n), replace=True) for _ in range(2)]


def as_runs(arm: str, scores: np.ndarray) -> list[TrainingResult]:
    blank = TrainingResult(True, 100, 1.0, 0.0, 0.0, "x", "PPO", "CartPole-v1", 0, arm=arm)
    return [replace(blank, seed=s, final_return=float(v)) for s, v in enumerate(scores)]


@pytest.mark.parametrize("n", [5, 10])
def test_equal_arms_are_called_different_about_as_often_as_accepted(n):
    found = calibrate(RUNS, n)

    assert found.false_positive_rate == pytest.approx(0.05, abs=0.01)
    assert found.standard_error == pytest.approx((0.05 * 0.95 / found.pairs) ** 0.5, rel=0.1)
    assert not found.is_too_high


def test_looks_do_not_raise_the_false_alarms_and_need_fewer_seeds():
    found = calibrate(RUNS, 10, plan=plan_looks(4, 2, 10))

    assert 0.03 < found.false_positive_rate < 0.06
    # of ten seeds a true null takes 36 % fewer
    assert found.expected_seeds == pytest.approx(6.4, abs=0.2)


@pytest.mark.parametrize("paired", [False, True])
def test_it_is_the_verdicts_own_rule(paired):
    rule = DecisionRule(alpha=0.2, paired=paired)
    baseline, variant = groups(FEW, 60, 5)

    found = calibrate(FEW, 5, 0.2, paired=paired, pairs=60)

    verdicts = [
        compare({"a": as_runs("a", b), "b": as_runs("b", v)}, rule).verdict
        for b, v in zip(baseline, variant, strict=True)
    ]
    assert found.false_positive_rate == np.mean([verdict in DECIDED for verdict in verdicts])
    assert found.false_positive_rate > 0


def test_it_is_the_plans_own_rule():
    plan = plan_looks(4, 2, 8, 0.3)
    baseline, variant = groups(FEW, 60, 8)

    found = calibrate(FEW, 8, 0.3, plan=plan, pairs=60)

    taken = [follow(b, v, plan, 0) for b, v in zip(baseline, variant, strict=True)]
    rejected = [looks[-1].decision is Decision.REJECT for looks in taken]
    assert found.false_positive_rate == np.mean(rejected) > 0
    assert found.expected_seeds == np.mean([looks[-1].n_per_arm for looks in taken])


def test_groups_that_are_too_small_are_never_called_different():
    assert calibrate(RUNS, 3).false_positive_rate == 0.0


def test_what_chance_does_to_the_means_follows_from_the_runs():
    # of two coins each, all heads against all tails comes one time in eight
    found = calibrate([0.0, 1.0], 2)

    assert found.chance_difference == 1.0
    assert found.sd == pytest.approx(0.5**0.5)
    # of normal ones 5 % lie beyond 1.96 standard errors
    wide = calibrate(RUNS, 10)
    assert wide.chance_difference == pytest.approx(1.96 * RUNS.std() * 0.2**0.5, rel=0.04)


def test_power_is_told_in_units_of_the_metric():
    found = calibrate(FEW, 10, effects=(2.0, 8.0))

    assert found.minimum_detectable == pytest.approx(minimum_detectable_effect(10) * found.sd)
    assert [(each.effect, each.seeds_per_arm) for each in found.needed] == [
        (effect, seeds_for(effect, found.sd, alpha=0.05, power=0.8)) for effect in (2.0, 8.0)
    ]


def test_without_an_effect_shares_of_the_spread_are_told():
    needed = calibrate(FEW, 10).needed

    assert [each.seeds_per_arm for each in needed] == [64, 17, 6]


def test_it_says_the_same_every_time():
    assert calibrate(FEW, 5) == calibrate(FEW, 5)


def test_runs_that_do_not_vary_are_never_different():
    found = calibrate([5.0, 5.0, 5.0], 4)

    assert (found.false_positive_rate, found.sd, found.chance_difference) == (0.0, 0.0, 0.0)
    assert found.needed == ()


def test_the_sentence_tells_the_rate_its_error_and_what_is_accepted():
    found = replace(calibrate(FEW, 5), false_positive_rate=0.031, standard_error=0.0017)

    assert "calls 3.1 % ± 0.17 % different, and 5 % are accepted" in sentence(found)
    too_high = replace(found, false_positive_rate=0.09)
    assert too_high.is_too_high
    assert "more often than accepted" in sentence(too_high)


def test_the_caveat_tells_what_few_runs_cannot_have_seen():
    few, many = calibrate(FEW, 5), calibrate(RUNS, 5)

    # .95 to the sixth
    assert (
        "what happens to 5 % of the seeds is missing from a sample of this size with a probability "
        "of 74 %"
    ) in (caveat(few))
    assert "orders of magnitude" in caveat(few)
    assert "orders of magnitude" not in caveat(many)


@pytest.mark.parametrize(
    ("runs", "n", "what"),
    [
        ([], 5, "there are 0 runs with a score"),
        ([1.0], 5, "there is 1 run with a score"),
        (FEW, 1, "groups of 1 seeds cannot be calibrated"),
        (FEW, 1001, "groups of 1001 seeds"),
    ],
)
def test_what_cannot_be_resampled_is_refused(runs, n, what):
    with pytest.raises(UsageError, match=what):
        calibrate(runs, n)

"""Metrics beside the primary one: measured alike, corrected for their number, deciding nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.experiments.analysis import compare
from src.experiments.analysis.secondary import secondary_metrics
from src.experiments.domain.records import RunStatus, TrainingResult
from src.experiments.domain.verdicts import DecisionRule

LOW, HIGH = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 15.5]
NOISE = [10.0, 14.0, 9.0, 15.0, 12.0], [11.0, 13.0, 10.0, 15.5, 12.0]


def runs(arm: str, **metrics: list[float]) -> list[TrainingResult]:
    blank = TrainingResult(True, 100, 1.0, 0.0, 0.0, "x", "PPO", "CartPole-v1", 0, arm=arm)
    return [
        replace(blank, seed=seed, **dict(zip(metrics, values, strict=True)))
        for seed, values in enumerate(zip(*metrics.values(), strict=True))
    ]


def pair() -> dict[str, list[TrainingResult]]:
    return {
        "baseline": runs("baseline", final_return=LOW, final_mean_reward=NOISE[0], auc=LOW),
        "variant": runs("variant", final_return=HIGH, final_mean_reward=NOISE[1], auc=HIGH),
    }


def test_each_other_metric_is_measured_as_if_it_were_asked():
    found = {each.metric: each for each in secondary_metrics(pair(), DecisionRule())}

    assert list(found) == ["final_mean_reward", "auc"]
    for metric, each in found.items():
        alone = compare(pair(), DecisionRule(metric=metric))
        assert (each.effect, each.interval, each.p_value, each.n_per_arm) == (
            alone.effect,
            alone.interval,
            alone.p_value,
            alone.n_per_arm,
        )


def test_p_values_pay_for_their_number():
    evaluation, auc = secondary_metrics(pair(), DecisionRule())

    assert auc.adjusted_p == pytest.approx(2 * auc.p_value)
    assert evaluation.adjusted_p == pytest.approx(evaluation.p_value)


def test_the_primary_metric_is_whichever_the_rule_names():
    found = secondary_metrics(pair(), DecisionRule(metric="auc"))

    assert [each.metric for each in found] == ["final_return", "final_mean_reward"]


def test_they_are_labelled_as_secondary():
    evaluation, _ = secondary_metrics(pair(), DecisionRule())

    assert evaluation.label == "mean return of the final evaluation (secondary)"
    assert evaluation.to_dict()["role"] == "secondary"


def test_a_failed_run_counts_with_its_floor_and_a_gap_is_not_corrected_for():
    results = pair()
    failed = replace(results["variant"][1], success=False, status=RunStatus.FAILED, fault="run")
    results["variant"][1] = replace(failed, final_return=None, final_mean_reward=None, auc=None)
    results["baseline"][0] = replace(results["baseline"][0], final_mean_reward=None)

    evaluation, auc = secondary_metrics(results, DecisionRule(floors={"variant": 0.0}))

    assert auc.effect == pytest.approx((11 + 0 + 13 + 14 + 15.5) / 5 - 3)
    assert auc.adjusted_p == auc.p_value
    assert (evaluation.effect, evaluation.p_value, evaluation.adjusted_p) == (None, None, None)


def test_of_a_sequential_design_the_analysed_runs_are_compared():
    analysed = {"baseline": 4, "variant": 4}

    _, auc = secondary_metrics(pair(), DecisionRule(), analysed)

    assert auc.n_per_arm == analysed
    assert auc.effect == pytest.approx(12.5 - 2.5)

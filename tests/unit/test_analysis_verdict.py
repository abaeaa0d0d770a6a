"""The verdict: its order of cases, its sentence, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from src.experiments.analysis import compare
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import RunStatus, TrainingResult
from src.experiments.domain.verdicts import DecisionRule, Verdict


def run(arm, seed, value, *, status=RunStatus.COMPLETED):
    return TrainingResult(
        success=status is RunStatus.COMPLETED,
        total_timesteps=1000,
        training_time=2.0,
        final_mean_reward=value,
        final_std_reward=1.0,
        experiment_name="test",
        algorithm="PPO",
        environment_name="CartPole-v1",
        seed=seed,
        arm=arm,
        status=status,
        final_return=value,
        auc=value,
    )


def arms(baseline, variant):
    return {
        "baseline": [run("baseline", seed, float(v)) for seed, v in enumerate(baseline)],
        "variant": [run("variant", seed, float(v)) for seed, v in enumerate(variant)],
    }


LOW, HIGH = [1, 2, 3, 4, 5], [11, 12, 13, 14, 15.5]
NOISE = [10, 14, 9, 15, 12], [11, 13, 10, 15.5, 12]


# --- a single seed -----------------------------------------------------------------------------


def test_a_single_seed_is_insufficient_evidence_and_names_the_seeds_that_would_do():
    comparison = compare(arms([180.1], [212.3]), DecisionRule())

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert comparison.effect == pytest.approx(32.2)
    assert comparison.interval is None
    assert comparison.p_value is None
    assert comparison.n_per_arm == {"baseline": 1, "variant": 1}
    assert comparison.failed_per_arm == {"baseline": 0, "variant": 0}
    assert comparison.sentence == (
        "One run per arm says nothing about the algorithms: the variant's final return is 212.3 "
        "against the baseline's 180.1, a difference of +32.20, which another seed may reverse. "
        'Run at least 4 seeds per arm ("seeds": 4); with fewer the permutation test cannot reach '
        "p ≤ 0.05."
    )


@pytest.mark.parametrize(("alpha", "seeds"), [(0.05, 4), (0.01, 5), (0.1, 3)])
def test_the_seeds_that_would_do_follow_from_alpha(alpha, seeds):
    comparison = compare(arms([1], [2]), DecisionRule(alpha=alpha))

    assert f'"seeds": {seeds}' in comparison.sentence


def test_equal_scores_of_a_single_seed_are_no_result_either():
    comparison = compare(arms([500], [500]), DecisionRule(equivalence_margin=10))

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "reverse" not in comparison.sentence


def test_three_seeds_cannot_reach_alpha_however_far_apart_they_are():
    comparison = compare(arms([1, 2, 3], [101, 102, 103]), DecisionRule())

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert comparison.p_value == pytest.approx(0.1)
    assert "3 seeds per arm are too few" in comparison.sentence


def test_few_seeds_of_one_arm_can_decide_where_the_other_has_many():
    many = [10, 14, 9, 15, 12, 11, 13, 8, 16, 12.5]

    apart = compare(arms([101, 103, 102], many), DecisionRule())
    alike = compare(arms([11, 12.2, 13.3], many), DecisionRule())

    assert apart.verdict is Verdict.VARIANT_WORSE
    assert alike.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert "cannot reach" not in alike.sentence


def test_unequal_arms_that_cannot_decide_are_told_with_both_their_numbers():
    comparison = compare(arms([1, 2], [5, 6, 7, 8]), DecisionRule())

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "2 and 4 seeds are too few to decide" in comparison.sentence


# --- the order of the cases --------------------------------------------------------------------


def test_a_rejection_upwards_is_better():
    comparison = compare(arms(LOW, HIGH), DecisionRule())

    assert comparison.verdict is Verdict.VARIANT_BETTER
    assert comparison.effect == pytest.approx(10.1)
    assert comparison.interval[0] < 10.1 < comparison.interval[1]
    assert comparison.p_value == pytest.approx(2 / 252)
    assert comparison.sentence.startswith("The variant is better: its final return is 13.10")
    assert "5 seeds per arm" in comparison.sentence


def test_a_rejection_downwards_is_worse():
    assert compare(arms(HIGH, LOW), DecisionRule()).verdict is Verdict.VARIANT_WORSE


def test_minimising_turns_the_verdict_and_not_the_effect():
    lower_is_better = DecisionRule(direction="minimize")

    worse = compare(arms(LOW, HIGH), lower_is_better)
    assert worse.verdict is Verdict.VARIANT_WORSE
    assert worse.effect == pytest.approx(10.1)
    assert "lower is better" in worse.sentence
    assert compare(arms(HIGH, LOW), lower_is_better).verdict is Verdict.VARIANT_BETTER


def test_a_rejection_comes_before_equivalence():
    comparison = compare(arms(LOW, HIGH), DecisionRule(equivalence_margin=1000))

    assert comparison.verdict is Verdict.VARIANT_BETTER


def test_an_interval_inside_the_margin_is_equivalent():
    comparison = compare(arms(*NOISE), DecisionRule(equivalence_margin=20))

    assert comparison.verdict is Verdict.EQUIVALENT
    assert "±20" in comparison.sentence


def test_an_interval_that_touches_the_margin_is_not_equivalent():
    low, high = compare(arms(*NOISE), DecisionRule()).interval

    touching = DecisionRule(equivalence_margin=max(-low, high))
    assert compare(arms(*NOISE), touching).verdict is Verdict.NO_DIFFERENCE_SHOWN


def test_nothing_rejected_and_nothing_asked_is_no_difference_shown():
    comparison = compare(arms(*NOISE), DecisionRule())

    assert comparison.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert "does not prove the arms equal" in comparison.sentence
    assert "80 % power" in comparison.sentence


def test_seeds_that_cannot_show_the_minimum_effect_are_insufficient():
    comparison = compare(arms(*NOISE), DecisionRule(minimum_effect=2.0))

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "2 matters here" in comparison.sentence
    assert "Run about" in comparison.sentence


def test_seeds_that_can_show_the_minimum_effect_show_no_difference():
    comparison = compare(arms(*NOISE), DecisionRule(minimum_effect=50.0))

    assert comparison.verdict is Verdict.NO_DIFFERENCE_SHOWN


def test_a_minimum_effect_beyond_any_number_of_seeds_is_said():
    comparison = compare(arms(*NOISE), DecisionRule(minimum_effect=1e-6))

    assert "No affordable number of seeds" in comparison.sentence


# --- constant samples --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_equal_constants_show_no_difference(n):
    comparison = compare(arms([500] * n, [500] * n), DecisionRule())

    assert comparison.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert comparison.effect == 0
    assert comparison.interval == (0.0, 0.0)


def test_equal_constants_are_equivalent_when_a_margin_asks():
    comparison = compare(arms([500] * 5, [500] * 5), DecisionRule(equivalence_margin=1))

    assert comparison.verdict is Verdict.EQUIVALENT


def test_different_constants_are_decided_by_the_permutation_test_alone():
    rule = DecisionRule(equivalence_margin=100)

    enough = compare(arms([5] * 4, [7] * 4), rule)
    assert enough.verdict is Verdict.VARIANT_BETTER
    assert enough.interval is None
    too_few = compare(arms([5] * 3, [7] * 3), rule)
    assert too_few.verdict is Verdict.INSUFFICIENT_EVIDENCE


# --- failed runs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "failed", "told", "advice"),
    [
        (RunStatus.FAILED, 1, "failed", "Fix the cause and continue the experiment."),
        (RunStatus.SKIPPED, 1, "skipped", "Fix the cause and continue the experiment."),
        (RunStatus.INTERRUPTED, 0, "not finished", "that fails. Continue the experiment."),
        (RunStatus.QUEUED, 0, "not finished", "that fails. Continue the experiment."),
    ],
)
def test_a_run_without_a_score_prevents_a_verdict_and_counts_as_failed_if_tried(
    status, failed, told, advice
):
    results = arms(LOW, HIGH)
    results["variant"][2] = run("variant", 2, None, status=status)

    comparison = compare(results, DecisionRule())

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert comparison.n_per_arm == {"baseline": 5, "variant": 4}
    assert comparison.failed_per_arm == {"baseline": 0, "variant": failed}
    assert comparison.effect is None
    assert comparison.p_value is None
    assert f"1 of 5 variant runs has no score (seed 2: {told})" in comparison.sentence
    assert comparison.sentence.endswith(advice)


def test_a_score_left_by_a_failed_run_does_not_count():
    results = arms(LOW, HIGH)
    results["variant"][0] = run("variant", 0, 1e9, status=RunStatus.FAILED)

    assert compare(results, DecisionRule()).failed_per_arm["variant"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_completed_run_without_a_finite_score_is_no_run_to_compare(value):
    results = arms(LOW, HIGH)
    results["baseline"][4] = run("baseline", 4, value)

    comparison = compare(results, DecisionRule())
    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "seed 4: no finite score" in comparison.sentence


def test_an_arm_without_any_run_is_insufficient_evidence():
    comparison = compare({"baseline": arms(LOW, [])["baseline"], "variant": []}, DecisionRule())

    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "the variant has no finished run" in comparison.sentence


# --- metrics, pairs, refusals ------------------------------------------------------------------


def test_the_metric_of_the_rule_is_the_one_compared():
    results = arms([0] * 5, [0] * 5)
    results["variant"] = [
        TrainingResult(**{**vars(result), "auc": value, "runs": ()})
        for result, value in zip(results["variant"], HIGH, strict=True)
    ]

    assert compare(results, DecisionRule(metric="auc")).verdict is Verdict.VARIANT_BETTER
    assert compare(results, DecisionRule()).verdict is Verdict.NO_DIFFERENCE_SHOWN


def test_pairing_uses_the_differences_by_seed():
    # a common shift of 1 under a spread of 100 between seeds
    baseline = [0, 100, 200, 300, 400, 500, 600]
    variant = [1.1, 100.9, 201, 301.1, 400.9, 501, 601]

    paired = compare(arms(baseline, variant), DecisionRule(paired=True))
    assert paired.verdict is Verdict.VARIANT_BETTER
    assert paired.p_value == pytest.approx(2 / 2**7)
    assert paired.interval[1] - paired.interval[0] < 0.3
    unpaired = compare(arms(baseline, variant), DecisionRule())
    assert unpaired.verdict is Verdict.NO_DIFFERENCE_SHOWN


def test_pairing_goes_by_seed_and_not_by_order():
    results = arms([0, 100, 200, 300, 400, 500], [1, 101, 201, 301, 401, 501.5])
    results["variant"].reverse()

    assert compare(results, DecisionRule(paired=True)).verdict is Verdict.VARIANT_BETTER


def test_pairing_needs_the_same_seeds():
    results = arms(LOW, HIGH)
    results["variant"][0] = run("variant", 99, 11.0)

    comparison = compare(results, DecisionRule(paired=True))
    assert comparison.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "same seeds" in comparison.sentence


def test_two_results_of_one_seed_are_refused():
    results = arms(LOW, HIGH)
    results["variant"].append(run("variant", 3, 99.0))

    with pytest.raises(ValueError, match="arm variant: seed 3 has more than one result"):
        compare(results, DecisionRule())


@pytest.mark.parametrize(
    "rule", [DecisionRule(metric="episode_length"), DecisionRule(direction="up")]
)
def test_an_unknown_metric_or_direction_is_refused(rule):
    with pytest.raises(ValueError, match="unknown"):
        compare(arms(LOW, HIGH), rule)


def test_other_than_two_arms_are_refused():
    with pytest.raises(ValueError, match="two arms"):
        compare({"baseline": []}, DecisionRule())


def test_arms_may_have_other_names():
    results = arms(LOW, HIGH)
    comparison = compare({"ppo": results["baseline"], "trpo": results["variant"]}, DecisionRule())

    assert comparison.sentence.startswith("The trpo is better")
    assert comparison.n_per_arm == {"ppo": 5, "trpo": 5}


def test_many_seeds_give_the_same_answer_every_time():
    results = arms(range(15), [value + 3 for value in range(15)])

    assert compare(results, DecisionRule()) == compare(results, DecisionRule())


def test_a_comparison_is_plain_json():
    comparison = compare(arms(LOW, HIGH), DecisionRule())

    data = json.loads(json.dumps(comparison.to_dict()))
    assert data["verdict"] == "variant_better"
    assert set(data) == {
        *("verdict", "sentence", "metric", "effect", "interval", "alpha", "p_value", "looks"),
        *("n_per_arm", "failed_per_arm"),
    }


# --- nothing was learned -----------------------------------------------------------------------


def idle(results, *names):
    return {
        arm: [replace(each, learned=arm not in names) for each in runs]
        for arm, runs in results.items()
    }


def in_looks(results, rule):
    return compare_in_looks(results, rule, plan_looks(3, 2, 5, rule.alpha))


@pytest.mark.parametrize("judge", [compare, in_looks])
@pytest.mark.parametrize("scores", [(LOW, HIGH), ([0] * 5, [0] * 5)])
def test_where_no_run_changed_a_parameter_the_sentence_begins_with_it(judge, scores):
    rule = DecisionRule(equivalence_margin=0.05)
    expected = judge(arms(*scores), rule)
    comparison = judge(idle(arms(*scores), "baseline", "variant"), rule)

    assert comparison.sentence.startswith("Nothing was learned: training changed no parameter")
    assert "learning_starts" in comparison.sentence
    assert comparison.sentence.endswith(expected.sentence)
    assert replace(comparison, sentence=expected.sentence) == expected


@pytest.mark.parametrize("judge", [compare, in_looks])
def test_an_arm_that_learned_nothing_may_lose_to_one_that_did(judge):
    results = arms(HIGH, LOW)

    assert judge(idle(results, "variant"), DecisionRule()) == judge(results, DecisionRule())


def test_of_language_models_the_sentence_names_other_causes():
    results = {
        arm: [replace(each, algorithm="GRPO", learned=False) for each in runs]
        for arm, runs in arms([0, 0], [0, 0]).items()
    }

    assert "max_completion_length" in compare(results, DecisionRule()).sentence


def test_runs_that_failed_have_learned_neither_something_nor_nothing():
    failed = run("variant", 2, None, status=RunStatus.FAILED)
    results = idle(arms([0, 0, 0], [0, 0]), "baseline", "variant")
    comparison = compare({**results, "variant": [*results["variant"], failed]}, DecisionRule())

    assert failed.learned is None
    assert comparison.sentence.startswith("Nothing was learned")

"""A run that failed through its own fault scores the floor; the machine's failures leave gaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import scipy

from src.experiments.analysis import compare
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sensitivity import sensitivity
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import RunStatus, TrainingResult
from src.experiments.domain.verdicts import DecisionRule, Verdict

FLOORS = {"baseline": 20.0, "variant": 30.0}
RULE = DecisionRule(floors=FLOORS)
PLAN = plan_looks(4, 2, 10)
NAN = float("nan")


def completed(arm: str, values: list[float]) -> list[TrainingResult]:
    blank = TrainingResult(True, 100, 1.0, 0.0, 0.0, "x", "PPO", "CartPole-v1", 0, arm=arm)
    return [replace(blank, seed=seed, final_return=value) for seed, value in enumerate(values)]


def ended(run: TrainingResult, status: RunStatus, fault: str | None = None) -> TrainingResult:
    return replace(run, success=False, status=status, fault=fault, final_return=None)


def failed(run: TrainingResult) -> TrainingResult:
    return ended(run, RunStatus.FAILED, "run")


def results(baseline: list[float], variant: list[float]) -> dict[str, list[TrainingResult]]:
    return {"baseline": completed("baseline", baseline), "variant": completed("variant", variant)}


def pair() -> dict[str, list[TrainingResult]]:
    return results([200.0, 210.0, 220.0, 230.0, 240.0], [300.0, 310.0, 320.0, 330.0, 340.0])


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.SKIPPED])
def test_a_run_that_failed_through_its_own_fault_counts_with_its_arms_floor(status):
    runs = pair()
    runs["variant"][1] = ended(runs["variant"][1], status, "run")

    found = compare(runs, RULE)

    assert found.effect == pytest.approx((300 + 30 + 320 + 330 + 340) / 5 - 220)
    assert found.n_per_arm == {"baseline": 5, "variant": 5}
    assert found.failed_per_arm == {"baseline": 0, "variant": 1}
    assert "with their arm's floor: 1 of 5 variant runs with 30.00." in found.sentence


def test_the_floor_counts_exactly_as_a_score_of_that_size_would():
    runs = pair()
    runs["baseline"][0], runs["variant"][4] = (
        failed(runs["baseline"][0]),
        failed(runs["variant"][4]),
    )
    as_scores = results([20.0, 210.0, 220.0, 230.0, 240.0], [300.0, 310.0, 320.0, 330.0, 30.0])

    found, plain = compare(runs, RULE), compare(as_scores, RULE)

    assert (found.verdict, found.effect, found.interval, found.p_value, found.n_per_arm) == (
        plain.verdict,
        plain.effect,
        plain.interval,
        plain.p_value,
        plain.n_per_arm,
    )
    assert "1 of 5 baseline runs with 20.00 and 1 of 5 variant runs with 30.00" in found.sentence


@pytest.mark.parametrize("value", [NAN, float("inf"), float("-inf")])
def test_a_run_that_completed_with_a_score_that_is_not_finite_has_failed(value):
    runs = pair()
    runs["variant"][1] = replace(runs["variant"][1], final_return=value)

    found = compare(runs, RULE)

    assert found.n_per_arm["variant"] == 5
    assert found.failed_per_arm["variant"] == 1
    assert "variant runs with 30.00" in found.sentence


@pytest.mark.parametrize(
    ("status", "fault", "counted"),
    [
        (RunStatus.FAILED, "machine", 1),
        (RunStatus.SKIPPED, "machine", 1),
        (RunStatus.FAILED, None, 1),
        (RunStatus.QUEUED, None, 0),
        (RunStatus.RUNNING, None, 0),
        (RunStatus.INTERRUPTED, "machine", 0),
    ],
)
def test_the_machines_failures_and_runs_to_come_leave_a_gap(status, fault, counted):
    runs = pair()
    runs["variant"][1] = ended(runs["variant"][1], status, fault)

    found = compare(runs, RULE)

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert found.effect is None
    assert found.n_per_arm == {"baseline": 5, "variant": 4}
    assert found.failed_per_arm == {"baseline": 0, "variant": counted}
    assert "floor" not in found.sentence


def test_a_completed_run_that_was_never_scored_is_a_gap_and_no_failure_of_its_own():
    runs = pair()
    runs["variant"][1] = replace(runs["variant"][1], final_return=None)

    assert compare(runs, RULE).verdict is Verdict.INSUFFICIENT_EVIDENCE


@pytest.mark.parametrize("floors", [{}, {"baseline": 20.0}, {"variant": NAN}])
def test_without_a_floor_a_failed_run_is_a_gap_and_the_sentence_says_why(floors):
    runs = pair()
    runs["variant"][1] = failed(runs["variant"][1])

    found = compare(runs, DecisionRule(floors=floors))

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert found.n_per_arm == {"baseline": 5, "variant": 4}
    assert "the floor, a random policy's return, was not measured" in found.sentence


def test_an_arm_that_fails_a_lot_is_worse_although_its_survivors_are_better():
    runs = pair()
    for seed in (0, 1, 2, 3):
        runs["variant"][seed] = failed(runs["variant"][seed])
    runs["variant"][4] = replace(runs["variant"][4], final_return=260.0)

    assert compare(runs, RULE).effect < 0


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_chance_that_does_well_by_the_metric_lets_no_arm_win_by_failing(direction):
    sign = 1.0 if direction == "maximize" else -1.0
    scores = [sign * value for value in (-100.0, -110.0, -95.0, -105.0, -90.0, -102.0)]
    runs = results(scores, scores)
    runs["variant"] = [failed(run) for run in runs["variant"]]
    floor = -22.0 * sign
    rule = DecisionRule(direction=direction, floors={"baseline": floor, "variant": floor})

    found = compare(runs, rule)

    assert found.verdict is Verdict.VARIANT_WORSE
    assert found.effect == pytest.approx(sign * (-110 + 602 / 6))
    assert "poorest score of both arms where that is poorer: 6 of 6 variant runs with" in (
        found.sentence
    )
    assert "110.0 (the poorest score; the floor is" in found.sentence


def test_where_nothing_has_completed_a_failed_run_counts_with_the_floor():
    runs = {arm: [failed(run) for run in each] for arm, each in pair().items()}

    assert compare(runs, RULE).effect == pytest.approx(10.0)


def test_a_look_knows_no_later_run_when_it_tells_what_a_failure_is_worth():
    runs = ten()
    runs["variant"][1] = failed(runs["variant"][1])
    poor_later = {arm: list(each) for arm, each in runs.items()}
    poor_later["baseline"][7] = replace(poor_later["baseline"][7], final_return=-500.0)
    rule = DecisionRule(floors={"variant": 99.0})

    found, then = (compare_in_looks(each, rule, PLAN) for each in (runs, poor_later))

    assert found.looks[0]["effect"] == pytest.approx((100 + 0 + 102 + 103) / 4 - 1.5)
    assert then.looks[:2] == found.looks[:2]


# --- in looks ----------------------------------------------------------------------------------


def ten() -> dict[str, list[TrainingResult]]:
    low = [float(value) for value in range(10)]
    return results(low, [value + 100.0 for value in low])


def test_a_look_counts_a_failed_run_as_present():
    runs = ten()
    runs["baseline"][4] = failed(runs["baseline"][4])

    found = compare_in_looks(runs, DecisionRule(floors={"baseline": -9.0}), PLAN)

    assert found.verdict is Verdict.VARIANT_BETTER
    assert [look["n_per_arm"] for look in found.looks] == [4, 6]
    assert found.looks[1]["effect"] == pytest.approx(102.5 - (0 + 1 + 2 + 3 - 9 + 5) / 6)
    assert found.n_per_arm == {"baseline": 6, "variant": 6}
    assert found.failed_per_arm == {"baseline": 1, "variant": 0}
    assert "floor: 1 of 6 baseline runs with −9.00." in found.sentence


def test_failures_and_scores_beyond_the_look_that_ends_it_are_no_part_of_anything():
    beyond = ten()
    beyond["variant"][7], beyond["variant"][8] = map(failed, beyond["variant"][7:9])
    beyond["baseline"][9] = replace(beyond["baseline"][9], final_return=1e6)

    found = compare_in_looks(beyond, RULE, PLAN)

    assert [look["n_per_arm"] for look in found.looks] == [4, 6]
    assert found.failed_per_arm == {"baseline": 0, "variant": 0}
    assert "floor" not in found.sentence
    assert sensitivity(beyond, RULE, PLAN) is None

    within = {arm: list(runs) for arm, runs in beyond.items()}
    within["baseline"][2] = failed(within["baseline"][2])
    first = {arm: runs[:6] for arm, runs in within.items()}
    rule = DecisionRule(floors={"baseline": -9.0})
    assert sensitivity(within, rule, PLAN) == sensitivity(first, rule, PLAN)
    assert sensitivity(within, rule, PLAN).runs_per_arm == {"baseline": 6, "variant": 6}


@pytest.mark.parametrize(("fault", "told"), [("run", "was not measured"), ("machine", "failed).")])
def test_a_gap_keeps_later_looks_back_and_is_named(fault, told):
    runs = ten()
    runs["variant"][4] = ended(runs["variant"][4], RunStatus.FAILED, fault)

    found = compare_in_looks(runs, DecisionRule(), PLAN)

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "held up by a run of the variant (seed 4: failed)" in found.sentence
    assert told in found.sentence


def test_a_gap_before_the_first_look_is_named_too():
    runs = ten()
    runs["baseline"][0] = ended(runs["baseline"][0], RunStatus.FAILED, "machine")

    assert "a run of the baseline (seed 0: failed)" in compare_in_looks(runs, RULE, PLAN).sentence


# --- sensitivity -------------------------------------------------------------------------------


def test_where_nothing_failed_there_is_nothing_to_be_sensitive_to():
    runs = pair()
    runs["variant"][1] = ended(runs["variant"][1], RunStatus.FAILED, "machine")

    assert sensitivity(pair(), RULE) is None
    assert sensitivity(runs, RULE) is None
    assert (
        sensitivity(
            {arm: [failed(run) for run in each] for arm, each in pair().items()}, DecisionRule()
        )
        is None
    )


def test_the_counts_are_compared_by_fishers_test():
    runs = pair()
    for seed in (0, 2, 4):
        runs["variant"][seed] = failed(runs["variant"][seed])
    runs["baseline"][3] = ended(runs["baseline"][3], RunStatus.FAILED, "machine")

    found = sensitivity(runs, RULE)

    assert found.failed_per_arm == {"baseline": 0, "variant": 3}
    assert found.runs_per_arm == {"baseline": 4, "variant": 5}
    assert found.p_value == pytest.approx(scipy.stats.fisher_exact([[0, 4], [3, 2]]).pvalue)
    assert found.counts.startswith("0 of 4 baseline runs and 3 of 5 variant runs failed (Fisher's")


def test_a_verdict_that_hangs_on_the_failures_says_so():
    runs = pair()
    runs["variant"][1] = failed(runs["variant"][1])

    found = sensitivity(runs, RULE)

    assert (found.worst, found.best) == (Verdict.NO_DIFFERENCE_SHOWN, Verdict.VARIANT_BETTER)
    assert found.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert found.depends
    assert compare(runs, RULE).sentence.endswith(found.sentence)
    assert "it would be no difference shown in the worst case for the variant" in found.sentence


def test_a_verdict_that_stands_whatever_failures_are_worth_says_so_only_where_asked():
    baseline = [200.0, 202.0, 204.0, 206.0, 208.0, 210.0, 212.0, 214.0]
    runs = results(baseline, [100.0, 102.0, 104.0, 106.0, 108.0, 110.0, 112.0, 114.0])
    runs["variant"][7] = failed(runs["variant"][7])
    rule = DecisionRule(floors={"variant": 90.0})

    found = sensitivity(runs, rule)

    assert (found.worst, found.verdict, found.best) == (Verdict.VARIANT_WORSE,) * 3
    assert not found.depends
    assert "does not depend on what a failed run is worth: it is variant worse" in found.sentence
    assert "depend" not in compare(runs, rule).sentence


def test_without_a_floor_the_extremes_are_those_of_the_scores():
    runs = pair()
    runs["variant"][1] = failed(runs["variant"][1])

    found = sensitivity(runs, DecisionRule())

    # the poorest score, 200, leaves the variant ahead
    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert (found.worst, found.best) == (Verdict.VARIANT_BETTER, Verdict.VARIANT_BETTER)
    assert not found.depends
    assert "it would be variant better with" in found.sentence


def test_where_less_is_better_the_worst_is_the_largest():
    runs = pair()
    runs["variant"][1] = failed(runs["variant"][1])

    found = sensitivity(runs, replace(RULE, direction="minimize"))

    # the largest of all scores makes the variant as poor as it can be: no change of its sign
    assert found.worst is Verdict.VARIANT_WORSE
    assert found.best is Verdict.NO_DIFFERENCE_SHOWN


def test_a_plan_judges_worst_and_best_look_by_look():
    runs = ten()
    for seed in (1, 2, 5):
        runs["variant"][seed] = failed(runs["variant"][seed])

    found = sensitivity(runs, DecisionRule(floors={"variant": -50.0}), PLAN)

    assert found.best is Verdict.VARIANT_BETTER
    assert found.worst is not Verdict.VARIANT_BETTER
    assert found.depends
    assert compare_in_looks(runs, DecisionRule(floors={"variant": -50.0}), PLAN).sentence.endswith(
        found.sentence
    )

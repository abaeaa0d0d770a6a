from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis import compare
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import RunStatus, TrainingResult
from src.experiments.domain.verdicts import Comparison, DecisionRule, Verdict

PLAN = plan_looks(4, 2, 10)
OPPOSITE = {
    Verdict.VARIANT_BETTER: Verdict.VARIANT_WORSE,
    Verdict.VARIANT_WORSE: Verdict.VARIANT_BETTER,
}
scores = st.lists(st.floats(-100, 100), min_size=10, max_size=10)


def runs(arm: str, values: list[float]) -> list[TrainingResult]:
    blank = TrainingResult(True, 100, 1.0, 0.0, 0.0, "x", "PPO", "CartPole-v1", 0, arm=arm)
    return [replace(blank, seed=seed, final_return=value) for seed, value in enumerate(values)]


def judged(baseline: list[float], variant: list[float], **rule: float) -> Comparison:
    results = {"baseline": runs("baseline", baseline), "variant": runs("variant", variant)}
    return compare_in_looks(results, DecisionRule(**rule), PLAN)


def test_a_clear_difference_ends_at_the_first_look_that_can_reject() -> None:
    found = judged(list(range(10)), [value + 100.0 for value in range(10)])

    assert found.verdict is Verdict.VARIANT_BETTER
    assert [look["n_per_arm"] for look in found.looks] == [4, 6]
    assert found.n_per_arm == {"baseline": 6, "variant": 6}
    assert "8 further runs were not analysed" in found.sentence
    assert "stopped after 6 of 10 seeds" in found.sentence


def test_equal_arms_are_given_up_early_and_not_called_equal() -> None:
    values = [5.0, -3.0, 2.0, 1.0, -4.0, 0.5, 3.0, -1.0, 2.5, -2.0]

    found = judged(values, values[::-1])

    assert found.verdict is Verdict.NO_DIFFERENCE_SHOWN
    assert "does not prove the arms equal" in found.sentence


def test_a_margin_can_make_them_equivalent() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.02, 0.98, 1.01, 0.99]

    found = judged(values, values[::-1], equivalence_margin=5.0)

    assert found.verdict is Verdict.EQUIVALENT
    assert [look["n_per_arm"] for look in found.looks] == [4, 6]
    assert found.interval == found.looks[-1]["interval"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 15))
def test_equivalence_is_told_of_a_look_that_ends_the_experiment_and_never_taken_back(
    seed: int, so_far: int
) -> None:
    rng = np.random.default_rng(seed)
    arms = {"baseline": rng.normal(size=15).tolist(), "variant": rng.normal(0.5, 1, 15).tolist()}
    rule, plan = DecisionRule(equivalence_margin=2.0), plan_looks(6, 3, 15)

    early, late = (
        compare_in_looks({arm: runs(arm, values[:n]) for arm, values in arms.items()}, rule, plan)
        for n in (so_far, 15)
    )

    if early.verdict is Verdict.EQUIVALENT:
        assert early.looks[-1]["decision"] == "equivalent"
        assert (late.verdict, late.looks) == (early.verdict, early.looks)


def test_a_run_without_a_score_keeps_later_looks_back() -> None:
    baseline = runs("baseline", [float(value) for value in range(10)])
    variant = runs("variant", [value + 100.0 for value in range(10)])
    variant[4] = replace(variant[4], success=False, status=RunStatus.FAILED, final_return=None)

    found = compare_in_looks({"baseline": baseline, "variant": variant}, DecisionRule(), PLAN)

    assert [look["n_per_arm"] for look in found.looks] == [4]
    assert found.verdict is not Verdict.VARIANT_BETTER
    assert found.failed_per_arm == {"baseline": 0, "variant": 1}


def test_before_the_first_look_nothing_is_said_of_the_arms() -> None:
    found = judged([1.0, 2.0], [50.0, 60.0, 70.0])

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert (found.looks, found.effect) == ((), None)
    assert "after 4 seeds per arm, and 2 of the first and 3 of the second" in found.sentence


def test_a_plan_that_cannot_reject_says_how_many_seeds_would_do() -> None:
    results = {"a": runs("a", [1.0, 2.0]), "b": runs("b", [9.0, 8.0])}

    found = compare_in_looks(results, DecisionRule(alpha=0.001), plan_looks(2, 1, 3, 0.001))

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "plan at least" in found.sentence


@settings(max_examples=40, deadline=None)
@given(scores, scores)
def test_swapping_the_arms_swaps_the_verdict(baseline: list[float], variant: list[float]) -> None:
    one, other = judged(baseline, variant), judged(variant, baseline)

    assert other.verdict is OPPOSITE.get(one.verdict, one.verdict)
    assert [look["p_value"] for look in one.looks] == [look["p_value"] for look in other.looks]


@settings(max_examples=40, deadline=None)
@given(scores, scores, st.sampled_from([0.5, 2.0, 8.0]), st.integers(-64, 64))
def test_another_unit_changes_no_verdict(
    baseline: list[float], variant: list[float], scale: float, shift: int
) -> None:
    rounded = [[float(np.round(value)) for value in values] for values in (baseline, variant)]
    scaled = [[scale * value + shift for value in values] for values in rounded]

    assert judged(*rounded).verdict is judged(*scaled).verdict


def test_less_is_better_where_the_rule_says_so() -> None:
    low = [float(value) for value in range(10)]
    found = judged(low, [value + 100.0 for value in low], direction="minimize")  # type: ignore[arg-type]

    assert found.verdict is Verdict.VARIANT_WORSE
    assert found.p_value == pytest.approx(found.looks[-1]["p_value"])


def test_what_a_paired_plan_can_show_is_measured_by_the_differences() -> None:
    baseline = [10.0, -8.0, 6.0, -4.0, 2.0, -1.0, 9.0, -7.0, 5.0, -3.0]
    # nearly the same seed by seed: the differences vary far less than the arms
    close = [value + noise for value, noise in zip(baseline, [0.3, -0.3] * 5, strict=True)]
    opposite = [-value for value in baseline]
    plan = plan_looks(8, 2, 10, paired=True)

    def verdict(variant: list[float], minimum_effect: float) -> Verdict:
        results = {"baseline": runs("baseline", baseline), "variant": runs("variant", variant)}
        rule = DecisionRule(paired=True, minimum_effect=minimum_effect)
        assert compare(results, rule).verdict is compare_in_looks(results, rule, plan).verdict
        return compare_in_looks(results, rule, plan).verdict

    # pooled, either pair of arms would show no less than about six
    assert verdict(close, 1.0) is Verdict.NO_DIFFERENCE_SHOWN
    assert verdict(opposite, 9.0) is Verdict.INSUFFICIENT_EVIDENCE


@pytest.mark.parametrize("seeds", [[50, 51, 52, 53, 54, 55, 56, 57], [0, 1, 3, 2, 4, 5, 6, 7]])
def test_a_paired_plan_pairs_no_runs_of_different_seeds(seeds: list[int]) -> None:
    low = [float(value) for value in range(8)]
    pairs = {"baseline": runs("baseline", low), "variant": runs("variant", [v + 50 for v in low])}
    strangers = [replace(run, seed=seed) for run, seed in zip(pairs["variant"], seeds, strict=True)]
    rule, plan = DecisionRule(paired=True), plan_looks(8, 2, 10, paired=True)

    found = compare_in_looks({**pairs, "variant": strangers}, rule, plan)

    assert compare_in_looks(pairs, rule, plan).verdict is Verdict.VARIANT_BETTER
    assert (found.verdict, found.looks) == (Verdict.INSUFFICIENT_EVIDENCE, ())
    assert "needs the same seeds in both arms" in found.sentence


def judged_without_hope(variant: list[float], **rule: float) -> Comparison:
    results = {"a": runs("a", [1.0, 2.0, 3.0]), "b": runs("b", variant)}
    return compare_in_looks(results, DecisionRule(**rule), plan_looks(2, 1, 3))


def test_a_plan_that_cannot_reject_tells_what_its_last_look_has_measured() -> None:
    found = judged_without_hope([9.0, 8.0, 10.0])

    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    last = found.looks[-1]
    assert (found.effect, found.p_value) == (7.0, last["p_value"])
    assert found.n_per_arm == dict.fromkeys(("a", "b"), last["n_per_arm"])
    assert "a difference of +7" in found.sentence
    assert "plan at least" in found.sentence


def test_a_plan_that_cannot_reject_can_still_find_the_arms_equivalent() -> None:
    assert judged_without_hope([3.0, 2.0, 1.0], equivalence_margin=50.0).verdict is (
        Verdict.EQUIVALENT
    )


def test_a_plan_that_cannot_reject_shows_no_difference_between_runs_that_are_all_the_same() -> None:
    same = {arm: runs(arm, [500.0] * 3) for arm in ("a", "b")}
    apart = {"a": runs("a", [500.0] * 3), "b": runs("b", [400.0] * 3)}

    found = {
        name: compare_in_looks(results, DecisionRule(), plan_looks(2, 1, 3)).verdict
        for name, results in (("same", same), ("apart", apart))
    }

    assert found == {
        "same": Verdict.NO_DIFFERENCE_SHOWN,
        "apart": Verdict.INSUFFICIENT_EVIDENCE,
    }

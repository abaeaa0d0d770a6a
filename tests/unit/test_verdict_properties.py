"""What must hold of a verdict whatever the scores are: no arm, unit or order is favoured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.analysis import compare, statistics
from src.experiments.analysis.evidence import PERMUTATION_SEED
from src.experiments.analysis.looks import blocks_within, plan_looks, smallest_p
from src.experiments.analysis.sensitivity import sensitivity
from src.experiments.analysis.sequential_verdict import compare_in_looks
from src.experiments.domain.records import RunStatus, TrainingResult
from src.experiments.domain.verdicts import Comparison, DecisionRule, Verdict

ARMS = ("baseline", "variant")
PLAN = plan_looks(4, 2, 10)
BLOCKS = (range(4), range(4, 6), range(6, 8), range(8, 10))
OPPOSITE = {
    Verdict.VARIANT_BETTER: Verdict.VARIANT_WORSE,
    Verdict.VARIANT_WORSE: Verdict.VARIANT_BETTER,
}
FAILED, MACHINE, QUEUED = "failed", "machine", "queued"
"""Ends of runs that are no score."""
End = float | str
Results = dict[str, list[TrainingResult]]

# quarters are exact in binary: no rounding makes or breaks a tie
values = st.integers(-80, 80).map(lambda quarters: quarters / 4)
ends = st.tuples(values, st.integers(1, 8)).map(lambda one: FAILED if one[1] == 8 else one[0])
ends_with_gaps = st.tuples(ends, st.integers(1, 40)).map(
    lambda one: {39: MACHINE, 40: QUEUED}.get(one[1], one[0])
)
sizes = st.one_of(st.none(), st.integers(1, 60).map(lambda quarters: quarters / 4))
scales = st.sampled_from([0.25, 0.5, 2.0, 16.0])
shifts = st.integers(-64, 64)


@dataclass(frozen=True)
class Case:
    """Both arms' runs in the order of their seeds, and the rule."""

    baseline: list[End]
    variant: list[End]
    rule: DecisionRule

    @property
    def results(self) -> Results:
        return {
            "baseline": as_runs("baseline", self.baseline),
            "variant": as_runs("variant", self.variant),
        }

    def swapped(self) -> Case:
        floors = self.rule.floors
        mirrored = {"baseline": floors["variant"], "variant": floors["baseline"]}
        return Case(self.variant, self.baseline, replace(self.rule, floors=mirrored))

    def rescaled(self, scale: float, shift: float) -> Case:
        def line(end: End) -> End:
            return end if isinstance(end, str) else scale * end + shift

        def size(length: float | None) -> float | None:
            return None if length is None else abs(scale) * length

        rule = replace(
            self.rule,
            floors={arm: scale * floor + shift for arm, floor in self.rule.floors.items()},
            equivalence_margin=size(self.rule.equivalence_margin),
            minimum_effect=size(self.rule.minimum_effect),
        )
        return Case([line(end) for end in self.baseline], [line(end) for end in self.variant], rule)


def as_runs(arm: str, found: list[End]) -> list[TrainingResult]:
    blank = TrainingResult(True, 100, 1.0, 0.0, 0.0, "x", "PPO", "CartPole-v1", 0, arm=arm)
    without = replace(blank, success=False, status=RunStatus.FAILED)
    forms = {
        FAILED: replace(without, fault="run"),
        MACHINE: replace(without, fault="machine"),
        QUEUED: replace(without, status=RunStatus.QUEUED),
    }
    return [
        replace(forms[end], seed=seed)
        if isinstance(end, str)
        else replace(blank, seed=seed, final_return=end)
        for seed, end in enumerate(found)
    ]


@st.composite
def rules(draw: st.DrawFn, *, paired: bool = False) -> DecisionRule:
    return DecisionRule(
        direction=draw(st.sampled_from(["maximize", "minimize"])),
        alpha=draw(st.sampled_from([0.05, 0.3])),
        equivalence_margin=draw(sizes),
        minimum_effect=draw(sizes),
        paired=paired,
        floors={"baseline": draw(values), "variant": draw(values)},
    )


@st.composite
def fixed_cases(draw: st.DrawFn, kinds: st.SearchStrategy[End] = ends) -> Case:
    paired = draw(st.booleans())
    n = draw(st.integers(2, 6))
    m = n if paired else draw(st.integers(2, 6))
    arms = [draw(st.lists(kinds, min_size=size, max_size=size)) for size in (n, m)]
    # most real differences are no subtle ones
    lead = draw(st.sampled_from([0.0, 0.0, 25.0, -25.0]))
    ahead = [end if isinstance(end, str) else end + lead for end in arms[1]]
    return Case(arms[0], ahead, draw(rules(paired=paired)))


@st.composite
def planned_cases(draw: st.DrawFn, kinds: st.SearchStrategy[End] = ends) -> Case:
    n = draw(st.sampled_from([3, 4, 6, 7, 10]))
    arms = [draw(st.lists(kinds, min_size=n, max_size=n)) for _ in range(2)]
    lead = draw(st.sampled_from([0.0, 0.0, 20.0, -20.0]))
    ahead = [end if isinstance(end, str) else end + lead for end in arms[1]]
    return Case(arms[0], ahead, draw(rules()))


def fixed(case: Case) -> Comparison:
    return compare(case.results, case.rule)


def in_looks(case: Case) -> Comparison:
    return compare_in_looks(case.results, case.rule, PLAN)


Judge = Callable[[Case], Comparison]


def check_swapped(judge: Judge, case: Case) -> None:
    one, other = judge(case), judge(case.swapped())

    assert other.verdict is OPPOSITE.get(one.verdict, one.verdict)
    assert other.p_value == one.p_value
    check_mirrored(one, other)
    assert [look["p_value"] for look in other.looks] == [look["p_value"] for look in one.looks]
    for counts in ("n_per_arm", "failed_per_arm"):
        assert tuple(getattr(one, counts).values()) == tuple(getattr(other, counts).values())[::-1]


def check_mirrored(one: Comparison, other: Comparison, scale: float = -1.0) -> None:
    """The other's effect and interval are the one's, multiplied."""
    if one.effect is None:
        assert other.effect is None
        return
    assert other.effect == pytest.approx(scale * one.effect, abs=1e-9)
    if one.interval is None:
        assert other.interval is None
        return
    assert other.interval == pytest.approx(
        tuple(sorted(scale * end for end in one.interval)), abs=1e-7
    )


def check_rescaled(judge: Judge, case: Case, scale: float, shift: float) -> None:
    one, other = judge(case), judge(case.rescaled(scale, shift))

    assert other.verdict is one.verdict
    assert other.p_value == one.p_value
    check_mirrored(one, other, scale)
    assert (other.n_per_arm, other.failed_per_arm) == (one.n_per_arm, one.failed_per_arm)


def turned_round(case: Case) -> Case:
    """The negated scores, and the other direction."""
    other_way = "minimize" if case.rule.direction == "maximize" else "maximize"
    negated = case.rescaled(-1.0, 0.0)
    return replace(negated, rule=replace(negated.rule, direction=other_way))


def check_negated(judge: Judge, case: Case) -> None:
    one, other = judge(case), judge(turned_round(case))

    assert other.verdict is one.verdict
    assert other.p_value == one.p_value
    check_mirrored(one, other)


# --- a fixed number of seeds -------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(fixed_cases(ends_with_gaps))
def test_swapping_the_arms_mirrors_everything(case):
    check_swapped(fixed, case)


@settings(max_examples=15, deadline=None)
@given(fixed_cases(ends_with_gaps), scales, shifts)
def test_another_unit_and_another_zero_change_nothing_but_the_figures(case, scale, shift):
    check_rescaled(fixed, case, scale, shift)


@settings(max_examples=15, deadline=None)
@given(fixed_cases(ends_with_gaps))
def test_minimising_is_maximising_the_negated_scores(case):
    check_negated(fixed, case)


@settings(max_examples=15, deadline=None)
@given(fixed_cases(ends_with_gaps), st.data())
def test_the_order_of_rows_means_nothing(case, data):
    shuffled = {arm: data.draw(st.permutations(runs)) for arm, runs in case.results.items()}

    assert compare(shuffled, case.rule) == fixed(case)


@settings(max_examples=20, deadline=None)
@given(fixed_cases(ends_with_gaps))
def test_no_run_vanishes_from_the_counts(case):
    found = fixed(case)

    for arm, runs in (("baseline", case.baseline), ("variant", case.variant)):
        gaps = runs.count(MACHINE) + runs.count(QUEUED)
        assert found.n_per_arm[arm] == len(runs) - gaps
        assert found.failed_per_arm[arm] == runs.count(FAILED) + runs.count(MACHINE)
        if gaps:
            assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE


@settings(max_examples=15, deadline=None)
@given(fixed_cases())
def test_a_failed_run_counts_as_one_that_scored_the_floor(case):
    plain = Case(*(with_floors(case, arm) for arm in ("baseline", "variant")), case.rule)

    found, expected = fixed(case), fixed(plain)

    assert found.verdict is expected.verdict
    assert (found.effect, found.interval, found.p_value, found.n_per_arm) == (
        expected.effect,
        expected.interval,
        expected.p_value,
        expected.n_per_arm,
    )


@settings(max_examples=15, deadline=None)
@given(fixed_cases(), st.data())
def test_failing_never_makes_an_arm_look_better(case, data):
    scored = [index for index, end in enumerate(case.variant) if not isinstance(end, str)]
    if not scored:
        return
    lowest = min(end for end in case.variant if not isinstance(end, str))
    worst = min(end for end in [lowest, *case.baseline] if not isinstance(end, str))
    rule = replace(
        case.rule, direction="maximize", floors=dict.fromkeys(case.rule.floors, worst - 1.0)
    )
    failing = list(case.variant)
    failing[data.draw(st.sampled_from(scored))] = FAILED

    before = compare(replace(case, rule=rule).results, rule)
    after = compare(replace(case, variant=failing, rule=rule).results, rule)

    assert after.effect < before.effect


@settings(max_examples=15, deadline=None)
@given(fixed_cases())
def test_the_worst_for_one_arm_is_the_best_for_the_other(case):
    one = sensitivity(case.results, case.rule)
    swapped = case.swapped()
    other = sensitivity(swapped.results, swapped.rule)

    assert (one is None) == (FAILED not in case.baseline + case.variant)
    if one is not None:
        assert OPPOSITE.get(one.worst, one.worst) is other.best
        assert OPPOSITE.get(one.best, one.best) is other.worst
        assert one.p_value == pytest.approx(other.p_value)
        assert one.depends is other.depends


@settings(max_examples=15, deadline=None)
@given(fixed_cases())
def test_what_is_worst_turns_with_the_direction(case):
    one = sensitivity(case.results, case.rule)
    turned = turned_round(case)
    other = sensitivity(turned.results, turned.rule)

    assert (one and (one.worst, one.best)) == (other and (other.worst, other.best))


def with_floors(case: Case, arm: str) -> list[End]:
    """Failed runs as scores of the floor, or of the poorest score where that is poorer."""
    poorer = min if case.rule.direction == "maximize" else max
    scores = [end for end in case.baseline + case.variant if not isinstance(end, str)]
    floor = poorer([case.rule.floors[arm], *scores])
    return [floor if end == FAILED else end for end in getattr(case, arm)]


# --- look by look ------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(planned_cases(ends_with_gaps))
def test_swapping_the_arms_mirrors_every_look(case):
    check_swapped(in_looks, case)


@settings(max_examples=15, deadline=None)
@given(planned_cases(ends_with_gaps), scales, shifts)
def test_another_unit_changes_no_look(case, scale, shift):
    check_rescaled(in_looks, case, scale, shift)


@settings(max_examples=15, deadline=None)
@given(planned_cases(ends_with_gaps))
def test_minimising_is_maximising_the_negated_scores_at_every_look(case):
    check_negated(in_looks, case)


@settings(max_examples=15, deadline=None)
@given(planned_cases(), st.data())
def test_only_the_order_of_the_batches_means_something(case, data):
    n = len(case.baseline)
    order = [seed for block in BLOCKS for seed in data.draw(st.permutations(block)) if seed < n]
    whole = [
        seed for seed in order if seed < max((b.stop for b in BLOCKS if b.stop <= n), default=0)
    ]
    order = [*whole, *range(len(whole), n)]
    runs = {arm: [found[seed] for seed in order] for arm, found in case.results.items()}

    one, other = in_looks(case), compare_in_looks(runs, case.rule, PLAN)

    assert other.verdict is one.verdict
    assert [look["p_value"] for look in other.looks] == [look["p_value"] for look in one.looks]


@settings(max_examples=15, deadline=None)
@given(planned_cases(ends_with_gaps))
def test_no_failure_vanishes_from_the_counts_of_the_looks(case):
    found = in_looks(case)
    has_ended = bool(found.looks) and found.looks[-1]["decision"] != "go_on"

    for arm, runs in (("baseline", case.baseline), ("variant", case.variant)):
        analysed = runs[: found.looks[-1]["n_per_arm"]] if has_ended else runs
        assert found.failed_per_arm[arm] == analysed.count(FAILED) + analysed.count(MACHINE)
        first_gap = next((i for i, end in enumerate(runs) if end in (MACHINE, QUEUED)), len(runs))
        assert all(look["n_per_arm"] <= first_gap for look in found.looks)


@settings(max_examples=15, deadline=None)
@given(planned_cases())
def test_a_look_tests_both_directions(case):
    alike = Case(case.baseline, case.baseline, replace(case.rule, floors=dict.fromkeys(ARMS, 0.0)))

    for look in in_looks(case).looks:
        blocks = blocks_within(PLAN.blocks, look["n_per_arm"])
        assert look["p_value"] >= smallest_p(blocks) - 1e-12
    assert all(look["p_value"] == 1.0 for look in in_looks(alike).looks)


@settings(max_examples=15, deadline=None)
@given(planned_cases())
def test_a_look_takes_a_failed_run_as_one_that_scored_the_floor(case):
    # poorer than any score, so that it is worth the same at every look
    floor = -100.0 if case.rule.direction == "maximize" else 100.0
    case = replace(case, rule=replace(case.rule, floors=dict.fromkeys(ARMS, floor)))
    plain = Case(*(with_floors(case, arm) for arm in ("baseline", "variant")), case.rule)

    found, expected = in_looks(case), in_looks(plain)

    assert found.verdict is expected.verdict
    assert found.looks == expected.looks


# --- the statistics themselves -----------------------------------------------------------------

samples = st.lists(values, min_size=2, max_size=6)


@settings(max_examples=15, deadline=None)
@given(samples, samples)
def test_effect_sizes_are_mirrored(baseline, variant):
    one, other = (
        statistics.hedges_g(baseline, variant),
        statistics.hedges_g(variant, baseline),
    )
    above, (low, high) = statistics.probability_of_improvement(baseline, variant)
    below, (other_low, other_high) = statistics.probability_of_improvement(variant, baseline)

    assert (one is None and other is None) or one == pytest.approx(-other)
    assert above == pytest.approx(1 - below)
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(samples, samples)
def test_the_interval_holds_the_effect_and_the_test_rejects_no_equal_samples(baseline, variant):
    def p(first, second):
        return statistics.permutation_p(first, second, np.random.default_rng(PERMUTATION_SEED))

    interval = statistics.welch_interval(baseline, variant)

    if interval is not None:
        effect = statistics.mean_difference(baseline, variant)
        assert interval[0] - 1e-9 <= effect <= interval[1] + 1e-9
    assert p(baseline, variant) == p(variant, baseline)
    assert p(baseline, baseline) == 1.0
    least = statistics.smallest_attainable_p(len(baseline), len(variant))
    assert p(baseline, variant) >= least - 1e-12

"""The answer to the experiment's question, for a group-sequential design.

Both arms are looked at in the order in which their seeds were planned, at the points of a plan that
was fixed before; what lies beyond the look that ends it is spent, reported, and not analysed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domain.records import TrainingResult
from ..domain.verdicts import Comparison, DecisionRule, Verdict
from . import statistics
from .evidence import (
    FLOOR_UNKNOWN,
    PERMUTATION_SEED,
    SEEDS_DIFFER,
    Results,
    failed_through_its_own_fault,
    reason,
    scored,
    spread_of,
    was_tried,
    worth,
)
from .failed_runs import floor_note, with_sensitivity
from .looks import LookPlan, fewest_max_seeds
from .sequential import Decision, LookTaken, follow_first, stopped_early
from .text import interval_text, metric_label, number, p_value_equation, percent, plural
from .unlearned import with_unlearned

Answer = tuple[Verdict, str]


def compare_in_looks(results: Results, rule: DecisionRule, plan: LookPlan) -> Comparison:
    """Answer whether the second arm beats the first; results of an arm stand in planned order.

    A look waits for the runs of all its seeds: one that leaves a gap keeps every later look back.
    A run that failed through its own fault leaves none where its arm's floor is known.

    Raises:
        UsageError: (a ValueError) as `verdict.compare`.
    """
    judge = partial(judge_in_looks, plan=plan)
    comparison = with_unlearned(judge(results, rule), results)
    return with_sensitivity(comparison, analysed(results, comparison.looks), rule, judge)


def analysed(results: Results, looks: Sequence[Mapping[str, Any]]) -> Results:
    """The runs up to the look that ended it; all of them where none did."""
    if not looks or not Decision(looks[-1]["decision"]).ends:
        return results
    return {arm: runs[: looks[-1]["n_per_arm"]] for arm, runs in results.items()}


def judge_in_looks(results: Results, rule: DecisionRule, plan: LookPlan) -> Comparison:
    """The same without a word on what failed runs could change.

    Raises:
        UsageError: as `compare_in_looks`.
    """
    failed = scored(results, rule).failed_per_arm
    if rule.paired and not _are_pairs(*results.values()):
        return _undecided(_unpaired(), results, rule, failed)
    unbroken = {arm: _unbroken(arm, runs, rule) for arm, runs in results.items()}
    counted = [len(runs) for runs in unbroken.values()]
    first = partial(_first_scores, unbroken, rule)
    margin = rule.equivalence_margin
    taken = follow_first(first, min(counted), plan, PERMUTATION_SEED, margin=margin)
    looks = tuple(look.to_dict() for look in taken)
    held_back = _held_back(results, rule)
    if not taken:
        told = _waits(counted, plan) + held_back if plan.can_reject else _cannot(plan)
        return _undecided(f"The evidence is insufficient: {told}", results, rule, failed)
    last = taken[-1]
    further = sum(counted) - 2 * last.n_per_arm
    sequence = _Sequence(tuple(results), *first(last.n_per_arm), rule, plan, taken, further)
    verdict, sentence = sequence.answer()
    sentence += _floor_note(results, rule, last.n_per_arm)
    if not last.decision.ends:
        sentence += held_back
    return Comparison(
        verdict=verdict,
        sentence=sentence,
        metric=rule.metric,
        effect=last.effect,
        interval=last.interval,
        alpha=rule.alpha,
        p_value=last.p_value,
        looks=looks,
        n_per_arm=dict.fromkeys(results, last.n_per_arm),
        failed_per_arm=scored(analysed(results, looks), rule).failed_per_arm,
    )


def _undecided(
    sentence: str, results: Results, rule: DecisionRule, failed: Mapping[str, int]
) -> Comparison:
    """The answer where no look could be taken."""
    return Comparison(
        verdict=Verdict.INSUFFICIENT_EVIDENCE,
        sentence=sentence,
        metric=rule.metric,
        effect=None,
        interval=None,
        alpha=rule.alpha,
        p_value=None,
        n_per_arm=dict.fromkeys(results, 0),
        failed_per_arm=failed,
    )


def _are_pairs(baseline: Sequence[TrainingResult], variant: Sequence[TrainingResult]) -> bool:
    """Whether the arms' runs have the same seeds, one by one in the planned order."""
    return all(one.seed == other.seed for one, other in zip(baseline, variant, strict=False))


def _unbroken(
    arm: str, runs: Sequence[TrainingResult], rule: DecisionRule
) -> Sequence[TrainingResult]:
    """An arm's runs up to the first that leaves a gap."""
    return list(takewhile(lambda run: worth(arm, run, rule) is not None, runs))


def _first_scores(
    results: Results, rule: DecisionRule, n_per_arm: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What both arms' first runs count with at a look of so many, none of which leaves a gap.

    A look knows nothing of later runs: a failed one is worth no more than the poorest among these.
    """
    first = scored({arm: runs[:n_per_arm] for arm, runs in results.items()}, rule)
    return first.baseline_scores, first.variant_scores


def _held_back(results: Results, rule: DecisionRule) -> str:
    """Which run keeps later looks back, as a further sentence; empty where all is still to come."""
    gaps = [
        (arm, next((run for run in runs if worth(arm, run, rule) is None), None))
        for arm, runs in results.items()
    ]
    tried = [(arm, run) for arm, run in gaps if run and was_tried(run)]
    if not tried:
        return ""
    names = " and ".join(f"a run of the {arm} ({reason(run)})" for arm, run in tried)
    lacks = any(failed_through_its_own_fault(run, rule.metric) for _, run in tried)
    told = f" The next look is held up by {names}"
    return f"{told}: {FLOOR_UNKNOWN}." if lacks else f"{told}."


def _floor_note(results: Results, rule: DecisionRule, n_per_arm: int) -> str:
    first = scored({arm: runs[:n_per_arm] for arm, runs in results.items()}, rule)
    counts = dict.fromkeys(results, n_per_arm)
    return floor_note(counts, first.imputed_per_arm, first.rule, rule)


@dataclass(frozen=True)
class _Sequence:
    """The looks that were taken, and what the last one looked at."""

    arms: tuple[str, ...]
    baseline: NDArray[np.float64]
    variant: NDArray[np.float64]
    rule: DecisionRule
    plan: LookPlan
    taken: Sequence[LookTaken]
    further: int
    """Runs with a score that were not looked at."""

    @property
    def last(self) -> LookTaken:
        return self.taken[-1]

    def answer(self) -> Answer:
        if self.last.decision is Decision.REJECT:
            return self._rejected()
        if self.last.decision is Decision.EQUIVALENT:
            margin = f"±{self.rule.equivalence_margin:g}"
            told = f"The arms are equivalent within {margin}: {self._measured()}.{self._unused()}"
            return Verdict.EQUIVALENT, told
        if not self.plan.can_reject and not self._are_the_same():
            told = f"{self._measured()}; {_cannot(self.plan)}"
            return Verdict.INSUFFICIENT_EVIDENCE, f"The evidence is insufficient: {told}"
        if self.last.decision is Decision.GO_ON:
            return Verdict.INSUFFICIENT_EVIDENCE, self._goes_on()
        shown, wanted = self._detectable(), self.rule.minimum_effect
        if wanted is not None and shown is not None and shown > wanted:
            return Verdict.INSUFFICIENT_EVIDENCE, self._too_weak(shown, wanted)
        return Verdict.NO_DIFFERENCE_SHOWN, self._no_difference()

    def _are_the_same(self) -> bool:
        """Whether every run of both arms has the same score."""
        return statistics.is_constant(np.concatenate([self.baseline, self.variant]))

    def _detectable(self) -> float | None:
        """The difference that the whole plan shows with 80 % power, in units of the metric."""
        rule = self.rule
        spread = spread_of(self.baseline, self.variant, paired=rule.paired) or 0.0
        most = self.plan.max_seeds
        in_sd = statistics.minimum_detectable_effect(most, rule.alpha, paired=rule.paired)
        return None if in_sd is None else in_sd * spread

    # ---- in words

    def _rejected(self) -> Answer:
        better = (self.last.effect > 0) == (self.rule.direction == "maximize")
        early = (
            f" It was stopped after {self.last.n_per_arm} of {self.plan.max_seeds} seeds per arm, "
            "so the estimate is biased away from zero."
            if stopped_early(self.taken, self.plan)
            else ""
        )
        verdict = Verdict.VARIANT_BETTER if better else Verdict.VARIANT_WORSE
        word = "better" if better else "worse"
        return verdict, f"The {self.arms[1]} is {word}: {self._measured()}.{early}{self._unused()}"

    def _measured(self) -> str:
        n, last = self.last.n_per_arm, self.last
        lower = " (lower is better)" if self.rule.direction == "minimize" else ""
        level = last.nominal_level
        asked = "" if level is None else f", required ≤ {level:.2g} at this look"
        facts = [f"permutation test {p_value_equation(last.p_value)}{asked}"]
        if last.interval is not None:
            facts.insert(
                0, f"{percent(last.level)} repeated interval {interval_text(last.interval)}"
            )
        return (
            f"the {self.arms[1]}'s {metric_label(self.rule.metric)}{lower} is "
            f"{number(float(self.variant.mean()))} against the {self.arms[0]}'s "
            f"{number(float(self.baseline.mean()))} over {n} seeds per arm, a difference of "
            f"{number(last.effect, signed=True)} ({', '.join(facts)})"
        )

    def _unused(self) -> str:
        were = "was" if self.further == 1 else "were"
        told = f" {plural(self.further, 'further run')} {were} not analysed."
        return told if self.further else ""

    def _too_weak(self, shown: float, wanted: float) -> str:
        return (
            f"The evidence is insufficient: {self._measured()}. With {self.plan.max_seeds} seeds "
            f"per arm a difference must be about {number(shown)} to be shown with "
            f"{percent(statistics.POWER)} power, and {wanted:g} matters here (minimum_effect)."
            f"{self._unused()}"
        )

    def _no_difference(self) -> str:
        promise = self.last.predictive_power
        is_given_up = self.last.decision is Decision.FUTILITY and promise is not None
        why = (
            f" A difference was unlikely to be shown by {self.plan.max_seeds} seeds per arm "
            f"(predictive power {percent(round(promise or 0.0, 3))})."
            if is_given_up
            else ""
        )
        told = f"No difference was shown: {self._measured()}. That does not prove the arms equal."
        return f"{told}{why}{self._unused()}"

    def _goes_on(self) -> str:
        following = next(n for n in self.plan.points if n > self.last.n_per_arm)
        return (
            f"The evidence is insufficient so far: {self._measured()}. The plan goes on to "
            f"{following} seeds per arm before the next look."
        )


def _unpaired() -> str:
    return (
        f"The evidence is insufficient: {SEEDS_DIFFER}, one by one in the planned order. Give "
        "each seed a run of both arms, or compare the arms unpaired."
    )


def _waits(counted: Sequence[int], plan: LookPlan) -> str:
    n_baseline, n_variant = counted
    return (
        f"The evidence is insufficient: the first look is planned after {plan.points[0]} seeds per "
        f"arm, and {n_baseline} of the first and {n_variant} of the second have a score so far, "
        "counted without a gap."
    )


def _cannot(plan: LookPlan) -> str:
    first = plan.points[0]
    batch = plan.points[1] - first if len(plan.points) > 1 else 1
    needed = fewest_max_seeds(first, batch, plan.alpha, paired=plan.paired)
    return (
        f"with at most {plan.max_seeds} seeds per arm no look can reach its level; plan at least "
        f"{needed}."
    )

"""What runs that failed through their own fault do to the verdict, and what they could do.

They count with the floor, or with the poorest score where that is poorer. How far the verdict
hangs on that is told by judging twice more: once with the worst that the failed runs could be worth
for the variant, once with the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..domain.records import RunStatus, TrainingResult
from ..domain.verdicts import Comparison, DecisionRule, Verdict
from .evidence import Results, failed_through_its_own_fault, floor_of, score
from .imputation import extremes, failures_p
from .text import number, p_value_equation, plural

Judge = Callable[[Results, DecisionRule], Comparison]
"""The verdict on results under a rule."""


@dataclass(frozen=True)
class Sensitivity:
    """How far the verdict hangs on what the failed runs are worth."""

    failed_per_arm: Mapping[str, int]
    """Runs that failed through their own fault."""
    runs_per_arm: Mapping[str, int]
    """Those and the runs with a score; what the machine failed tells nothing of the arm."""
    p_value: float
    """Two-sided, of Fisher's exact test that both arms fail alike."""
    verdict: Verdict
    """With the floor, where it is known."""
    worst: Verdict
    """The variant's failed runs as poor as any score or floor, the baseline's as good as any."""
    best: Verdict
    """The reverse."""
    depends: bool
    """Whether the verdict hangs on what a failed run is worth."""
    sentence: str
    """That in words."""
    counts: str
    """The counts and Fisher's test in words."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data."""
        return asdict(self)


def sensitivity_of(
    verdict: Verdict, results: Results, rule: DecisionRule, judge: Judge
) -> Sensitivity | None:
    """Judge with the worst and with the best imputation, beside the verdict with the floor.

    None where no run failed through its own fault, or where there is neither a score nor a floor
    to take an extreme of.
    """
    failed = {
        arm: sum(failed_through_its_own_fault(run, rule.metric) for run in runs)
        for arm, runs in results.items()
    }
    known = _known(results, rule)
    if not any(failed.values()) or not known:
        return None
    poorest, best = extremes(known, [], None, rule.direction)
    baseline, variant = results
    worst_case, best_case = (
        judge(_as_scored(results, rule, worth), rule).verdict
        for worth in ({baseline: best, variant: poorest}, {baseline: poorest, variant: best})
    )
    runs = {
        arm: failed[arm] + sum(score(run, rule.metric) is not None for run in found)
        for arm, found in results.items()
    }
    p_value = failures_p(failed[baseline], runs[baseline], failed[variant], runs[variant])
    lacks = any(count and floor_of(arm, rule) is None for arm, count in failed.items())
    depends = worst_case is not best_case or not (lacks or verdict is worst_case)
    told = Sensitivity(failed, runs, p_value, verdict, worst_case, best_case, depends, "", "")
    return replace(told, sentence=_hangs(told), counts=_counts(told))


def with_sensitivity(
    comparison: Comparison, results: Results, rule: DecisionRule, judge: Judge
) -> Comparison:
    """The comparison; where it hangs on what failed runs are worth, its sentence says so."""
    found = sensitivity_of(comparison.verdict, results, rule, judge)
    if found is None or not found.depends:
        return comparison
    return replace(comparison, sentence=f"{comparison.sentence} {found.sentence}")


def floor_note(
    runs: Mapping[str, int], imputed: Mapping[str, int], worth: DecisionRule, rule: DecisionRule
) -> str:
    """Which runs count with what a failed run is worth, as a further sentence; else empty.

    Args:
        runs: of each arm.
        imputed: those of them that failed through their own fault.
        worth: the rule of `with_failure_worth`.
        rule: the one with the floors.
    """
    failing = [arm for arm, count in imputed.items() if count]
    if not failing:
        return ""
    capped = {arm for arm in failing if floor_of(arm, worth) != floor_of(arm, rule)}
    each = [
        f"{imputed[arm]} of {plural(runs[arm], f'{arm} run')} with {number(floor_of(arm, worth))}"
        + (f" (the poorest score; the floor is {number(floor_of(arm, rule))})" * (arm in capped))
        for arm in failing
    ]
    poorer = ", or with the poorest score of both arms where that is poorer" if capped else ""
    return f" Failed runs count with their arm's floor{poorer}: {' and '.join(each)}."


def _known(results: Results, rule: DecisionRule) -> list[float]:
    """Every score and floor that there is."""
    scores = (score(run, rule.metric) for runs in results.values() for run in runs)
    values = [*scores, *(floor_of(arm, rule) for arm in results)]
    return [value for value in values if value is not None]


def _as_scored(results: Results, rule: DecisionRule, worth: Mapping[str, float]) -> Results:
    """The results as if the runs that failed through their own fault had completed with a score."""

    def scored(arm: str, run: TrainingResult) -> TrainingResult:
        if not failed_through_its_own_fault(run, rule.metric):
            return run
        completed: dict[str, Any] = {"success": True, "status": RunStatus.COMPLETED, "fault": None}
        return replace(run, **{**completed, rule.metric: worth[arm]})

    return {arm: [scored(arm, run) for run in runs] for arm, runs in results.items()}


def _counts(told: Sensitivity) -> str:
    each = [
        f"{count} of {plural(told.runs_per_arm[arm], f'{arm} run')}"
        for arm, count in told.failed_per_arm.items()
    ]
    return f"{' and '.join(each)} failed (Fisher's exact test {p_value_equation(told.p_value)})."


def _hangs(told: Sensitivity) -> str:
    worst, best = _words(told.worst), _words(told.best)
    if not told.depends:
        would = "is" if told.verdict is told.worst else "would be"
        return (
            f"The verdict does not depend on what a failed run is worth: it {would} {worst} with "
            "the poorest of all scores and with the best."
        )
    _, variant = told.failed_per_arm
    return (
        f"The verdict depends on what a failed run is worth: it would be {worst} in the worst "
        f"case for the {variant} (its failed runs count as the poorest score, the other arm's as "
        f"the best) and {best} in the best."
    )


def _words(verdict: Verdict) -> str:
    return verdict.value.replace("_", " ")

"""What the runs of two arms say before it is judged: scores, effect, interval, p-value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import UsageError
from ..domain.records import RunStatus, TrainingResult
from ..domain.verdicts import DecisionRule
from . import statistics
from .crossover import MAXIMIZE, MINIMIZE
from .text import listed, plural

METRICS = ("final_return", "final_mean_reward", "auc")
DIRECTIONS = (MAXIMIZE, MINIMIZE)
RUN_FAULT = "run"
"""`TrainingResult.fault` of a run that nothing but itself has failed."""
SEEDS_DIFFER = "a paired comparison needs the same seeds in both arms"
FLOOR_UNKNOWN = (
    "the score of a failed run is not known, because the floor, a random policy's return, was not "
    "measured"
)
PERMUTATION_SEED = 20_240_229
"""Seed of the generator that draws relabellings where there are too many to visit."""

_TO_COME = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.INTERRUPTED)
Results = Mapping[str, Sequence[TrainingResult]]
"""Results of single runs by arm, the baseline first."""


@dataclass(frozen=True)
class Evidence:
    """The scores of two arms and what they measure; effects are variant minus baseline."""

    rule: DecisionRule
    """With what a failed run of either arm is worth in place of its floor."""
    baseline: str
    variant: str
    baseline_scores: NDArray[np.float64]
    """Shape ``(n,)``, in the order of the seeds: one score for each run that completed, or failed
    through its own fault where its arm's floor is known."""
    variant_scores: NDArray[np.float64]
    n_per_arm: Mapping[str, int]
    """Runs that have a score, the floor included."""
    failed_per_arm: Mapping[str, int]
    """Runs that have none of their own: failed, skipped, or not finite."""
    imputed_per_arm: Mapping[str, int]
    """Those of them that count with what a failed run is worth."""
    gap: str | None
    """Why the arms cannot be compared; None where they can."""
    effect: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None

    @property
    def n(self) -> int:
        """Scored runs of the arm that has fewest."""
        return min(len(self.baseline_scores), len(self.variant_scores))

    @property
    def without_spread(self) -> bool:
        """Whether the runs of neither arm vary, over at least two runs each."""
        both = (self.baseline_scores, self.variant_scores)
        return self.n > 1 and all(statistics.is_constant(scores) for scores in both)

    @property
    def spread(self) -> float | None:
        """One standard deviation: over seeds, or of the differences by seed when paired."""
        if self.n < 2:
            return None
        return spread_of(self.baseline_scores, self.variant_scores, paired=self.rule.paired)


def gather(results: Results, rule: DecisionRule) -> Evidence:
    """Score the runs and, where none is missing, measure the difference between the arms.

    Raises:
        UsageError: (a ValueError) for other than two arms, an unknown metric or direction, or two
            results of one arm and seed.
    """
    evidence = scored(results, rule)
    return evidence if evidence.gap else _measured(evidence)


def scored(results: Results, rule: DecisionRule) -> Evidence:
    """Score the runs, and measure nothing yet.

    Raises:
        UsageError: as `gather`.
    """
    _check(results, rule)
    rule = with_failure_worth(results, rule)
    baseline, variant = results
    scores = {arm: _scores_by_seed(arm, runs, rule) for arm, runs in results.items()}
    return Evidence(
        rule=rule,
        baseline=baseline,
        variant=variant,
        baseline_scores=scores[baseline],
        variant_scores=scores[variant],
        n_per_arm={arm: len(scores[arm]) for arm in results},
        failed_per_arm={arm: _failures(results[arm], rule.metric) for arm in results},
        imputed_per_arm={arm: imputed(arm, runs, rule) for arm, runs in results.items()},
        gap=_gap(results, rule),
    )


def spread_of(
    baseline: NDArray[np.float64], variant: NDArray[np.float64], *, paired: bool
) -> float | None:
    """One standard deviation: over seeds, or of the differences by seed when paired."""
    if paired:
        return float(np.std(variant - baseline, ddof=1))
    return statistics.pooled_sd(baseline, variant)


def score(result: TrainingResult, metric: str) -> float | None:
    """A run's score; None for a run that did not complete or whose score is not finite."""
    value: float | None = getattr(result, metric)
    complete = result.success and result.status is RunStatus.COMPLETED
    return value if complete and value is not None and math.isfinite(value) else None


def with_failure_worth(results: Results, rule: DecisionRule) -> DecisionRule:
    """The rule with what failed runs of these results are worth in place of the floors.

    Chance may do well by a metric, and no run shall gain by failing (`failure_worth`).
    """
    each = (score(run, rule.metric) for runs in results.values() for run in runs)
    scores = [value for value in each if value is not None]
    known = {arm: floor for arm in rule.floors if (floor := floor_of(arm, rule)) is not None}
    floors = {arm: failure_worth(floor, scores, rule.direction) for arm, floor in known.items()}
    return replace(rule, floors=floors)


def failure_worth(floor: float, scores: Sequence[float], direction: str) -> float:
    """What a failed run counts with: the floor, or the poorest of both arms' scores if poorer."""
    poorer = min if direction == MAXIMIZE else max
    return poorer([floor, *scores])


def worth(arm: str, run: TrainingResult, rule: DecisionRule) -> float | None:
    """What a run counts as: its score, or the floor where it failed through its own fault.

    None for a run that leaves a gap: still to come, failed by the machine, or without a floor. The
    rule is that of `with_failure_worth`.
    """
    if failed_through_its_own_fault(run, rule.metric):
        return floor_of(arm, rule)
    return score(run, rule.metric)


def failed_through_its_own_fault(run: TrainingResult, metric: str) -> bool:
    """Whether nothing but the run is to blame that it has no score: its failure is a result."""
    if run.status in (RunStatus.FAILED, RunStatus.SKIPPED):
        return run.fault == RUN_FAULT
    value: float | None = getattr(run, metric)
    is_complete = run.success and run.status is RunStatus.COMPLETED
    return is_complete and value is not None and not math.isfinite(value)


def floor_of(arm: str, rule: DecisionRule) -> float | None:
    """The random policy's return on an arm's environment; None where it is not known."""
    floor = rule.floors.get(arm)
    return floor if floor is not None and math.isfinite(floor) else None


def imputed(arm: str, runs: Sequence[TrainingResult], rule: DecisionRule) -> int:
    """How many of an arm's runs count with the floor."""
    if floor_of(arm, rule) is None:
        return 0
    return sum(failed_through_its_own_fault(run, rule.metric) for run in runs)


def seed_order(result: TrainingResult) -> tuple[bool, int]:
    """Sorting key: by seed, runs without one last."""
    return result.seed is None, result.seed or 0


def _scores_by_seed(
    arm: str, runs: Sequence[TrainingResult], rule: DecisionRule
) -> NDArray[np.float64]:
    scores = (worth(arm, run, rule) for run in sorted(runs, key=seed_order))
    return np.array([value for value in scores if value is not None], dtype=float)


def _check(results: Results, rule: DecisionRule) -> None:
    if len(results) != 2:
        raise UsageError(
            f"a comparison needs two arms, got {len(results)}",
            remedy="give the baseline first, then the variant",
        )
    for value, allowed in ((rule.metric, METRICS), (rule.direction, DIRECTIONS)):
        if value not in allowed:
            raise UsageError(
                f"unknown {value!r} in the decision rule", remedy=f"use one of {allowed}"
            )
    for arm, runs in results.items():
        counts = Counter(run.seed for run in runs if run.seed is not None)
        repeated = sorted(seed for seed, count in counts.items() if count > 1)
        if repeated:
            raise UsageError(
                f"seed {repeated[0]} has more than one result",
                where=f"arm {arm}",
                remedy="keep one result for each seed",
            )


def _measured(evidence: Evidence) -> Evidence:
    baseline, variant, rule = evidence.baseline_scores, evidence.variant_scores, evidence.rule
    interval = statistics.paired_interval if rule.paired else statistics.welch_interval
    test = statistics.paired_permutation_p if rule.paired else statistics.permutation_p
    return replace(
        evidence,
        effect=statistics.mean_difference(baseline, variant),
        interval=interval(baseline, variant, 1 - rule.alpha),
        p_value=test(baseline, variant, np.random.default_rng(PERMUTATION_SEED)),
    )


def _gap(results: Results, rule: DecisionRule) -> str | None:
    for arm, runs in results.items():
        if not runs:
            return f"the {arm} has no finished run"
        missing = [run for run in sorted(runs, key=seed_order) if worth(arm, run, rule) is None]
        if missing:
            names = listed([reason(run) for run in missing])
            has = "has" if len(missing) == 1 else "have"
            told = f"{len(missing)} of {plural(len(runs), f'{arm} run')} {has} no score ({names})"
            lacks = any(failed_through_its_own_fault(run, rule.metric) for run in missing)
            return f"{told}; {FLOOR_UNKNOWN}" if lacks else told
    seeds = [{run.seed for run in runs} for runs in results.values()]
    if rule.paired and seeds[0] != seeds[1]:
        return SEEDS_DIFFER
    return None


def _failures(runs: Sequence[TrainingResult], metric: str) -> int:
    """Runs that were tried and have no score."""
    return sum(was_tried(run) and score(run, metric) is None for run in runs)


def was_tried(run: TrainingResult) -> bool:
    """Whether a run has come to an end; what is still to be trained has not failed."""
    return run.status not in (*_TO_COME, RunStatus.CANCELLED)


def reason(run: TrainingResult) -> str:
    """Why a run has no score, with its seed."""
    is_complete = run.success and run.status is RunStatus.COMPLETED
    told = "no finite score" if is_complete else run.status.value
    if run.status in _TO_COME:
        told = "not finished"
    if not run.success and run.status is RunStatus.COMPLETED:
        told = RunStatus.FAILED.value
    return told if run.seed is None else f"seed {run.seed}: {told}"

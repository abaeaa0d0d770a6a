"""What the runs of two arms say before it is judged: scores, effect, interval, p-value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import UsageError
from ..domain.records import DecisionRule, RunStatus, TrainingResult
from . import statistics
from .text import listed, plural

METRICS = ("final_return", "final_mean_reward", "auc")
DIRECTIONS = ("maximize", "minimize")
PERMUTATION_SEED = 20_240_229
"""Seed of the generator that draws relabellings where there are too many to visit."""

Results = Mapping[str, Sequence[TrainingResult]]
"""Results of single runs by arm, the baseline first."""


@dataclass(frozen=True)
class Evidence:
    """The scores of two arms and what they measure; effects are variant minus baseline."""

    rule: DecisionRule
    baseline: str
    variant: str
    baseline_scores: NDArray[np.float64]
    """Shape ``(n,)``, one score for each completed run, in the order of the seeds."""
    variant_scores: NDArray[np.float64]
    n_per_arm: Mapping[str, int]
    """Runs that have a score."""
    failed_per_arm: Mapping[str, int]
    """Runs that have none: failed, skipped, interrupted, or not finite."""
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
        if self.rule.paired:
            return float(np.std(self.variant_scores - self.baseline_scores, ddof=1))
        return statistics.pooled_sd(self.baseline_scores, self.variant_scores)


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
    baseline, variant = results
    return Evidence(
        rule=rule,
        baseline=baseline,
        variant=variant,
        baseline_scores=scores_by_seed(results[baseline], rule.metric),
        variant_scores=scores_by_seed(results[variant], rule.metric),
        n_per_arm={arm: len(scores_by_seed(results[arm], rule.metric)) for arm in results},
        failed_per_arm={arm: _failures(results[arm], rule.metric) for arm in results},
        gap=_gap(results, rule),
    )


def score(result: TrainingResult, metric: str) -> float | None:
    """A run's score; None for a run that did not complete or whose score is not finite."""
    value: float | None = getattr(result, metric)
    complete = result.success and result.status is RunStatus.COMPLETED
    return value if complete and value is not None and math.isfinite(value) else None


def scores_by_seed(results: Sequence[TrainingResult], metric: str) -> NDArray[np.float64]:
    """The scores of the completed runs, shape ``(n,)``, in the order of their seeds."""
    scores = (score(result, metric) for result in sorted(results, key=seed_order))
    return np.array([value for value in scores if value is not None], dtype=float)


def seed_order(result: TrainingResult) -> tuple[bool, int]:
    """Sorting key: by seed, runs without one last."""
    return result.seed is None, result.seed or 0


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
        missing = _without_score(runs, rule.metric)
        if missing:
            names = listed([_reason(run) for run in missing])
            has = "has" if len(missing) == 1 else "have"
            return f"{len(missing)} of {plural(len(runs), f'{arm} run')} {has} no score ({names})"
    seeds = [{run.seed for run in runs} for runs in results.values()]
    if rule.paired and seeds[0] != seeds[1]:
        return "a paired comparison needs the same seeds in both arms"
    return None


def _failures(runs: Sequence[TrainingResult], metric: str) -> int:
    """Runs that were tried and have no score; what is still to be trained has not failed."""
    to_come = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.INTERRUPTED, RunStatus.CANCELLED)
    return sum(run.status not in to_come for run in _without_score(runs, metric))


def _without_score(runs: Sequence[TrainingResult], metric: str) -> list[TrainingResult]:
    return [run for run in sorted(runs, key=seed_order) if score(run, metric) is None]


def _reason(run: TrainingResult) -> str:
    scored = run.success and run.status is RunStatus.COMPLETED
    reason = "no finite score" if scored else run.status.value
    if not run.success and run.status is RunStatus.COMPLETED:
        reason = RunStatus.FAILED.value
    return reason if run.seed is None else f"seed {run.seed}: {reason}"

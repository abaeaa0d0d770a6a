"""What the learning curves of both arms say together: the band, the crossover, the steps needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..domain.records import RunKey
from ..domain.verdicts import DecisionRule
from .crossover import MINIMIZE
from .crossover_bootstrap import Overtaking, overtaking
from .curve_band import CurveBand, difference_band
from .curves import ArmCurve, RunCurve, Source, arm_curves, evenly
from .evidence import PERMUTATION_SEED
from .sample_efficiency import Reached, first_step_at, reached, thresholds

Values = NDArray[np.float64]

MOST_STEPS = 100
"""Steps at which arms are compared; of more evaluations so many are chosen evenly."""
FEWEST_RUNS = 2
"""Of an arm, for its spread over seeds to be told."""


@dataclass(frozen=True)
class Milestone:
    """A return, and when the runs of each arm reached it."""

    share: float
    """Of the way from the start to the better arm's end."""
    threshold: float
    arms: Mapping[str, Reached]

    @property
    def ratio(self) -> float | None:
        """Median steps of the second arm for each of the first's; None where one has no median."""
        first, second = (found.median for found in self.arms.values())
        return second / first if first and second else None


@dataclass(frozen=True)
class CurveEvidence:
    """The curves of one source, and what can be said of two arms' difference."""

    source: Source
    arms: Mapping[str, ArmCurve]
    band: CurveBand | None = None
    overtaking: Overtaking | None = None
    milestones: tuple[Milestone, ...] = ()

    @property
    def begins_untrained(self) -> bool:
        """Whether every curve begins before the first step, with what there was before learning."""
        return all(len(arm.steps) and arm.steps[0] == 0 for arm in self.arms.values())


def curve_evidence(
    source: Source,
    runs: Sequence[RunCurve],
    unfinished: Collection[RunKey] = (),
) -> CurveEvidence:
    """The curves of `runs`; those that are unfinished have no part in the mean curves."""
    return CurveEvidence(source, arm_curves(runs, unfinished))


def compared(
    found: CurveEvidence, rule: DecisionRule, lost: Collection[RunKey] = ()
) -> CurveEvidence:
    """The same with what the difference of two arms says.

    Of the unfinished runs, those that are `lost` count as runs that reach no further return.
    """
    arms = found.arms
    if len(arms) != 2 or not all(curve.finished for curve in arms.values()):
        return found
    found = replace(found, milestones=_milestones(found, rule, lost))
    steps, baseline, variant = shared_table(*arms.values())
    if not len(steps) or min(len(baseline), len(variant)) < FEWEST_RUNS:
        return found
    paired = rule.paired and _have_equal_seeds(*arms.values())
    generator = np.random.default_rng(PERMUTATION_SEED)
    minimize = rule.direction == MINIMIZE
    return replace(
        found,
        band=difference_band(steps, baseline, variant, rule.alpha, generator, paired=paired),
        overtaking=overtaking(steps, baseline, variant, generator, minimize=minimize),
    )


def shared_table(baseline: ArmCurve, variant: ArmCurve) -> tuple[Values, Values, Values]:
    """Steps that all finished runs share, ``(points,)``, and each arm's returns there.

    Step 0 is left out, at which nothing has been learned.
    The returns have shape ``(runs, points)``, one row for each finished run, linear between the
    run's own points; there are no points where the runs share no step.
    """
    runs = (*baseline.finished, *variant.finished)
    first = max(run.steps[0] for run in runs)
    last = min(run.steps[-1] for run in runs)
    steps = np.union1d(baseline.steps, variant.steps)
    shared = (steps >= first) & (steps <= last) & (steps > 0)
    steps = np.array(evenly(steps[shared], MOST_STEPS), float)
    finite = np.isfinite(_on(steps, runs)).all(axis=0) if len(steps) else np.array([], bool)
    steps = steps[finite]
    return steps, _on(steps, baseline.finished), _on(steps, variant.finished)


def _on(steps: Values, runs: Sequence[RunCurve]) -> Values:
    rows = [np.interp(steps, run.steps, run.returns) for run in runs]
    return np.array(rows, float).reshape(len(runs), len(steps))


def _have_equal_seeds(baseline: ArmCurve, variant: ArmCurve) -> bool:
    seeds = [[curve.run.seed for curve in arm.finished] for arm in (baseline, variant)]
    return seeds[0] == seeds[1]


def _milestones(
    found: CurveEvidence, rule: DecisionRule, lost: Collection[RunKey]
) -> tuple[Milestone, ...]:
    arms = found.arms
    minimize = rule.direction == MINIMIZE
    worst, best = (max, min) if minimize else (min, max)
    means = [curve.mean for curve in arms.values() if len(curve.mean)]
    if len(means) < len(arms):
        return ()
    floors = [] if found.begins_untrained else list(rule.floors.values())
    start = float(worst(floors or [mean[0] for mean in means]))
    end = float(best(mean[-1] for mean in means))
    learned = start - end if minimize else end - start
    if not (np.isfinite(learned) and learned > 0):
        return ()
    return tuple(
        Milestone(
            share,
            value,
            {
                arm: reached(_first_steps(curve, value, lost, minimize=minimize))
                for arm, curve in arms.items()
            },
        )
        for share, value in thresholds(start, end)
    )


def _first_steps(
    curve: ArmCurve, threshold: float, lost: Collection[RunKey], *, minimize: bool
) -> list[float]:
    """When each run got there; infinite for those that did not, failed ones among them."""
    drawn = [*curve.finished, *(run for run in curve.unfinished if run.run in lost)]
    without_a_point = {run for run in lost if run.arm == curve.arm} - {run.run for run in drawn}
    return [
        *(first_step_at(run.steps, run.returns, threshold, minimize=minimize) for run in drawn),
        *(float("inf") for _ in without_a_point),
    ]

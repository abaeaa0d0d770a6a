"""How often the decision rule calls two equal arms different, and what chance alone looks like.

Recorded runs of one configuration are drawn, with replacement, into two groups of equally many
seeds, many times over. Both groups come from the same runs, so that every rejection is a false one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import UsageError
from . import statistics
from .looks import LookPlan, blocks_within
from .many_experiments import DRAWS, ends_of, p_at_points, permutation_ps
from .power import seeds_for
from .statistics import POWER, Scores
from .text import number, percent, plural

PAIRS = 10_000
"""Pairs of groups drawn, where there is time for them."""
FEWEST_PAIRS = 500
WORK = 6_000_000_000
"""What the tests of all pairs may take together, in multiplications: seconds."""
ENUMERATED = 4_000
"""Up to so many relabellings are all visited: 7 seeds per arm give 3 432."""
COMPARING = 40
"""What it takes to compare one relabelling's sum, in multiplications."""
MOST_SEEDS = 1_000
"""Per group."""
CALIBRATION_SEED = 20_250_301
"""Seed of the generator that draws the groups."""
CHANCE = 0.05
"""Share of the pairs whose difference of means exceeds the one that is told."""
EFFECTS_IN_SD = (0.5, 1.0, 2.0)
FEW_RUNS = 20
"""With fewer the resampled groups are much alike."""


@dataclass(frozen=True)
class Needed:
    """Seeds for one effect."""

    effect: float
    """In units of the metric."""
    seeds_per_arm: int | None
    """None above `statistics.MAX_SEEDS`, and where the runs do not vary."""


@dataclass(frozen=True)
class Calibration:
    """What resampling the runs of one configuration says of a decision rule."""

    runs: int
    """Recorded ones, failed runs with their floor included."""
    seeds_per_arm: int
    pairs: int
    alpha: float
    """Nominal."""
    false_positive_rate: float
    standard_error: float
    """Of that rate, by the number of pairs; not by that of the runs."""
    sd: float
    """Standard deviation over seeds, of the recorded runs."""
    chance_difference: float
    """Difference of the means that chance exceeds in `CHANCE` of the pairs."""
    minimum_detectable: float | None
    """Difference shown with `POWER`, by so many seeds; None with one."""
    needed: tuple[Needed, ...]
    expected_seeds: float
    """Mean seeds per arm that were looked at: fewer than planned in a sequential design."""

    @property
    def is_too_high(self) -> bool:
        """Whether false alarms come more often than accepted, beyond the error of simulation."""
        return self.false_positive_rate > self.alpha + 3.0 * self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data."""
        return asdict(self)


def calibrate(
    scores: Scores,
    seeds_per_arm: int,
    alpha: float = 0.05,
    *,
    paired: bool = False,
    plan: LookPlan | None = None,
    effects: Sequence[float] = (),
    pairs: int | None = None,
) -> Calibration:
    """Apply the decision rule to pairs of groups that are resampled from one arm's runs.

    Args:
        scores: shape ``(runs,)``, finite, at least two.
        seeds_per_arm: runs in each group; with a `plan` its largest number.
        alpha: the rule's.
        paired: whether runs are compared in pairs, which pair nothing here.
        plan: the looks of a group-sequential design.
        effects: in units of the metric, for which the seeds are told; else `EFFECTS_IN_SD`.
        pairs: by default as many as take seconds, `PAIRS` at most.

    Raises:
        UsageError: (a ValueError) for fewer than two runs, or groups of no use.
    """
    runs = np.asarray(scores, float)
    _check(runs, seeds_per_arm)
    generator = np.random.default_rng(CALIBRATION_SEED)
    trials = _affordable(seeds_per_arm, plan) if pairs is None else pairs
    baseline, variant = (
        generator.choice(runs, (trials, seeds_per_arm), replace=True) for _ in range(2)
    )
    rejected, looked_at = _judged(baseline, variant, alpha, plan, generator, paired=paired)
    rate = float(rejected.mean())
    sd = 0.0 if statistics.is_constant(runs) else float(runs.std(ddof=1))
    detectable = statistics.minimum_detectable_effect(seeds_per_arm, alpha)
    differences = np.abs(variant.mean(axis=1) - baseline.mean(axis=1))
    return Calibration(
        runs=len(runs),
        seeds_per_arm=seeds_per_arm,
        pairs=trials,
        alpha=alpha,
        false_positive_rate=rate,
        standard_error=math.sqrt(rate * (1.0 - rate) / trials),
        sd=sd,
        chance_difference=float(np.quantile(differences, 1.0 - CHANCE)),
        minimum_detectable=None if detectable is None else detectable * sd,
        needed=_needed(effects, sd, alpha),
        expected_seeds=float(looked_at.mean()),
    )


def sentence(found: Calibration) -> str:
    """What it comes to."""
    judged = (
        "more often than accepted: choose more seeds or a smaller alpha"
        if found.is_too_high
        else f"and {percent(found.alpha)} are accepted"
    )
    return (
        f"Of pairs of groups of {plural(found.seeds_per_arm, 'seed')} that do not differ, the rule "
        f"calls {percent(round(found.false_positive_rate, 4))} ± "
        f"{percent(round(found.standard_error, 4))} different, {judged}. Chance alone moves the "
        f"difference of the means beyond {number(found.chance_difference)} in "
        f"{percent(CHANCE)} of the pairs."
    )


def caveat(found: Calibration) -> str:
    """What resampling cannot know."""
    unseen = (1.0 - CHANCE) ** found.runs
    few = " These are few: take the figures as orders of magnitude." * (found.runs < FEW_RUNS)
    return (
        f"Resampled from {plural(found.runs, 'run')}, this knows nothing of runs that are better "
        f"or worse than all of them: what happens to {percent(CHANCE)} of the seeds is missing "
        f"from a sample of this size with a probability of {percent(round(unseen, 2))}. The error "
        f"given is that of the resampling alone.{few}"
    )


def _check(runs: NDArray[np.float64], seeds_per_arm: int) -> None:
    if len(runs) < 2:
        raise UsageError(
            f"there {'is' if len(runs) == 1 else 'are'} {plural(len(runs), 'run')} with a score: "
            "nothing to resample",
            remedy="run more seeds",
        )
    if not 2 <= seeds_per_arm <= MOST_SEEDS:
        raise UsageError(
            f"groups of {seeds_per_arm} seeds cannot be calibrated",
            remedy=f"use 2 to {MOST_SEEDS:,} seeds per arm",
        )


def _judged(
    baseline: NDArray[np.float64],
    variant: NDArray[np.float64],
    alpha: float,
    plan: LookPlan | None,
    generator: np.random.Generator,
    *,
    paired: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
    """Which pairs the rule calls different, and the seeds per arm that it looked at for each."""
    pairs, n = baseline.shape
    if plan is not None:
        ends = ends_of(p_at_points(baseline, variant, plan, generator, ENUMERATED), plan)
        return ends.rejected, ends.seeds
    # a sign flip of a pair's difference swaps the labels within a batch of one
    blocks = (1,) * n if paired else (n,)
    p_values = permutation_ps(baseline, variant, blocks, generator, ENUMERATED)
    return p_values <= alpha * (1.0 + 1e-12), np.full(pairs, n)


def _affordable(seeds_per_arm: int, plan: LookPlan | None) -> int:
    looks: list[tuple[int, ...]] = [(seeds_per_arm,)]
    if plan is not None:
        looks = [blocks_within(plan.blocks, n) for n in plan.points]
    each = sum(_relabellings(blocks) * (2 * sum(blocks) + COMPARING) for blocks in looks)
    return max(FEWEST_PAIRS, min(PAIRS, WORK // each))


def _relabellings(blocks: Sequence[int]) -> int:
    total = math.prod(math.comb(2 * block, block) for block in blocks)
    return total if total <= ENUMERATED else DRAWS


def _needed(effects: Sequence[float], sd: float, alpha: float) -> tuple[Needed, ...]:
    asked = effects or [share * sd for share in EFFECTS_IN_SD]
    return tuple(
        Needed(effect, seeds_for(effect, sd, alpha=alpha, power=POWER) if sd else None)
        for effect in asked
        if effect
    )

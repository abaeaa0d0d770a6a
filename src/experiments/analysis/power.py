"""How many seeds a question takes: power of the comparison for an effect and a spread.

Pure functions. A standard deviation is one over seeds, of scores in units of the metric; in a
paired design it is that of the differences by seed. Power is that of the two-sided t-test
(noncentral t), at the share of false alarms that the permutation test can use with so few seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import statistics
from .statistics import POWER, Scores
from .t_test_power import detectable_in_sd, fewest_seeds, t_test_power

FEWEST, MOST = 3, 30
"""Seeds per arm that a plan shows one by one."""
NEARLY_ALL = 0.9
"""Of alpha: where the permutation test can use so much, the rest is not worth a word."""
PILOT_CONFIDENCE = 0.8
"""How sure the upper end of a pilot's spread is (Browne 1995, Statistics in Medicine 14, 1933)."""


@dataclass(frozen=True)
class PlanRow:
    """What so many seeds per arm can do."""

    n: int
    smallest_p: float
    """The smallest p that the permutation test can give."""
    can_decide: bool
    """Whether that reaches alpha."""
    detectable_in_sd: float
    """The smallest effect shown with the plan's power, in standard deviations."""
    detectable: float
    """The same in units of the metric."""
    power: float | None
    """For the plan's effect; None without one."""


@dataclass(frozen=True)
class Plan:
    """Seeds per arm for an effect, and what other numbers of seeds can show."""

    sd: float
    alpha: float
    power: float
    paired: bool
    effect: float | None
    fewest: int
    """Seeds per arm below which nothing can be decided."""
    seeds: int | None
    """Seeds per arm that show the effect; None without one, or above `statistics.MAX_SEEDS`."""
    rows: tuple[PlanRow, ...]

    @property
    def effect_in_sd(self) -> float | None:
        """The effect in standard deviations; None without one."""
        return None if self.effect is None else self.effect / self.sd


@dataclass(frozen=True)
class Spread:
    """A standard deviation over seeds as a pilot has shown it."""

    sd: float
    df: int
    """Degrees of freedom: runs less the means that were estimated."""

    @property
    def upper(self) -> float:
        """Upper confidence limit of the standard deviation (one-sided, `PILOT_CONFIDENCE`)."""
        from scipy.special import chdtri  # pilots alone need it, and it takes 24 MiB

        low = float(chdtri(self.df, PILOT_CONFIDENCE))
        return self.sd * math.sqrt(self.df / low)


def plan(
    sd: float,
    effect: float | None = None,
    *,
    alpha: float = 0.05,
    power: float = POWER,
    paired: bool = False,
) -> Plan:
    """What `FEWEST` to `MOST` seeds per arm can show, and how many an effect takes.

    Args:
        sd: positive, in units of the metric.
        effect: the size of a difference of the means, positive, in the same units.
        alpha: share of false alarms, two-sided.
        power: how often an effect of that size is to be shown; above alpha.
        paired: whether runs of equal seed are compared with each other.
    """
    fewest = statistics.seeds_needed(alpha, paired=paired)
    rows = tuple(
        _row(n, sd, effect, alpha=alpha, power=power, paired=paired)
        for n in range(FEWEST, MOST + 1)
    )
    seeds = seeds_for(effect, sd, alpha=alpha, power=power, paired=paired) if effect else None
    return Plan(sd, alpha, power, paired, effect, fewest, seeds, rows)


def seeds_for(
    effect: float, sd: float, *, alpha: float, power: float, paired: bool = False
) -> int | None:
    """Seeds per arm that show an effect, and can decide at all; None above `MAX_SEEDS`."""

    def enough(n: int) -> bool:
        level = usable_alpha(n, alpha, paired=paired)
        return t_test_power(effect / sd, n, level, paired=paired) >= power

    fewest = statistics.seeds_needed(alpha, paired=paired)
    return fewest_seeds(enough, fewest, statistics.MAX_SEEDS)


def usable_alpha(n: int, alpha: float, *, paired: bool = False) -> float:
    """The share of false alarms that the permutation test can really use, of those accepted.

    With few seeds its p has few values: with 4 per arm the largest one below 0.05 is 0.029. Alpha
    itself where a tenth of it at most is lost; zero where the test cannot reject at all.
    """
    smallest = statistics.smallest_attainable_p(n, n, paired=paired)
    if smallest < (1.0 - NEARLY_ALL) * alpha:
        return alpha
    level = math.floor(alpha / smallest * (1 + 1e-12)) * smallest
    return alpha if level >= NEARLY_ALL * alpha else level


def pooled_spread(samples: Sequence[Scores]) -> Spread | None:
    """One standard deviation over the seeds of several arms, each about its own mean.

    None without an arm of two runs.
    """
    varied = [np.asarray(scores, float) for scores in samples if len(scores) > 1]
    df = sum(len(scores) - 1 for scores in varied)
    if not df:
        return None
    if all(statistics.is_constant(scores) for scores in varied):
        return Spread(0.0, df)
    squares = sum(float(np.var(scores, ddof=1)) * (len(scores) - 1) for scores in varied)
    return Spread(math.sqrt(squares / df), df)


def paired_spread(baseline: Scores, variant: Scores) -> Spread | None:
    """The standard deviation of the differences by seed; None with fewer than two pairs."""
    differences = np.subtract(variant, baseline)
    return pooled_spread([differences])


def _row(
    n: int, sd: float, effect: float | None, *, alpha: float, power: float, paired: bool
) -> PlanRow:
    level = usable_alpha(n, alpha, paired=paired)
    # where nothing can be decided: what a t-test would show, for comparison
    in_sd = detectable_in_sd(n, level or alpha, power, paired=paired)
    achieved = None
    if effect is not None:
        achieved = t_test_power(effect / sd, n, level, paired=paired) if level else 0.0
    smallest_p = statistics.smallest_attainable_p(n, n, paired=paired)
    return PlanRow(n, smallest_p, level > 0, in_sd, in_sd * sd, achieved)

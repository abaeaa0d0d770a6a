"""How sure a crossover is: the seeds' whole curves drawn again, with replacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True)
class Overtaking:
    """From which step on the arm that is ahead at the end stays ahead: a description, no test."""

    step: float | None
    """Of the mean curves, linear between evaluations; None where they end level."""
    leads: bool
    """Whether the variant is the one ahead."""
    from_the_start: bool
    interval: tuple[float, float] | None
    """Percentiles over the resamples in which that arm is ahead at the end."""
    share_without: float
    """Of the resamples: those in which that arm is not ahead at the end, so that none crosses."""
    level: float = 0.95

    @property
    def is_a_crossing(self) -> bool:
        """Whether that arm was behind, or level, before."""
        return self.step is not None and not self.from_the_start


def overtaking(
    steps: Values,
    baseline: Values,
    variant: Values,
    generator: np.random.Generator,
    *,
    minimize: bool = False,
    level: float = 0.95,
) -> Overtaking:
    """The crossover of two mean curves and its bootstrap over seeds.

    `baseline` and `variant` have shape ``(runs, points)``, one row for each seed, on the same
    `steps`, shape ``(points,)``; there is at least one row and one point. Whole curves are drawn
    with replacement within each arm (Efron & Tibshirani 1993, section 8.3; percentile interval,
    chapter 13), so that what happens along a curve stays together.
    """
    sign = -1.0 if minimize else 1.0
    ahead = sign * (variant.mean(axis=0) - baseline.mean(axis=0))
    if ahead[-1] == 0.0:
        return Overtaking(None, False, False, None, 1.0, level)
    side = float(np.sign(ahead[-1]))
    observed = lasting_lead(steps, side * ahead[np.newaxis])[0]
    drawn = side * sign * (_resampled(variant, generator) - _resampled(baseline, generator))
    found = lasting_lead(steps, drawn)
    crossed = found[np.isfinite(found)]
    tail = (1 - level) / 2
    ends = np.quantile(crossed, (tail, 1 - tail)) if len(crossed) else None
    return Overtaking(
        step=float(observed),
        leads=side > 0,
        from_the_start=bool((side * ahead > 0).all()),
        interval=None if ends is None else (float(ends[0]), float(ends[1])),
        share_without=1 - len(crossed) / len(found),
        level=level,
    )


def lasting_lead(steps: Values, ahead: Values) -> Values:
    """The step from which each row of ``(rows, points)`` stays above zero, shape ``(rows,)``.

    The first step for a row that is above zero throughout; NaN for one that is not at the end.
    """
    behind = ahead <= 0
    points = len(steps)
    # the last point that is not ahead, -1 where there is none
    last = np.where(behind.any(axis=1), points - 1 - behind[:, ::-1].argmax(axis=1), -1)
    before = np.clip(last, 0, max(points - 2, 0))
    after = np.minimum(before + 1, points - 1)
    rows = np.arange(len(ahead))
    rise = ahead[rows, after] - ahead[rows, before]
    share = np.divide(-ahead[rows, before], rise, out=np.zeros(len(ahead)), where=rise != 0)
    crossed = steps[before] + share * (steps[after] - steps[before])
    found: Values = np.where(last < 0, steps[0], np.where(last == points - 1, np.nan, crossed))
    return found


def _resampled(runs: Values, generator: np.random.Generator) -> Values:
    """Mean curves of as many runs drawn with replacement, ``(RESAMPLES, points)``."""
    n = len(runs)
    drawn = generator.integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, np.newaxis]
    times = np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    means: Values = times / n @ runs
    return means

"""The group-sequential procedure: what each planned look says, and whether it ends the experiment.

Scores are one number for each seed in the planned order of seeds, shape ``(n,)`` per arm, in units
of the metric; effects are variant minus baseline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np

from . import statistics
from .block_permutation import block_permutation_p
from .distributions import normal_cdf
from .looks import LookPlan, blocks_within
from .spending import power_family, two_sided_value
from .statistics import Interval, Scores

FUTILITY_BELOW = 0.1
"""Of the predictive power: less promise than this is not worth further runs."""


class Decision(StrEnum):
    """What follows from a look."""

    REJECT = "reject"
    """The arms differ; the sign of the effect says how."""
    EQUIVALENT = "equivalent"
    """The repeated interval lies inside the margin: the arms differ by less than matters."""
    FUTILITY = "futility"
    """A difference is unlikely to be shown by the planned end."""
    GO_ON = "go_on"
    LAST_LOOK = "last_look"
    """All planned seeds have been looked at and nothing was rejected."""

    @property
    def ends(self) -> bool:
        """Whether no further run is needed."""
        return self is not Decision.GO_ON


@dataclass(frozen=True)
class LookTaken:
    """One look at the data."""

    n_per_arm: int
    effect: float
    p_value: float
    """Two-sided, of the permutation test within batches."""
    statistic: float
    """The p as a value of z, with the effect's sign."""
    nominal_level: float | None
    """None where the look could only end for futility."""
    critical_value: float | None
    """The boundary on the absolute statistic; None as above."""
    interval: Interval | None
    """Repeated interval; None where the runs do not vary and the arms differ.

    None too where the test does not look: the looks that test share all of α among them, and an
    interval more would miss the difference more often than that.
    """
    level: float
    """Of the interval: one minus the nominal level.

    Where the test does not look it is one minus the α that could have been spent, of no interval.
    """
    predictive_power: float | None
    """The chance of a rejection at the last look, given the data; None at the last look."""
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data."""
        return {**asdict(self), "decision": self.decision.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LookTaken:
        """The record from what `to_dict` made, also after a way through JSON.

        Raises:
            KeyError, TypeError, ValueError: when it is none.
        """
        interval = data["interval"]
        own = {each.name: data[each.name] for each in fields(cls)}
        return cls(
            **{
                **own,
                "interval": None if interval is None else tuple(interval),
                "decision": Decision(data["decision"]),
            }
        )


def follow(
    baseline: Scores,
    variant: Scores,
    plan: LookPlan,
    seed: int,
    *,
    margin: float | None = None,
    use_futility: bool = True,
) -> tuple[LookTaken, ...]:
    """The looks that the seeds so far allow, in order, up to the first that ends the experiment.

    Scores beyond that look are not used. Arms may have different numbers of scores: a look is
    taken when both have its seeds. A look draws from a generator of its own, made of `seed` and
    its number of seeds, so that it gives the same p when it is taken again.
    """
    return follow_first(
        lambda n: (baseline[:n], variant[:n]),
        min(len(baseline), len(variant)),
        plan,
        seed,
        margin=margin,
        use_futility=use_futility,
    )


def follow_first(
    first: Callable[[int], tuple[Scores, Scores]],
    available: int,
    plan: LookPlan,
    seed: int,
    *,
    margin: float | None = None,
    use_futility: bool = True,
) -> tuple[LookTaken, ...]:
    """`follow`, where `first` tells what both arms' first seeds count with at a look of so many."""
    taken: list[LookTaken] = []
    for n in plan.points:
        if n > available or (taken and taken[-1].decision.ends):
            break
        generator = np.random.default_rng((seed, n))
        look = take_look(*first(n), plan, generator, margin=margin, use_futility=use_futility)
        taken.append(look)
    return tuple(taken)


def take_look(
    baseline: Scores,
    variant: Scores,
    plan: LookPlan,
    generator: np.random.Generator,
    *,
    margin: float | None = None,
    use_futility: bool = True,
) -> LookTaken:
    """What the first seeds of both arms say at one of the plan's looks.

    With a margin the arms may be found equivalent. A look that has no interval cannot tell, and
    gives nothing up then.

    Raises:
        ValueError: for different numbers of scores, or a number at which no look is planned.
    """
    n = _planned(baseline, variant, plan)
    p = block_permutation_p(baseline, variant, blocks_within(plan.blocks, n), generator)
    look, fraction = plan.look_at(n), n / plan.max_seeds
    effect = statistics.mean_difference(baseline, variant)
    z = two_sided_value(p)
    level = 1.0 - (look.nominal_level if look else power_family(fraction, plan.alpha))
    promise = predictive_power(z, fraction, plan.looks[-1].critical_value) if fraction < 1 else None
    repeated = statistics.paired_interval if plan.paired else statistics.welch_interval
    interval = repeated(baseline, variant, level) if look else None
    return LookTaken(
        n_per_arm=n,
        effect=effect,
        p_value=p,
        statistic=math.copysign(z, effect) if effect else z,
        nominal_level=look.nominal_level if look else None,
        critical_value=look.critical_value if look else None,
        interval=interval,
        level=level,
        predictive_power=promise,
        decision=decide(
            p,
            look.nominal_level if look else None,
            promise,
            is_equivalent=is_inside(interval, margin),
            use_futility=use_futility and (look is not None or margin is None),
        ),
    )


def decide(
    p_value: float,
    nominal_level: float | None,
    promise: float | None,
    *,
    is_equivalent: bool = False,
    use_futility: bool = True,
) -> Decision:
    """What follows from a look's p, its nominal level and the predictive power.

    `nominal_level` is None where the test does not look, `promise` None at the last look.
    """
    if nominal_level is not None and p_value <= nominal_level:
        return Decision.REJECT
    if is_equivalent:
        return Decision.EQUIVALENT
    if promise is None:
        return Decision.LAST_LOOK
    if use_futility and promise < FUTILITY_BELOW:
        return Decision.FUTILITY
    return Decision.GO_ON


def is_inside(interval: Interval | None, margin: float | None) -> bool:
    """Whether an interval lies inside ±margin; not where there is either none."""
    if interval is None or margin is None:
        return False
    return -margin < interval[0] and interval[1] < margin


def predictive_power(statistic: float, fraction: float, last_critical_value: float) -> float:
    """The chance that |z| passes the last boundary, with a flat prior on the effect.

    1 - Φ((c - B/f) / √((1 - f)/f)) with B = z √f, z not negative (Lan, Hu & Proschan 2009;
    Jennison & Turnbull 2000, section 10.3). Futility by it is not binding: it only ever prevents
    rejections, so that the type-I error stays below α whether or not it is followed.
    """
    score = abs(statistic) * math.sqrt(fraction)
    missing = last_critical_value - score / fraction
    return normal_cdf(-missing / math.sqrt((1.0 - fraction) / fraction))


def stopped_early(taken: Sequence[LookTaken], plan: LookPlan) -> bool:
    """Whether a look before the last rejected: the point estimate is then biased upward."""
    if not taken or taken[-1].decision is not Decision.REJECT:
        return False
    return taken[-1].n_per_arm < plan.max_seeds


def _planned(baseline: Scores, variant: Scores, plan: LookPlan) -> int:
    n = len(baseline)
    if len(variant) != n or n not in plan.points:
        raise ValueError(
            f"{n} and {len(variant)} scores: looks are planned after "
            f"{', '.join(map(str, plan.points))} seeds per arm"
        )
    return n

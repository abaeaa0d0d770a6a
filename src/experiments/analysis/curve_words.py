"""What the curves say, in sentences: the band, the crossover, and why something is missing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..domain.records import RunKey
from ..domain.verdicts import DecisionRule
from .crossover_bootstrap import RESAMPLES, Overtaking
from .curve_band import CurveBand
from .curve_evidence import CurveEvidence, Milestone
from .sample_efficiency import Reached
from .statistics import seeds_needed
from .text import ABSENT, MOST_LISTED, listed, number, p_value_text, percent


def band_sentence(found: CurveEvidence, rule: DecisionRule) -> str | None:
    """Where the curves differ, or why there is no band; None without a comparison."""
    if found.overtaking is None:
        return None
    if found.band is None:
        needed = seeds_needed(rule.alpha, paired=rule.paired)
        return (
            f"No band at α = {rule.alpha:g} is drawn around the difference: that takes at least "
            f"{needed} complete runs per arm, and runs that vary."
        )
    baseline, variant = found.arms
    above = stretches(found.band, found.band.low > 0)
    below = stretches(found.band, found.band.high < 0)
    told = [
        f"the {arm}'s curve is higher at {_joined(where)}"
        for arm, where in ((variant, above), (baseline, below))
        if where
    ]
    p = p_value_text(found.band.p_value)
    anywhere = f"p {p}" if p.startswith("<") else f"p = {p}"
    if not told:
        return f"The curves are not shown to differ at any step ({anywhere} over all steps)."
    sentence = f"Over all steps together {anywhere}: {' and '.join(told)}."
    return sentence[0].upper() + sentence[1:]


def stretches(band: CurveBand, chosen: NDArray[np.bool_]) -> list[str]:
    """Neighbouring chosen steps as ranges, such as ``steps 2,048 to 8,192``."""
    found: list[list[float]] = []
    for place, step in enumerate(band.steps):
        if not chosen[place]:
            continue
        if place and chosen[place - 1]:
            found[-1][1] = step
        else:
            found.append([step, step])
    return [
        f"step {first:,.0f}" if first == last else f"steps {first:,.0f} to {last:,.0f}"
        for first, last in found
    ]


def crossover_sentence(found: CurveEvidence) -> str | None:
    """From when on which arm is ahead, and how sure that is; None without a comparison."""
    over = found.overtaking
    if over is None:
        return None
    if over.step is None:
        return "The mean curves end level: neither arm is ahead at the last common step."
    leader, other = _ordered(found, over)
    unsure = _doubt(over, leader)
    if over.from_the_start:
        return (
            f"No crossover: the {leader}'s mean curve is ahead of the {other}'s from the first "
            f"common step to the last. {unsure}"
        )
    low, high = over.interval or (over.step, over.step)
    return (
        f"The {leader}'s mean curve overtakes the {other}'s for good at step {over.step:,.0f} "
        f"({percent(over.level)} bootstrap interval {low:,.0f} to {high:,.0f}). {unsure}"
    )


def lost_sentence(lost: Collection[RunKey]) -> str | None:
    """That the curves are those of the runs that finished; None where none is lost."""
    if not lost:
        return None
    which = "1 failed run is" if len(lost) == 1 else f"{len(lost)} failed runs are"
    return (
        f"The means, the band and the crossover cover only the runs that finished: {which} left "
        "out of them, which favours the arm that fails."
    )


def milestone_label(milestone: Milestone) -> str:
    """A return and its place on the way, such as ``250.0 (50 %)``."""
    return f"{number(milestone.threshold)} ({percent(milestone.share)})"


def reached_text(found: Reached) -> str:
    """How many runs got there, such as ``4 of 5``."""
    return f"{found.reached} of {found.runs}"


def median_text(found: Reached) -> str:
    """The median steps with their quartiles; what was not reached is said so."""
    if found.median is None:
        return "not by half of them" if found.reached else "never"
    low, high = (ABSENT if end is None else f"{end:,.0f}" for end in found.quartiles)
    spread = f" ({low} to {high})" if found.runs > 1 else ""
    return f"{found.median:,.0f}{spread}"


def ratio_text(milestone: Milestone) -> str:
    """The variant's median steps as a multiple of the baseline's, such as ``0.62 ×``."""
    return ABSENT if milestone.ratio is None else f"{milestone.ratio:.2f} ×"


def _joined(items: list[str]) -> str:
    """In a row with an “and” before the last; of very many the first ones."""
    if len(items) < 2 or len(items) > MOST_LISTED:
        return listed(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _doubt(over: Overtaking, leader: str) -> str:
    resamples = f"{RESAMPLES:,} resamples of the seeds"
    if over.share_without == 0:
        return f"In all {resamples} the {leader} is ahead at the end."
    share = percent(round(over.share_without, 3))
    if over.from_the_start:
        return f"In {share} of {resamples} it is not ahead at the end."
    return (
        f"In {share} of {resamples} there is no crossover, because the {leader} is not ahead at "
        "the end."
    )


def _ordered(found: CurveEvidence, over: Overtaking) -> tuple[str, str]:
    baseline, variant = found.arms
    return (variant, baseline) if over.leads else (baseline, variant)

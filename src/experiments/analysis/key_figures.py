"""The few figures that stand under the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.verdicts import Comparison
from . import statistics
from .content import ReportContent
from .evidence import scored
from .text import interval_text, number, p_value_text, percent


@dataclass(frozen=True)
class KeyFigure:
    """One figure with what it is and what belongs to it."""

    name: str
    value: str
    note: str
    share: tuple[float, float, float] | None = None
    """Low, estimate and high of a probability, to be drawn from 0 to 1."""


def interval_level(content: ReportContent) -> float:
    """The level of the comparison's interval: of a look's it is the repeated interval's."""
    looks = content.comparison.looks
    return float(looks[-1]["level"]) if looks else 1 - content.comparison.alpha


def key_figures(content: ReportContent) -> tuple[KeyFigure, ...]:
    """Effect, probability of improvement, p and error rate; those that there are."""
    comparison = content.comparison
    figures = []
    if comparison.effect is not None:
        kind = "repeated interval" if comparison.looks else "interval"
        single = max(comparison.n_per_arm.values(), default=0) < 2
        told = "one run per arm has no interval" if single else _why_no_interval(comparison)
        if comparison.interval is not None:
            level = percent(round(interval_level(content), 4))
            told = f"{level} {kind} {interval_text(comparison.interval)}"
        value = number(comparison.effect, signed=True)
        figures.append(KeyFigure("Difference, variant minus baseline", value, told))
    figures += _improvement(content)
    if comparison.p_value is not None:
        figures.append(
            KeyFigure("p, permutation test", p_value_text(comparison.p_value), _asked(content))
        )
    figures.append(
        KeyFigure(
            "Error rate α",
            percent(comparison.alpha),
            _alpha_told(content),
        )
    )
    return tuple(figures)


def _why_no_interval(comparison: Comparison) -> str:
    looks = comparison.looks
    if looks and looks[-1]["nominal_level"] is None:
        return "no interval: this look did not test"
    return "no interval: the runs do not vary"


def _alpha_told(content: ReportContent) -> str:
    looks = ", over all looks" if content.plan else ""
    if content.design_changes:
        return f"two-sided{looks}; the design was changed after the start"
    return f"two-sided{looks or ', fixed before the first run'}"


def _asked(content: ReportContent) -> str:
    looks = content.comparison.looks
    if not looks:
        return f"required ≤ {content.comparison.alpha:g}"
    level = looks[-1]["nominal_level"]
    return (
        "this look could only stop for futility"
        if level is None
        else f"required ≤ {level:.2g} at this look"
    )


def _improvement(content: ReportContent) -> list[KeyFigure]:
    """P(variant > baseline), where every run that counts has a score."""
    if len(content.arms) != 2:
        return []
    runs = {arm: result.runs or (result,) for arm, result in content.arms.items()}
    evidence = scored(runs, content.rule)
    if evidence.gap or evidence.n < 2:
        return []
    level = 1 - content.comparison.alpha
    share, (low, high) = statistics.probability_of_improvement(
        evidence.baseline_scores, evidence.variant_scores, level
    )
    return [
        KeyFigure(
            f"P({evidence.variant} > {evidence.baseline}), run against run",
            f"{share:.2f}",
            f"{percent(level)} interval {low:.2f} to {high:.2f}",
            (low, share, high),
        )
    ]

"""The figures that stand behind a verdict, for the reader who wants to check it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..domain.records import TrainingResult
from ..domain.verdicts import Comparison, DecisionRule
from . import statistics
from .evidence import Evidence, scored
from .text import interval_text, number, p_value_text, percent
from .verdict import minimum_detectable_difference


def effect_sizes(
    arms: Mapping[str, TrainingResult], comparison: Comparison, rule: DecisionRule
) -> dict[str, str]:
    """Names and values of the statistics of a comparison; empty where nothing can be compared."""
    if len(arms) != 2:
        return {}
    evidence = scored({arm: result.runs or (result,) for arm, result in arms.items()}, rule)
    if evidence.gap or evidence.n < 2:
        return {}
    measured = replace(
        evidence,
        effect=comparison.effect,
        interval=comparison.interval,
        p_value=comparison.p_value,
    )
    if comparison.looks:
        last = comparison.looks[-1]
        figures = _differences(measured, float(last["level"]))
        if last["nominal_level"] is None:
            figures = {name: value for name, value in figures.items() if "repeated" not in name}
        return figures
    return _differences(measured) | _sensitivity(measured)


def _differences(evidence: Evidence, repeated_level: float | None = None) -> dict[str, str]:
    """`repeated_level` is that of the last look's interval, in a group-sequential design."""
    rule, level = evidence.rule, 1 - evidence.rule.alpha
    baseline, variant = evidence.baseline_scores, evidence.variant_scores
    share, share_interval = statistics.probability_of_improvement(baseline, variant, level)
    kind = "paired t" if rule.paired else "Welch"
    test = "sign-flip test" if rule.paired else "studentised permutation test"
    interval = f"{percent(level)} interval ({kind})"
    if repeated_level is not None:
        interval = f"{percent(round(repeated_level, 4))} repeated interval ({kind})"
    facts = {
        "Difference of the means": number(evidence.effect, signed=True),
        interval: _interval(evidence),
        f"p, {test}": p_value_text(evidence.p_value),
        "Hedges' g": number(statistics.hedges_g(baseline, variant), signed=True),
        f"P({evidence.variant} run > {evidence.baseline} run)": (
            f"{number(share)} ({interval_text(share_interval)})"
        ),
    }
    achieved = _correlation(evidence)
    return facts if achieved is None else facts | {"Correlation over seeds": number(achieved)}


def _sensitivity(evidence: Evidence) -> dict[str, str]:
    rule = evidence.rule
    least = statistics.smallest_attainable_p(
        len(evidence.baseline_scores), len(evidence.variant_scores), paired=rule.paired
    )
    facts = {"Smallest p that these seeds can give": p_value_text(least)}
    shown = minimum_detectable_difference(evidence)
    if shown:
        power = percent(statistics.POWER)
        facts[f"Smallest difference shown with {power} power"] = number(shown)
    if rule.minimum_effect and evidence.spread:
        needed = statistics.seeds_for_effect(
            rule.minimum_effect / evidence.spread, rule.alpha, paired=rule.paired
        )
        facts[f"Seeds per arm to show {rule.minimum_effect:g}"] = str(needed or "over 10 000")
    return facts


def _interval(evidence: Evidence) -> str:
    return interval_text(evidence.interval) if evidence.interval else "none: the runs do not vary"


def _correlation(evidence: Evidence) -> float | None:
    return statistics.correlation(evidence.baseline_scores, evidence.variant_scores)

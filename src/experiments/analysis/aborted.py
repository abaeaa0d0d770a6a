"""The answer where the variant was ended in mid-training: hopeless is not the same as worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..domain.verdicts import Comparison, Verdict
from .early_abort import ABORT_LEVEL, AbortLook, AbortRule
from .text import number, p_value_equation, percent, plural

STRONGER = (Verdict.VARIANT_BETTER, Verdict.VARIANT_WORSE, Verdict.EQUIVALENT)
"""Answers that complete runs gave before; an early end takes none of them back."""


def with_abort(
    comparison: Comparison, look: AbortLook, complete: Mapping[str, int], planned: int
) -> Comparison:
    """The comparison of an experiment that a look in mid-training has ended.

    Args:
        comparison: of the runs as they are.
        look: the one that ended it.
        complete: complete runs by arm.
        planned: seeds per arm.
    """
    is_whole = all(count == planned for count in complete.values())
    if is_whole or comparison.verdict in STRONGER:
        return comparison
    sentence = _told(look, complete, planned)
    return replace(comparison, verdict=Verdict.STOPPED_FOR_FUTILITY, sentence=sentence)


def _told(look: AbortLook, complete: Mapping[str, int], planned: int) -> str:
    baseline, variant = complete
    seeds = plural(look.n_variant, "seed")
    effect = number(look.effect, signed=True)
    return (
        f"The {variant} was stopped after {percent(look.fraction)} of training because it showed "
        f"little promise: with {seeds} per arm the {variant}'s evaluations differ from the "
        f"{baseline}'s there by {effect} on average ({_asked(look)}). Of "
        f"{plural(planned, 'planned seed')} {complete[variant]} of the {variant} and "
        f"{complete[baseline]} of the {baseline} are complete, so this does not say how the "
        "others would have ended; without early_abort every run is trained to its end."
    )


def _asked(look: AbortLook) -> str:
    match look.rule:
        case AbortRule.WELCH:
            test = p_value_equation(look.p_value) if look.p_value is not None else "p unknown"
            return f"one-sided Welch test {test}, required < {ABORT_LEVEL:g}"
        case AbortRule.WORSE_THAN_BASELINE:
            return "the rule only requires a worse mean"

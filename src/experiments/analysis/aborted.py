"""The answer where the variant was ended in mid-training: hopeless is not the same as worse."""

from __future__ import annotations

from dataclasses import replace

from ..domain.records import Comparison, Verdict
from .early_abort import ABORT_LEVEL, AbortLook, AbortRule
from .text import number, p_value_equation, percent, plural

STRONGER = (Verdict.VARIANT_BETTER, Verdict.VARIANT_WORSE, Verdict.EQUIVALENT)
"""Answers that complete runs gave before; an early end takes none of them back."""


def with_abort(comparison: Comparison, look: AbortLook) -> Comparison:
    """The comparison of an experiment that a look in mid-training has ended."""
    if comparison.verdict in STRONGER:
        return comparison
    sentence = _told(look, tuple(comparison.n_per_arm))
    return replace(comparison, verdict=Verdict.STOPPED_FOR_FUTILITY, sentence=sentence)


def _told(look: AbortLook, arms: tuple[str, ...]) -> str:
    baseline, variant = arms
    seeds = plural(look.n_variant, "seed")
    why = f"the {variant}'s evaluations differ from the {baseline}'s by a mean of " + (
        number(look.effect, signed=True)
    )
    match look.rule:
        case AbortRule.WELCH:
            test = p_value_equation(look.p_value) if look.p_value is not None else "p unknown"
            rule = f"one-sided Welch test {test}, asked < {ABORT_LEVEL:g}"
        case AbortRule.WORSE_THAN_BASELINE:
            rule = "the rule asks for no more than a lower mean"
    return (
        f"The {variant} was ended after {percent(look.fraction)} of training, for little promise: "
        f"with {seeds} per arm {why} there ({rule}). Its runs are not complete, so this does not "
        f"say what it would have come to at the end; without early_abort it is trained whole."
    )

"""The answer to the experiment's question, for a number of seeds fixed in advance.

The cases are taken in a fixed order: runs that are missing, a test that rejects, equivalence,
evidence that could not have sufficed, and last no difference shown. A run without a score is never
dropped: leaving out the failures of an arm that fails would make it look better. One that failed
through its own fault counts with the floor, a random policy's return, or with the poorest score
where that is poorer.
"""

from __future__ import annotations

from ..domain.verdicts import Comparison, DecisionRule, Verdict
from . import statistics
from .evidence import Evidence, Results, gather
from .failed_runs import floor_note, with_sensitivity
from .sequential import is_inside
from .text import interval_text, metric_label, number, p_value_equation, percent
from .unlearned import with_unlearned

Answer = tuple[Verdict, str]


def compare(results: Results, rule: DecisionRule) -> Comparison:
    """Answer whether the second arm of `results` beats the first, one result for each seed.

    Raises:
        UsageError: (a ValueError) for other than two arms, an unknown metric or direction, or two
            results of one arm and seed.
    """
    found = with_unlearned(judge(results, rule), results)
    return with_sensitivity(found, results, rule, judge)


def judge(results: Results, rule: DecisionRule) -> Comparison:
    """The same without a word on what failed runs could change.

    Raises:
        UsageError: as `compare`.
    """
    evidence = gather(results, rule)
    verdict, sentence = _decide(evidence)
    if not evidence.gap:
        runs = {arm: len(found) for arm, found in results.items()}
        sentence += floor_note(runs, evidence.imputed_per_arm, evidence.rule, rule)
    return Comparison(
        verdict=verdict,
        sentence=sentence,
        metric=rule.metric,
        effect=evidence.effect,
        interval=evidence.interval,
        alpha=rule.alpha,
        p_value=evidence.p_value,
        n_per_arm=evidence.n_per_arm,
        failed_per_arm=evidence.failed_per_arm,
    )


def minimum_detectable_difference(evidence: Evidence) -> float | None:
    """The difference that these seeds show with 80 % power, in units of the metric.

    None with fewer than two runs in an arm; zero where the runs do not vary.
    """
    spread = evidence.spread
    if not spread:
        return spread
    rule = evidence.rule
    in_sd = statistics.minimum_detectable_effect(evidence.n, rule.alpha, paired=rule.paired)
    return None if in_sd is None else in_sd * spread


def _decide(evidence: Evidence) -> Answer:
    if evidence.gap:
        return Verdict.INSUFFICIENT_EVIDENCE, _incomplete(evidence)
    if evidence.p_value is not None and evidence.p_value <= evidence.rule.alpha:
        return _rejected(evidence)
    if is_inside(evidence.interval, evidence.rule.equivalence_margin):
        return Verdict.EQUIVALENT, _equivalent(evidence)
    if evidence.without_spread and evidence.effect == 0:
        return Verdict.NO_DIFFERENCE_SHOWN, _identical(evidence)
    if _smallest_p(evidence) > evidence.rule.alpha:
        return Verdict.INSUFFICIENT_EVIDENCE, _too_few(evidence)
    return _not_rejected(evidence)


def _smallest_p(evidence: Evidence) -> float:
    n_baseline, n_variant = len(evidence.baseline_scores), len(evidence.variant_scores)
    return statistics.smallest_attainable_p(n_baseline, n_variant, paired=evidence.rule.paired)


def _rejected(evidence: Evidence) -> Answer:
    higher = (evidence.effect or 0.0) > 0
    better = higher == (evidence.rule.direction == "maximize")
    word = "better" if better else "worse"
    advice = (
        "Before building on it, repeat it with seeds that were not used here."
        if better
        else f"Keep the {evidence.baseline}, or change something else next."
    )
    verdict = Verdict.VARIANT_BETTER if better else Verdict.VARIANT_WORSE
    return verdict, f"The {evidence.variant} is {word}: {_measured(evidence, 'its')}. {advice}"


def _not_rejected(evidence: Evidence) -> Answer:
    wanted, shown = evidence.rule.minimum_effect, minimum_detectable_difference(evidence)
    if wanted is not None and shown is not None and shown > wanted:
        return Verdict.INSUFFICIENT_EVIDENCE, _too_weak(evidence, wanted, shown)
    return Verdict.NO_DIFFERENCE_SHOWN, _no_difference(evidence, shown)


def _incomplete(evidence: Evidence) -> str:
    has_failed = any(evidence.failed_per_arm.values())
    return (
        f"The evidence is insufficient: {evidence.gap}. The arms are compared once every planned "
        "run has a score, because leaving out failed runs favours the arm that fails. "
        f"{'Fix the cause and continue' if has_failed else 'Continue'} the experiment."
    )


def _equivalent(evidence: Evidence) -> str:
    return (
        f"The arms are equivalent within ±{evidence.rule.equivalence_margin:g}: "
        f"{_measured(evidence)}, and the interval lies inside the margin. "
        "Choose by cost or simplicity."
    )


def _identical(evidence: Evidence) -> str:
    return (
        f"No difference was shown: every run of both arms has the same "
        f"{metric_label(evidence.rule.metric)}, {number(evidence.baseline_scores[0])}. "
        "The task may be too easy to tell them apart: train for fewer steps or make it harder."
    )


def _too_few(evidence: Evidence) -> str:
    rule = evidence.rule
    needed = statistics.seeds_needed(rule.alpha, paired=rule.paired)
    baseline, variant = evidence.n_per_arm[evidence.baseline], evidence.n_per_arm[evidence.variant]
    seeds = (
        f"{baseline} seeds per arm" if baseline == variant else f"{baseline} and {variant} seeds"
    )
    runs = (
        "One run per arm says nothing about the algorithms"
        if baseline == variant == 1
        else f"{seeds} are too few to decide"
    )
    reverses = ", which another seed may reverse" if evidence.effect else ""
    return (
        f"{runs}: {_measured(evidence)}{reverses}. "
        f'Run at least {needed} seeds per arm ("seeds": {needed}); '
        f"with fewer the permutation test cannot reach p ≤ {rule.alpha:g}."
    )


def _too_weak(evidence: Evidence, wanted: float, shown: float) -> str:
    rule = evidence.rule
    seeds = statistics.seeds_for_effect(
        wanted / (evidence.spread or 1.0), rule.alpha, paired=rule.paired
    )
    advice = (
        f'Run about {seeds} seeds per arm ("seeds": {seeds}).'
        if seeds
        else "No affordable number of seeds would do: reduce the noise or raise minimum_effect."
    )
    return (
        f"The evidence is insufficient: {_measured(evidence)}. With {evidence.n} seeds per arm a "
        f"difference must be about {number(shown)} to be shown with "
        f"{percent(statistics.POWER)} power, and {wanted:g} matters here "
        f"(minimum_effect). {advice}"
    )


def _no_difference(evidence: Evidence, shown: float | None) -> str:
    limit = (
        f" With {evidence.n} seeds per arm a difference below about {number(shown)} is easily "
        f"missed ({percent(statistics.POWER)} power)."
        if shown
        else ""
    )
    return (
        f"No difference was shown: {_measured(evidence)}. That does not prove the arms equal."
        f"{limit} More seeds would narrow the interval; "
        "a stated equivalence_margin would test for equality."
    )


def _measured(evidence: Evidence, whose: str | None = None) -> str:
    """What both arms reached, the difference, and how certain it is."""
    rule = evidence.rule
    lower = " (lower is better)" if rule.direction == "minimize" else ""
    whose = whose or f"the {evidence.variant}'s"
    return (
        f"{whose} {metric_label(rule.metric)}{lower} is "
        f"{number(float(evidence.variant_scores.mean()))} against the {evidence.baseline}'s "
        f"{number(float(evidence.baseline_scores.mean()))}{_over_seeds(evidence)}, "
        f"a difference of {number(evidence.effect, signed=True)}{_certainty(evidence)}"
    )


def _over_seeds(evidence: Evidence) -> str:
    variant, baseline = evidence.n_per_arm[evidence.variant], evidence.n_per_arm[evidence.baseline]
    if variant != baseline:
        return f" over {variant} and {baseline} seeds"
    return "" if variant == 1 else f" over {variant} seeds per arm"


def _certainty(evidence: Evidence) -> str:
    facts = []
    if evidence.interval is not None:
        level = percent(1 - evidence.rule.alpha)
        facts.append(f"{level} interval {interval_text(evidence.interval)}")
    if evidence.p_value is not None:
        facts.append(f"permutation test {p_value_equation(evidence.p_value)}")
    return f" ({', '.join(facts)})" if facts else ""

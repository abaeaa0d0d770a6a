"""What the arms reached in the metrics that are not the primary one; no verdict rests on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..domain.verdicts import DecisionRule
from .evidence import METRICS, Results, gather
from .multiplicity import holm
from .text import metric_label


@dataclass(frozen=True)
class SecondaryMetric:
    """One metric beside the primary one."""

    metric: str
    effect: float | None
    """Difference of the arms' means over seeds; None where a run leaves a gap."""
    interval: tuple[float, float] | None
    """At one minus alpha, of this metric alone."""
    p_value: float | None
    """Of this metric's test alone."""
    adjusted_p: float | None
    """Holm's, over all secondary metrics that could be compared."""
    n_per_arm: Mapping[str, int]
    role: str = "secondary"

    @property
    def label(self) -> str:
        """The metric in words, and that it is not what was asked."""
        return f"{metric_label(self.metric)} ({self.role})"

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data."""
        return asdict(self)


def secondary_metrics(
    results: Results, rule: DecisionRule, analysed: Mapping[str, int] | None = None
) -> tuple[SecondaryMetric, ...]:
    """Effect, interval and Holm-corrected p of every metric but the rule's.

    Failed runs count as in the verdict. Of a group-sequential design, whose results stand in
    planned order, `analysed` says how many of each arm's first runs the verdict rests on (its
    `n_per_arm`); the p-values know nothing of the looks.

    Raises:
        UsageError: (a ValueError) as `verdict.compare`.
    """
    if analysed is not None:
        results = {arm: runs[: analysed[arm]] for arm, runs in results.items()}
    found = [_measured(results, replace(rule, metric=m)) for m in METRICS if m != rule.metric]
    p_values = {each.metric: each.p_value for each in found}
    adjusted = holm({metric: p for metric, p in p_values.items() if p is not None})
    return tuple(replace(each, adjusted_p=adjusted.get(each.metric)) for each in found)


def correction_note(looks: Sequence[Mapping[str, Any]]) -> str:
    """For what the p-values are corrected, in a sentence, given the comparison's looks."""
    if not looks:
        return "p is corrected for their number; no verdict rests on them."
    return (
        "p is corrected for their number but not for the looks, which end an experiment when the "
        "verdict's metric is extreme; no verdict rests on them."
    )


def _measured(results: Results, rule: DecisionRule) -> SecondaryMetric:
    evidence = gather(results, rule)
    return SecondaryMetric(
        metric=rule.metric,
        effect=evidence.effect,
        interval=evidence.interval,
        p_value=evidence.p_value,
        adjusted_p=None,
        n_per_arm=evidence.n_per_arm,
    )

"""Whether the verdict depends on what failed runs are worth, for either design."""

from __future__ import annotations

from functools import partial

from ..domain.verdicts import DecisionRule
from . import sequential_verdict, verdict
from .evidence import Results
from .failed_runs import Sensitivity, sensitivity_of
from .looks import LookPlan

__all__ = ["Sensitivity", "sensitivity"]


def sensitivity(
    results: Results, rule: DecisionRule, plan: LookPlan | None = None
) -> Sensitivity | None:
    """Counts of failed runs, Fisher's test on them, and the verdict with the worst and the best.

    `plan` is that of a group-sequential design, whose results stand in planned order; runs beyond
    the look that ended it are no part of this. None where no run failed through its own fault.

    Raises:
        UsageError: (a ValueError) as `verdict.compare`.
    """
    judge = verdict.judge if plan is None else partial(sequential_verdict.judge_in_looks, plan=plan)
    judged = judge(results, rule)
    analysed = sequential_verdict.analysed(results, judged.looks)
    return sensitivity_of(judged.verdict, analysed, rule, judge)

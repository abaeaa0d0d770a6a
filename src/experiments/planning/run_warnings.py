"""What runs did that a reader of the result must know."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis.evidence import score
from ..analysis.text import number, plural
from ..analysis.unlearned import unlearned_warning
from .planned_runs import PlannedRuns


def run_warnings(runs: PlannedRuns) -> Iterator[str]:
    """How runs deviate from their configuration or an undisturbed run, and what they lack."""
    for run, result in runs.results.items():
        yield from (f"{run.name}: {each}" for each in result.deviations)
    yield from _below_chance(runs)
    idle = (unlearned_warning(arm, runs.results_of(arm)) for arm in runs.config.arms)
    yield from filter(None, idle)


def _below_chance(runs: PlannedRuns) -> Iterator[str]:
    """Arms whose runs end with less than random actions get."""
    rule = runs.design.rule
    if rule.direction != "maximize":
        return
    for arm, floor in runs.design.floors.items():
        scores = [score(run, rule.metric) for run in runs.results_of(arm)]
        low = sum(value is not None and value < floor.return_mean for value in scores)
        if low:
            yield (
                f"{arm}: {low} of {plural(len(scores), 'run')} ended below what random actions "
                f"get, a mean return of {number(floor.return_mean)}"
            )

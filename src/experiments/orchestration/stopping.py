"""What may end an experiment before all planned runs are complete: its looks, taken once each."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping

from ..analysis.early_abort import AbortLook, look_for_abort
from ..analysis.evidence import failure_worth
from ..analysis.imputation import impute
from ..analysis.sequential import Decision, LookTaken
from ..analysis.statistics import Scores
from ..analysis.text import number, percent
from ..domain.log_levels import NOTICE
from ..domain.metric_names import EVAL_RETURN_MEAN
from ..domain.paths import RunPaths
from ..domain.records import RunKey, RunProgress, RunStatus, TrainingResult
from ..execution import Fault
from ..experiment import Experiment
from ..monitoring import RecordStream

logger = logging.getLogger(__name__)

HALF_PERCENT = 50.0
"""Of its training, after which a return below the random policy's is worth a warning."""


class StoppingRules:
    """Takes the looks of an experiment's design as soon as their runs allow, and records them.

    Args:
        experiment: its directory exists and is locked by this process.
        steps: timesteps of all runs together so far, for the record.
    """

    def __init__(self, experiment: Experiment, steps: Callable[[], int]) -> None:
        self._experiment = experiment
        self._steps = steps
        self._planned = experiment.planned_timesteps()
        self._curves: dict[RunKey, _EvaluationCurve] = {}
        self._warned: set[RunKey] = set()

    def look_at_results(self) -> None:
        """Take the planned looks whose runs have all ended, in their order."""
        experiment, looks = self._experiment, self._experiment.looks
        plan = experiment.design.plan
        if plan is None or experiment.is_decided:
            return
        following = next((n for n in plan.points if n > looks.settled), None)
        if following is None or experiment.leading_seeds() < following:
            return
        for told in experiment.comparison.looks[len(looks.planned) :]:
            look = LookTaken.from_dict(told)
            looks.take(look, self._steps())
            logger.log(NOTICE, "%s", _told(look))

    def look_at_training(self, running: Collection[RunKey]) -> None:
        """Take the look in mid-training that is due, once every run that it needs is so far."""
        experiment, abort = self._experiment, self._experiment.design.abort
        taken = len(experiment.looks.in_training)
        if abort is None or taken == len(abort.fractions) or self._is_pointless():
            return
        fraction = abort.fractions[taken]
        seen = {arm: list(self._seen(arm, fraction, running)) for arm in experiment.design.seeds}
        if min(map(len, seen.values())) < abort.seeds:
            return
        baseline, variant = (self._with_failure_worth(arm, seen) for arm in seen)
        direction = experiment.rule.direction
        look = look_for_abort(baseline, variant, fraction, abort.rule, direction)
        experiment.looks.take(look, self._steps())
        logger.log(NOTICE, "%s", _told_of_training(look))

    def watch(self, progress: RunProgress) -> None:
        """Warn once of a run that does far worse than chance when half of its training is over.

        A little worse is common: whoever learns has left chance behind in the wrong direction too.
        """
        floor = self._experiment.design.floors.get(progress.run.arm)
        if floor is None or progress.returns_mean is None or progress.run in self._warned:
            return
        is_low = progress.returns_mean < floor.return_mean - floor.return_std
        maximizes = self._experiment.rule.direction == "maximize"
        if maximizes and is_low and progress.percent >= HALF_PERCENT:
            self._warned.add(progress.run)
            logger.warning(
                "%s: after %s of its training its mean return, %s, is far below what random "
                "actions get, %s",
                progress.run.name,
                percent(progress.percent // 1 / 100),
                number(progress.returns_mean),
                number(floor.return_mean),
            )

    def _is_pointless(self) -> bool:
        """Whether nothing could be spared any more."""
        if self._experiment.is_decided:
            return True
        baseline = next(iter(self._experiment.design.seeds))
        variants = (run for run in self._experiment.runs() if run.arm != baseline)
        return all(self._experiment.has_ended(run) for run in variants)

    def _seen(self, arm: str, fraction: float, running: Collection[RunKey]) -> Iterator[float]:
        """What each of the arm's first runs reached there; those that are not so far are absent.

        NaN for a run that failed through its own fault before.
        """
        experiment, abort = self._experiment, self._experiment.design.abort
        assert abort is not None  # noqa: S101 - asked by who has one
        threshold = fraction * self._planned[arm]
        for seed in experiment.design.seeds[arm][: abort.seeds]:
            run = RunKey(arm, seed)
            value = self._value(run, threshold, is_running=run in running)
            if value is not None:
                yield value

    def _value(self, run: RunKey, threshold: float, *, is_running: bool) -> float | None:
        is_open = is_running or self._experiment.is_open(run)
        result = None if is_open else self._experiment.results.get(run)
        if result is not None and result.success:
            return next((p.return_mean for p in result.evaluations if p.step >= threshold), None)
        curve = self._curves.setdefault(run, _EvaluationCurve(self._experiment.paths.run(run)))
        reached = curve.value_at(threshold)
        failed = reached is None and result is not None and _was_given_up(result)
        return math.nan if failed and run.arm in self._experiment.rule.floors else reached

    def _with_failure_worth(self, arm: str, seen: Mapping[str, Scores]) -> Scores:
        """The values of an arm, of failed runs too: they are worth what `failure_worth` says."""
        rule = self._experiment.rule
        if arm not in rule.floors:
            return seen[arm]
        both = [value for values in seen.values() for value in values if math.isfinite(value)]
        return impute(seen[arm], failure_worth(rule.floors[arm], both, rule.direction))


class _EvaluationCurve:
    """The evaluations that a run's journal tells, read as it grows."""

    def __init__(self, paths: RunPaths) -> None:
        self._stream = RecordStream(paths.journal)
        self._points: list[tuple[int, float]] = []

    def value_at(self, threshold: float) -> float | None:
        """The mean return of the first evaluation at or after a timestep; None before it."""
        if self._stream.has_changed():
            self._take_in()
        return next((mean for step, mean in self._points if step >= threshold), None)

    def _take_in(self) -> None:
        if self._stream.was_cut:
            self._stream.restart()
            self._points.clear()
        for record in self._stream.records():
            mean = record.get("metrics", {}).get(EVAL_RETURN_MEAN)
            if record.get("kind") == "evaluation" and mean is not None:
                self._points.append((record["step"], mean))


def _was_given_up(result: TrainingResult) -> bool:
    return result.fault == Fault.RUN and result.status is RunStatus.SKIPPED


def _told(look: LookTaken) -> str:
    asked = "" if look.nominal_level is None else f" (required ≤ {look.nominal_level:.2g})"
    seen = f"look after {look.n_per_arm} seeds per arm: p = {look.p_value:.2g}{asked}"
    match look.decision:
        case Decision.REJECT:
            return f"{seen}, the arms differ; no further run is needed"
        case Decision.EQUIVALENT:
            return f"{seen}, the arms are equivalent; no further run is needed"
        case Decision.FUTILITY:
            promise = percent(round(look.predictive_power or 0.0, 3))
            return (
                f"{seen}; a difference is unlikely to be shown ({promise}); no further run is "
                "started"
            )
        case Decision.LAST_LOOK:
            return f"{seen}, the last look"
        case Decision.GO_ON:
            return f"{seen}; the experiment continues"


def _told_of_training(look: AbortLook) -> str:
    test = "" if look.p_value is None else f", one-sided p = {look.p_value:.2g}"
    effect = number(look.effect, signed=True)
    seen = f"look at {percent(look.fraction)} of training: variant minus baseline {effect}{test}"
    return f"{seen}; the variant is stopped" if look.abort else f"{seen}; training continues"

"""What `experiments compare` tells of each experiment: figures and mean curves, as far as it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ..analysis.crossover import MAXIMIZE, MINIMIZE
from ..analysis.curves import Source
from ..analysis.secondary import SecondaryMetric, secondary_metrics
from ..analysis.seed_means import Points, SeedMean, points, seed_mean
from ..domain.errors import StorageError
from ..domain.records import ExperimentStatus, RunKey, RunStatus
from ..durability.journal import Records
from ..durability.saved_experiments import read_result
from ..monitoring import JournalProgress
from .recorded import recorded
from .stored import ARMS, Data, StoredExperiment
from .tables import number
from .watching import Notices, logged_to

SCORES = ("final_return", "final_mean_reward", "auc")
FAILURES = (RunStatus.FAILED.value, RunStatus.SKIPPED.value)


@dataclass(frozen=True)
class Score:
    """One of an arm's scores over its runs that are analysed."""

    mean: float | None
    std: float | None
    """Standard deviation over seeds (ddof 1); None with fewer than two."""
    n: int
    imputed: int = 0
    """Those of them that failed, and count with what a failure is worth."""


@dataclass(frozen=True)
class ArmSoFar:
    """What an arm's runs have come to."""

    arm: str
    algorithm: str
    environment: str
    runs_planned: int
    """Those that were needed, as all that follows is of them."""
    runs_completed: int
    runs_failed: int
    """Failed or skipped."""
    runs_not_needed: int
    """Planned ones without which a rule has ended the experiment."""
    timesteps_not_needed: int
    """What was spent on these all the same."""
    scores: Mapping[str, Score]
    total_timesteps: int
    training_time: float
    evaluation: SeedMean
    """Over the completed runs; over those under way where there is none."""
    training: SeedMean


@dataclass(frozen=True)
class Compared:
    """One of the experiments that are compared."""

    stored: StoredExperiment
    arms: Mapping[str, ArmSoFar]
    problems: tuple[str, ...]

    @property
    def experiment_id(self) -> str:
        """Its id."""
        return self.stored.paths.experiment_id

    @property
    def is_whole(self) -> bool:
        """Whether every run that was needed is complete."""
        return all(arm.runs_completed == arm.runs_planned for arm in self.arms.values())

    @property
    def direction(self) -> str:
        """Whether more is better in it."""
        rule = self.stored.config.get("comparison")
        told = rule.get("direction") if isinstance(rule, Mapping) else None
        return MINIMIZE if told == MINIMIZE else MAXIMIZE

    @property
    def early_abort(self) -> Sequence[Data]:
        """The looks in mid-training that were taken."""
        told = self.stored.results.get("early_abort") if self.stored.is_final else None
        return (
            [look for look in told if isinstance(look, Mapping)] if isinstance(told, list) else []
        )

    @property
    def comparison(self) -> Data:
        """Its verdict and what belongs to it; empty where there is none of what it is now."""
        return self.stored.comparison if self.stored.is_final else {}


def compared(experiment: StoredExperiment) -> Compared:
    """Gather an experiment from its results, or from its runs while it is under way.

    Raises:
        StorageError: when its own file cannot be read.
    """
    if not experiment.experiment:
        raise StorageError(
            experiment.problems[0] if experiment.problems else "it is empty",
            where=str(experiment.paths.experiment),
            remedy="restore the file from a copy, or compare without this experiment",
        )
    problems, notices = list(experiment.problems), Notices()
    with logged_to(notices):
        runs = _runs(experiment, problems)
        arms = {arm: _arm(experiment, arm, runs, problems) for arm in ARMS}
    return Compared(experiment, arms, (*problems, *notices.take()))


def secondary_of(experiment: Compared) -> tuple[SecondaryMetric, ...]:
    """The metrics that its verdict does not rest on; empty where it has no verdict.

    Raises:
        StorageError: when the disk refuses.
    """
    if not experiment.comparison:
        return ()
    found, told = recorded(experiment.stored), experiment.comparison.get("n_per_arm")
    analysed = None
    if found.plan is not None and isinstance(told, Mapping):
        analysed = {arm: int(number(told, arm) or 0) for arm in ARMS}
    return secondary_metrics(found.results, found.rule, analysed)


def _runs(experiment: StoredExperiment, problems: list[str]) -> dict[RunKey, Data]:
    """Each planned run in the form of `results.json`."""
    told = {
        RunKey(str(run["arm"]), run["seed"]): run
        for run in experiment.runs
        if isinstance(run.get("seed"), int) and run.get("arm") in ARMS
    }
    if experiment.is_final and told:
        return told
    return {
        run: _so_far(experiment, run, problems) or told.get(run) or _as_data(run, RunStatus.QUEUED)
        for run in [*experiment.planned_timesteps, *told]
    }


def _so_far(experiment: StoredExperiment, run: RunKey, problems: list[str]) -> Data | None:
    """What a run's own files say; None where it has not begun."""
    files = experiment.paths.run(run)
    try:
        saved = read_result(files.result, run)
        if saved is not None:
            return saved.result.to_dict()
        progress = JournalProgress(files, run).read()
    except StorageError as error:
        problems.append(str(error))
        return None
    status = progress.status
    if status is RunStatus.RUNNING and experiment.status != ExperimentStatus.RUNNING.value:
        status = RunStatus.INTERRUPTED
    return None if status is RunStatus.QUEUED else _as_data(run, status, progress.step)


def _as_data(run: RunKey, status: RunStatus, step: int = 0) -> Data:
    return {"arm": run.arm, "seed": run.seed, "status": status.value, "total_timesteps": step}


def _arm(
    experiment: StoredExperiment, arm: str, runs: Mapping[RunKey, Data], problems: list[str]
) -> ArmSoFar:
    planned = {run: data for run, data in runs.items() if run.arm == arm}
    own = {run: data for run, data in planned.items() if data.get("analysed", True)}
    unused = [data for run, data in planned.items() if run not in own]
    completed = [run for run, data in own.items() if data.get("status") == RunStatus.COMPLETED]
    under_way = [run for run, data in own.items() if data.get("status") not in FAILURES]
    metric = _metric(experiment)
    curves = _curves(experiment, completed or under_way, problems)
    return ArmSoFar(
        arm=arm,
        algorithm=str(experiment.arm_config(arm).get("algorithm") or ""),
        environment=experiment.environment_of(arm),
        runs_planned=len(own),
        runs_completed=len(completed),
        runs_failed=sum(data.get("status") in FAILURES for data in own.values()),
        runs_not_needed=len(unused),
        timesteps_not_needed=_timesteps(unused),
        scores={
            name: _score(list(own.values()), name, is_primary=name == metric) for name in SCORES
        },
        total_timesteps=_timesteps(own.values()),
        training_time=sum(number(data, "training_time") or 0.0 for data in own.values()),
        evaluation=seed_mean(curves[Source.EVALUATION]),
        training=seed_mean(curves[Source.TRAINING]),
    )


def _timesteps(runs: Iterable[Data]) -> int:
    return int(sum(number(data, "total_timesteps") or 0 for data in runs))


def _curves(
    experiment: StoredExperiment, runs: Sequence[RunKey], problems: list[str]
) -> dict[Source, list[Points]]:
    """Read journal by journal, and a long one block by block."""
    found: dict[Source, list[Points]] = {source: [] for source in Source}
    for run in runs:
        records = Records(experiment.paths.run(run).journal)
        try:
            read = {source: points(records, source) for source in Source}
        except (StorageError, OSError) as error:
            problems.append(str(error))
            continue
        for source, curve in read.items():
            found[source].append(curve)
    return found


def _metric(experiment: StoredExperiment) -> str:
    rule = experiment.config.get("comparison")
    told = rule.get("metric") if isinstance(rule, Mapping) else None
    return str(told or SCORES[0])


def _score(runs: Sequence[Data], name: str, *, is_primary: bool) -> Score:
    """By the metric of the decision rule a failed run counts as in the verdict."""
    completed = [run for run in runs if run.get("status") == RunStatus.COMPLETED]
    own = _finite(number(run, name) for run in completed)
    imputed = _finite(number(run, "imputed") for run in runs) if is_primary else []
    values = [*own, *imputed]
    deviation = stdev(values) if len(values) > 1 else None
    return Score(fmean(values) if values else None, deviation, len(values), len(imputed))


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]

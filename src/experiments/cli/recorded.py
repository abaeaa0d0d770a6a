"""The runs and the decision rule of a stored experiment, as the analysis takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..analysis.evidence import DIRECTIONS, METRICS
from ..analysis.looks import LookPlan, plan_looks
from ..domain.records import RunKey, RunStatus, TrainingResult
from ..domain.verdicts import DecisionRule
from ..durability.saved_experiments import read_result
from .scores import LARGEST_ALPHA
from .stored import ARMS, Data, StoredExperiment
from .tables import number


@dataclass(frozen=True)
class Recorded:
    """What an experiment's files tell of its runs so far."""

    results: Mapping[str, Sequence[TrainingResult]]
    """By arm, in the planned order of seeds; a run that has none yet is queued."""
    rule: DecisionRule
    """With the floors that were measured."""
    plan: LookPlan | None
    """Of a group-sequential design."""


def recorded(experiment: StoredExperiment) -> Recorded:
    """Read each planned run's result; what the files do not say has its default.

    Raises:
        StorageError: when the disk refuses.
    """
    rule = _rule(experiment)
    told = {
        RunKey(str(run["arm"]), run["seed"]): run
        for run in experiment.runs
        if run.get("arm") in ARMS and isinstance(run.get("seed"), int)
    }
    results: dict[str, list[TrainingResult]] = {arm: [] for arm in ARMS}
    for run in experiment.planned_timesteps:
        results[run.arm].append(_result(experiment, run, told.get(run, {})))
    return Recorded(results, rule, _plan(experiment, rule))


def _result(experiment: StoredExperiment, run: RunKey, told: Data) -> TrainingResult:
    """From the run's own file, else from `results.json`, which does not say whose a fault was."""
    saved = read_result(experiment.paths.run(run).result, run)
    if saved is not None:
        return saved.result
    status = told.get("status")
    known = RunStatus(status) if status in set(RunStatus) else RunStatus.QUEUED
    return TrainingResult(
        success=known is RunStatus.COMPLETED,
        total_timesteps=int(number(told, "total_timesteps") or 0),
        training_time=number(told, "training_time") or 0.0,
        final_mean_reward=number(told, "final_mean_reward"),
        final_std_reward=number(told, "final_std_reward"),
        experiment_name=run.name,
        algorithm="",
        environment_name="",
        seed=run.seed,
        arm=run.arm,
        status=known,
        final_return=number(told, "final_return"),
        auc=number(told, "auc"),
    )


def _rule(experiment: StoredExperiment) -> DecisionRule:
    told = _mapping(experiment.config.get("comparison"))
    floors = _mapping(_mapping(experiment.experiment.get("design")).get("floors"))
    measured = {arm: number(_mapping(floor), "return_mean") for arm, floor in floors.items()}
    allowed = {
        "metric": told.get("metric") in METRICS,
        "direction": told.get("direction") in DIRECTIONS,
        "alpha": 0.0 < (number(told, "alpha") or 0.0) <= LARGEST_ALPHA,
        "equivalence_margin": 0.0 < (number(told, "equivalence_margin") or 0.0) < math.inf,
        "minimum_effect": 0.0 < (number(told, "minimum_effect") or 0.0) < math.inf,
        "paired": isinstance(told.get("paired"), bool),
    }
    return DecisionRule(
        **{name: told[name] for name, is_sane in allowed.items() if is_sane},
        floors={arm: floor for arm, floor in measured.items() if floor is not None},
    )


def _plan(experiment: StoredExperiment, rule: DecisionRule) -> LookPlan | None:
    told = _mapping(_mapping(experiment.config.get("comparison")).get("sequential"))
    try:
        first, batch, most = (int(told[name]) for name in ("first_look", "batch", "max_seeds"))
        return plan_looks(first, batch, most, rule.alpha, paired=rule.paired)
    except (KeyError, TypeError, ValueError):
        return None  # there is none, or the file was damaged


def _mapping(value: object) -> Data:
    return value if isinstance(value, Mapping) else {}

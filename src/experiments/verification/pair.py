"""A short copy of an experiment: one seed, few steps, several checkpoints, the same arms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..config import (
    Configuration,
    ExperimentConfig,
    parse_experiment,
    resolved_difference,
    trainer_config,
)
from ..config.algorithms import Family
from ..config.sections import CheckpointPlan, Recovery
from ..domain.records import RunKey, TrainerConfig
from ..training.shortening import Brevity, family_of, planned_timesteps, settings_of, shortened

EXPERIMENT_ID = "verify-resume"
INTERVALS = 6
"""Training is this many checkpoint intervals long, or longer."""
SPARE_INTERVALS = 4
"""Besides one for each kill: before the first checkpoint, behind the last kill."""
ROLLOUT_STEPS = 256
"""Timesteps of a rollout at most, before rounding up to whole minibatches."""
WARM_UP_STEPS = 200
"""Timesteps before the first update from a replay buffer, at most."""
UPDATED_STEPS = 600
"""Timesteps after it."""
COLLECTED_STEPS = 256
"""Timesteps of one environment between two updates, at most."""
DIRECTIONS = 4
"""Directions in which an evolution strategy looks, at most."""
FEWEST_STEPS = 600
BATCHES = 4
"""Of completions between two checkpoints of a language model, at most."""
EVALUATIONS = 3
EPISODES, FINAL_EPISODES = 2, 3

Changes = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class ShortPair:
    """What is trained instead of the experiment."""

    config: ExperimentConfig
    """A checked experiment file."""
    changes: Mapping[str, Changes]
    """By arm, the settings that were made smaller: before and after."""

    @property
    def steps(self) -> int:
        """Timesteps that are asked for."""
        return self.config.baseline_config.training_steps

    @property
    def runs(self) -> list[RunKey]:
        """A run for each arm, in the order in which they are trained."""
        return [RunKey(arm, self.config.seed_list[0]) for arm in self.config.arms]

    @property
    def document(self) -> dict[str, Any]:
        """The experiment file itself."""
        return self.config.model_dump(mode="json", by_alias=True)


def shortened_pair(config: ExperimentConfig, kills: int, steps: int | None = None) -> ShortPair:
    """The short copy of an experiment, with room for so many kills of each arm.

    Args:
        config: a checked experiment.
        kills: how often each arm is to be killed.
        steps: timesteps to train; None takes enough for several checkpoints and updates.

    Raises:
        ConfigurationError: when it cannot be trained so short.
    """
    intervals = max(INTERVALS, kills + SPARE_INTERVALS)
    seed = config.seed_list[0]
    whole = {
        name: trainer_config(arm, seed=seed, experiment=config) for name, arm in config.arms.items()
    }
    short = {name: _shortened(arm, intervals, steps) for name, arm in whole.items()}
    total = steps or max(_enough(arm, whole[name], intervals) for name, arm in short.items())
    between = math.lcm(*map(_between_boundaries, short.values()))
    every = max(total // intervals // between, 1) * between
    changes = {name: _changes(whole[name], short[name]) for name in whole}
    arms = {name: _arm(config.arms[name], changes[name], total, seed) for name in whole}
    document = _common(config, seed, total, every).model_dump(mode="json", by_alias=True)
    baseline, variant = _told_apart(arms["baseline"], arms["variant"], every)
    document |= {"baseline_config": baseline, "variant_config": variant}
    checked = parse_experiment(document, environment_modules=config.environment_modules)
    return ShortPair(checked, changes)


def _common(config: ExperimentConfig, seed: int, total: int, every: int) -> ExperimentConfig:
    """Everything beside the arms; what changes no bit of training goes, trackers first."""
    evaluation = {
        "frequency": max(total // EVALUATIONS, 1),
        "episodes": min(config.evaluation.episodes, EPISODES),
        "final_episodes": min(config.evaluation.final_episodes, FINAL_EPISODES),
    }
    changed: dict[str, Any] = {
        "experiment_id": EXPERIMENT_ID,
        "seeds": (seed,),
        "evaluation": config.evaluation.model_copy(update=evaluation),
        "comparison": config.comparison.model_copy(update={"sequential": None}),
        "early_abort": None,
        "recovery": Recovery(),
        "checkpoint": CheckpointPlan(frequency=every, keep=config.checkpoint.keep),
        "storage": "standard",
        "trackers": (),
    }
    return config.model_copy(update=changed)


def _shortened(config: TrainerConfig, intervals: int, steps: int | None) -> TrainerConfig:
    interval = math.inf if steps is None else steps // intervals
    batch = settings_of(config).get("batch_size") or 1
    rollout = math.ceil(max(min(ROLLOUT_STEPS, interval), 1) / batch) * batch
    brevity = Brevity(
        rollout_steps=math.ceil(rollout / config.n_envs) * config.n_envs,
        trained_steps=config.total_timesteps,
        warm_up_steps=int(min(WARM_UP_STEPS, interval)),
        updated_steps=UPDATED_STEPS,
        collected_steps=int(max(min(COLLECTED_STEPS, interval // config.n_envs), 1)),
        directions=DIRECTIONS,
    )
    return shortened(config, brevity)


def _enough(short: TrainerConfig, whole: TrainerConfig, intervals: int) -> int:
    """Timesteps with a checkpoint in each interval and updates in most of them."""
    rollout = planned_timesteps(replace(short, total_timesteps=1))
    if family_of(short) is Family.LANGUAGE:
        most = intervals * rollout * BATCHES
        return max(intervals * rollout, min(most, planned_timesteps(whole)))
    warm_up = int(settings_of(short).get("learning_starts", 0))
    updated = UPDATED_STEPS if family_of(short) is Family.OFF_POLICY else 0
    return max(intervals * rollout, warm_up + updated, FEWEST_STEPS)


def _between_boundaries(short: TrainerConfig) -> int:
    """Timesteps of which those between two checkpoints must be a multiple."""
    is_language = family_of(short) is Family.LANGUAGE
    return planned_timesteps(replace(short, total_timesteps=1)) if is_language else 1


def _changes(whole: TrainerConfig, short: TrainerConfig) -> dict[str, tuple[Any, Any]]:
    """The settings that were made smaller; a replay buffer stays as large as it is."""
    before, after = settings_of(whole), settings_of(short)
    if before.get("n_top") and after["n_delta"] < before["n_top"]:
        after["n_top"] = after["n_delta"]
    return {
        name: (before[name], value)
        for name, value in after.items()
        if value != before[name] and name != "buffer_size"
    }


def _arm(arm: Configuration, changes: Changes, total: int, seed: int) -> Configuration:
    smaller = {name: after for name, (_, after) in changes.items()}
    hyperparameters = {**arm.hyperparameters, **smaller}
    return arm.model_copy(
        update={"hyperparameters": hyperparameters, "training_steps": total, "seed": seed}
    )


def _told_apart(
    baseline: Configuration, variant: Configuration, every: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both as they are in a file; where shortening took their difference, one trains longer."""
    if not resolved_difference(baseline, variant):
        longer = variant.training_steps + every
        variant = variant.model_copy(update={"training_steps": longer})
    return baseline.model_dump(mode="json"), variant.model_dump(mode="json")

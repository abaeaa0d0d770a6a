"""A run cut down: fewer steps, with as many updates to each as the whole has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..config.algorithms import Family, algorithms, canonical_name
from ..config.generations import generation_of
from ..domain.records import TrainerConfig

Settings = Mapping[str, Any]

BATCHES = 3
"""Batches of completions that a short training of a language model draws."""
REPLAY_ROWS = 1000
"""Rows of a shortened replay buffer for each environment."""


@dataclass(frozen=True)
class Brevity:
    """How little is enough; each figure is the most that is taken."""

    rollout_steps: int
    """Timesteps of a rollout."""
    trained_steps: int
    """Timesteps of an on-policy algorithm, before rounding up to whole rollouts."""
    warm_up_steps: int
    """Timesteps before the first update of an off-policy algorithm."""
    updated_steps: int
    """Timesteps after it."""
    collected_steps: int
    """Timesteps of one environment between two updates."""
    directions: int
    """Directions in which an evolution strategy looks."""


def settings_of(config: TrainerConfig) -> dict[str, Any]:
    """The hyperparameters with the library's defaults."""
    table = algorithms()[canonical_name(config.algorithm)]
    defaults = {name: parameter.default for name, parameter in table.parameters.items()}
    return {**defaults, **config.hyperparameters}


def family_of(config: TrainerConfig) -> Family:
    """The family of the configuration's algorithm."""
    return algorithms()[canonical_name(config.algorithm)].family


def shortened(config: TrainerConfig, brevity: Brevity, steps: int | None = None) -> TrainerConfig:
    """The configuration for a short training that writes nothing; `steps` timesteps if given."""
    settings = settings_of(config)
    changed: dict[str, Any] = {}
    match family_of(config):
        case Family.ON_POLICY:
            rows = max(brevity.rollout_steps // config.n_envs, 2)
            changed["n_steps"] = min(settings["n_steps"], rows)
            enough = brevity.trained_steps
        case Family.OFF_POLICY:
            changed["buffer_size"] = min(settings["buffer_size"], REPLAY_ROWS * config.n_envs)
            changed["learning_starts"] = min(settings["learning_starts"], brevity.warm_up_steps)
            changed.update(_shorter_collection(settings, brevity.collected_steps))
            enough = changed["learning_starts"] + brevity.updated_steps
        case Family.EVOLUTION:
            changed["n_delta"] = min(settings["n_delta"], brevity.directions)
            enough = 1
        case Family.LANGUAGE:
            enough = BATCHES * generation_of(settings).optimizer_steps
    hyperparameters = {**config.hyperparameters, **changed}
    total = min(steps or enough, config.total_timesteps)
    return replace(config, hyperparameters=hyperparameters, total_timesteps=total, run_dir=None)


def planned_timesteps(config: TrainerConfig) -> int:
    """Timesteps that training takes: whole rollouts, where their length is known beforehand."""
    settings = settings_of(config)
    rollout = 1
    if family_of(config) is Family.ON_POLICY:
        rollout = settings["n_steps"] * config.n_envs
    elif family_of(config) is Family.LANGUAGE:
        rollout = generation_of(settings).optimizer_steps
    elif family_of(config) is Family.OFF_POLICY:
        rollout = (_frequency(settings) or 1) * config.n_envs
    return -(-config.total_timesteps // rollout) * rollout


def rows_kept(config: TrainerConfig, timesteps: int | None = None) -> int:
    """Timesteps of experience that are kept at once: at most, or after so many timesteps."""
    settings = settings_of(config)
    rows = 0
    if family_of(config) is Family.ON_POLICY:
        rows = int(settings["n_steps"]) * config.n_envs
    elif family_of(config) is Family.OFF_POLICY:
        rows = int(settings["buffer_size"])
    return rows if timesteps is None else min(rows, timesteps)


def _shorter_collection(settings: Settings, steps: int) -> dict[str, Any]:
    """Collect and update less at a time, in the same proportion."""
    frequency, updates = _frequency(settings), settings["gradient_steps"]
    if frequency is None and updates < 0:
        return {"train_freq": steps}  # an episode, and then a gradient step for each of its steps
    if frequency is None or frequency <= steps:
        return {}
    fewer = max(round(updates * steps / frequency), 1) if updates > 0 else updates
    return {"train_freq": steps, "gradient_steps": fewer}


def _frequency(settings: Settings) -> int | None:
    """Steps of each environment between two updates; None where episodes are counted."""
    frequency = settings["train_freq"]
    if isinstance(frequency, int):
        return frequency
    count, unit = frequency
    return int(count) if unit == "step" else None

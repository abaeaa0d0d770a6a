"""How many steps the library really trains: it stops only at the end of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .algorithms import Algorithm, Family
from .models import Configuration


def rollout_steps(
    algorithm: Algorithm, settings: Mapping[str, Any], configuration: Configuration
) -> int | None:
    """Steps of one rollout over all environments; None where episodes decide."""
    match algorithm.family:
        case Family.ON_POLICY:
            return int(settings["n_steps"]) * configuration.n_envs
        case Family.OFF_POLICY:
            frequency = settings["train_freq"]
            if isinstance(frequency, list):
                return None
            return int(frequency) * configuration.n_envs
        case Family.EVOLUTION:
            return None


def planned_steps(
    algorithm: Algorithm, settings: Mapping[str, Any], configuration: Configuration
) -> int:
    """Training steps rounded up to whole rollouts.

    Where rollouts are made of episodes (ARS, `train_freq` in episodes) their length is not known
    beforehand: the steps asked for are the least that is trained.
    """
    asked = configuration.training_steps
    rollout = rollout_steps(algorithm, settings, configuration)
    return asked if rollout is None else -(-asked // rollout) * rollout

"""How many steps the library really trains: it stops only at the end of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .algorithms import Algorithm, Family
from .generations import generation_of
from .models import Configuration


def rollout_steps(
    algorithm: Algorithm, settings: Mapping[str, Any], configuration: Configuration
) -> int | None:
    """Steps of one rollout over all environments; None where episodes decide.

    Of a language model, the optimiser steps that learn from one batch of completions.
    """
    match algorithm.family:
        case Family.ON_POLICY:
            return int(settings["n_steps"]) * configuration.n_envs
        case Family.OFF_POLICY:
            frequency = settings["train_freq"]
            if counts_episodes(frequency):
                return None
            count = frequency[0] if isinstance(frequency, list | tuple) else frequency
            return int(count) * configuration.n_envs
        case Family.EVOLUTION:
            return None
        case Family.LANGUAGE:
            return generation_of(settings).optimizer_steps


def counts_episodes(train_freq: Any) -> bool:
    """Whether training is interrupted for updates after episodes, not after steps."""
    return isinstance(train_freq, list | tuple) and train_freq[-1] == "episode"


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

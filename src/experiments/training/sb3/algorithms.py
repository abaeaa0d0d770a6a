"""The algorithms that can be trained, and what sets them apart for an onlooker."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from ...config.algorithms import canonical_name
from ...domain.errors import UsageError

ALGORITHMS: Mapping[str, str] = {
    "PPO": "stable_baselines3:PPO",
    "A2C": "stable_baselines3:A2C",
    "DQN": "stable_baselines3:DQN",
    "SAC": "stable_baselines3:SAC",
    "TD3": "stable_baselines3:TD3",
    "DDPG": "stable_baselines3:DDPG",
    "TRPO": "sb3_contrib:TRPO",
    "TQC": "sb3_contrib:TQC",
    "QRDQN": "sb3_contrib:QRDQN",
    "RecurrentPPO": "sb3_contrib:RecurrentPPO",
    "ARS": "sb3_contrib:ARS",
    "CrossQ": "sb3_contrib:CrossQ",
}
"""Name to ``module:Class``, imported when asked for."""

LOSSES: Mapping[str, str] = {
    "PPO": "train/loss",
    "RecurrentPPO": "train/loss",
    "DQN": "train/loss",
    "QRDQN": "train/loss",
    "TRPO": "train/value_loss",
    "SAC": "train/critic_loss",
    "TD3": "train/critic_loss",
    "DDPG": "train/critic_loss",
    "TQC": "train/critic_loss",
    "CrossQ": "train/critic_loss",
}
"""The library's value that is the loss of an update, by class; A2C's is the sum of its parts."""


def algorithm_class(name: str) -> type[BaseAlgorithm]:
    """The class of an algorithm; other spellings such as QR-DQN count too.

    Raises:
        UsageError: when the name is unknown.
    """
    path = ALGORITHMS.get(canonical_name(name))
    if path is None:
        raise UsageError(
            f"unknown algorithm {name!a}", remedy=f"use one of {', '.join(ALGORITHMS)}"
        )
    module, _, attribute = path.partition(":")
    return cast("type[BaseAlgorithm]", getattr(import_module(module), attribute))


def planned_timesteps(model: BaseAlgorithm, total_timesteps: int) -> int:
    """Timesteps that `learn` will take: whole rollouts, where their length is known beforehand."""
    rollout = 1
    if isinstance(model, OnPolicyAlgorithm):
        rollout = model.n_steps * model.n_envs
    elif isinstance(model, OffPolicyAlgorithm):
        frequency = cast("TrainFreq", model.train_freq)
        by_step = frequency.unit == TrainFrequencyUnit.STEP
        rollout = frequency.frequency * model.n_envs if by_step else 1
    return -(-total_timesteps // rollout) * rollout

"""Values that are no finite numbers end a run where they appear, with acceleration and without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from src.experiments.config.algorithms import canonical_name
from src.experiments.domain.errors import NonFiniteError
from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.training import Trainer


class BrokenWhenPlayed(CartPoleEnv):
    """Sees a NaN at the fifth step of an episode, but only in environments that are evaluated."""

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        self.taken = getattr(self, "taken", 0) + 1
        if self.render_mode is None and self.taken == 5:
            observation = np.full(4, np.nan, dtype=np.float32)
        return (observation, *rest)


class OnePay(CartPoleEnv):
    """Pays 1e25 once: finite, but its square in the loss is not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taken = 0

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        self.taken += 1
        return (observation, 1e25 if self.taken == 10 else reward, *rest)


gym.register("BrokenWhenPlayed-v0", BrokenWhenPlayed, max_episode_steps=50)
gym.register("OnePay-v0", OnePay, max_episode_steps=50)


def config(environment: str, *, accelerate: bool, **hyperparameters: Any) -> TrainerConfig:
    usual = {"n_steps": 64, "batch_size": 16, "n_epochs": 1}
    return TrainerConfig(
        canonical_name("PPO"),
        environment,
        128,
        seed=1,
        hyperparameters={**usual, **hyperparameters},
        accelerate=accelerate,
        evaluation=EvaluationProtocol(64, 2, final_episodes=2),
    )


@pytest.mark.parametrize("accelerate", [True, False])
def test_an_observation_of_an_evaluation_that_is_no_number_ends_the_run(accelerate: bool) -> None:
    with pytest.raises(NonFiniteError, match="observation of an evaluation episode at step 64"):
        Trainer(config("BrokenWhenPlayed-v0", accelerate=accelerate)).train()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_loss_of_any_minibatch_that_is_infinite_ends_the_run(
    accelerate: bool, seed: int
) -> None:
    # without discounting the payment is in one minibatch of four alone
    with pytest.raises(NonFiniteError, match="loss at step 64"):
        Trainer(replace(config("OnePay-v0", accelerate=accelerate, gamma=0.0), seed=seed)).train()


OFF_POLICY = {"learning_starts": 20, "batch_size": 16, "buffer_size": 200}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("algorithm", "accelerate", "hyperparameters"),
    [
        ("SAC", True, OFF_POLICY),
        ("SAC", False, OFF_POLICY),
        ("PPO", True, {}),  # without, the library refuses a deviation of 0 before any NaN
    ],
)
def test_a_policy_that_diverges_is_not_blamed_on_the_environment(
    algorithm: str, accelerate: bool, hyperparameters: dict[str, Any]
) -> None:
    usual = config("Pendulum-v1", accelerate=accelerate)
    diverging = {**(hyperparameters or usual.hyperparameters), "learning_rate": 1e30}
    with pytest.raises(NonFiniteError) as caught:
        Trainer(replace(usual, algorithm=algorithm, hyperparameters=diverging)).train()
    assert caught.value.quantity in {"parameters", "loss", "action", "value estimate"}

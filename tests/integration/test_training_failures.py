"""What is not finite fails the run, and the error names the step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from src.experiments.domain.errors import NonFiniteError
from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.training import Trainer

pytestmark = pytest.mark.integration

BAD_STEP = 70


class Faulty(gym.Env[np.ndarray, Any]):
    """Pays 1 a step, ends every 20 steps, and goes wrong once, at a step counted from the start."""

    def __init__(self, quantity: str, value: float, continuous: bool = False) -> None:
        self.observation_space = spaces.Box(-10.0, 10.0, (3,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,)) if continuous else spaces.Discrete(2)
        self._quantity, self._value = quantity, value
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        observation, reward = np.full(3, self._steps % 7, np.float32), 1.0
        if self._steps == BAD_STEP and self._quantity == "reward":
            reward = self._value
        if self._steps == BAD_STEP and self._quantity == "observation":
            observation[1] = self._value
        if self._steps == BAD_STEP and self._quantity == "exception":
            raise ValueError("the simulator broke")
        return observation, reward, self._steps % 20 == 0, False, {}


gym.register("Faulty-v0", Faulty, max_episode_steps=50)

SMALL = {"net_arch": [8]}
OFF_POLICY = {"learning_starts": 20, "batch_size": 8, "buffer_size": 300, "policy_kwargs": SMALL}
SETTINGS = {
    "PPO": {"n_steps": 64, "batch_size": 32, "n_epochs": 1, "policy_kwargs": SMALL},
    "A2C": {"policy_kwargs": SMALL},
    "DQN": OFF_POLICY,
    "SAC": OFF_POLICY,
    "ARS": {"n_delta": 2, "policy_kwargs": SMALL},
}


def faulty_config(algorithm: str, quantity: str, value: float, **fields: Any) -> TrainerConfig:
    kwargs = {"quantity": quantity, "value": value, "continuous": algorithm == "SAC"}
    return TrainerConfig(
        algorithm,
        "Faulty-v0",
        192,
        seed=3,
        hyperparameters=SETTINGS[algorithm],
        environment_kwargs=kwargs,
        evaluation=EvaluationProtocol(10**9, 1, final_episodes=1),
        **fields,
    )


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize(
    "value", [float("nan"), pytest.param(float("inf"), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("quantity", ["reward", "observation"])
@pytest.mark.parametrize("algorithm", list(SETTINGS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*(NaN|nan|infinity):UserWarning")
def test_a_value_that_is_not_finite_fails_the_run_and_names_its_step(
    algorithm: str, quantity: str, value: float, accelerate: bool
) -> None:
    config = faulty_config(algorithm, quantity, value, accelerate=accelerate)

    with pytest.raises(NonFiniteError) as caught:
        Trainer(config).train()

    assert (caught.value.quantity, caught.value.step) == (quantity, BAD_STEP)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*(NaN|nan):UserWarning")
def test_the_step_counts_all_environments(tmp_path: Path) -> None:
    config = faulty_config("PPO", "reward", float("nan"), n_envs=2)

    with pytest.raises(NonFiniteError) as caught:
        Trainer(config).train()

    assert caught.value.step == 2 * BAD_STEP


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*(NaN|nan):UserWarning")
@pytest.mark.parametrize("algorithm", ["PPO", "DQN"])
def test_normalisation_does_not_hide_the_step(algorithm: str) -> None:
    config = faulty_config(algorithm, "reward", float("nan"), normalize={})

    with pytest.raises(NonFiniteError) as caught:
        Trainer(config).train()

    assert caught.value.step == BAD_STEP


def test_an_exception_of_the_environment_passes_through() -> None:
    with pytest.raises(ValueError, match="the simulator broke"):
        Trainer(faulty_config("PPO", "exception", 0.0)).train()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_parameters_that_diverge_fail_the_run() -> None:
    config = TrainerConfig(
        "A2C",
        "CartPole-v1",
        2000,
        seed=3,
        hyperparameters={"learning_rate": 1e30, "max_grad_norm": 1e30},
        evaluation=EvaluationProtocol(10**9, 1, final_episodes=1),
    )

    with pytest.raises(NonFiniteError) as caught:
        Trainer(config).train()

    assert 0 < caught.value.step <= 2000


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*(NaN|nan):UserWarning")
def test_a_failed_run_leaves_a_journal_and_no_model(tmp_path: Path) -> None:
    config = faulty_config("DQN", "reward", float("nan"), run_dir=tmp_path)

    with pytest.raises(NonFiniteError):
        Trainer(config).train()

    assert (tmp_path / "journal.jsonl").is_file()
    assert [path.name for path in (tmp_path / "attempt-1").iterdir()] == ["start.json"]

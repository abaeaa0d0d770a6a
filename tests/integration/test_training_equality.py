"""A run's final parameters are the library's own, bit for bit."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize

from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.training import Trainer
from src.experiments.training.sb3.parameters import parameters_sha256

pytestmark = pytest.mark.integration

QUICK = EvaluationProtocol(frequency=10**9, episodes=1, final_episodes=1)
SMALL = {"net_arch": [16, 16]}
OFF_POLICY = {"learning_starts": 40, "buffer_size": 500, "batch_size": 16, "policy_kwargs": SMALL}
ON_POLICY = {"policy_kwargs": SMALL}


@pytest.fixture(autouse=True)
def library_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path))  # the bare library would litter /tmp


def bare_sha256(
    algorithm: str,
    environment: str,
    steps: int,
    *,
    policy: str = "MlpPolicy",
    n_envs: int = 1,
    normalize: dict[str, Any] | None = None,
    seed: int = 7,
    **hyperparameters: Any,
) -> str:
    home = stable_baselines3 if hasattr(stable_baselines3, algorithm) else sb3_contrib
    env: Any = environment
    if n_envs > 1 or normalize is not None:
        env = make_vec_env(environment, n_envs, seed=seed)
    if normalize is not None:
        env = VecNormalize(env, **normalize)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = getattr(home, algorithm)(policy, env, seed=seed, **deepcopy(hyperparameters))
        return parameters_sha256(model.learn(steps))
    finally:
        torch.set_num_threads(before)


def our_sha256(algorithm: str, environment: str, steps: int, **fields: Any) -> str | None:
    fields = {"seed": 7, "evaluation": QUICK, **fields}
    config = TrainerConfig(algorithm, environment, steps, **fields)
    return Trainer(config).train().parameters_sha256


ALGORITHMS = [
    ("PPO", "CartPole-v1", 256, {"n_steps": 64, "batch_size": 32, "n_epochs": 2, **ON_POLICY}),
    ("A2C", "CartPole-v1", 100, ON_POLICY),
    ("A2C", "Pendulum-v1", 100, {"use_sde": True, **ON_POLICY}),
    ("DQN", "CartPole-v1", 160, OFF_POLICY),
    ("SAC", "Pendulum-v1", 90, OFF_POLICY),
    ("TD3", "Pendulum-v1", 90, OFF_POLICY),
    ("DDPG", "Pendulum-v1", 90, OFF_POLICY),
    ("TRPO", "CartPole-v1", 128, {"n_steps": 64, "batch_size": 32, **ON_POLICY}),
    ("TQC", "Pendulum-v1", 80, OFF_POLICY),
    ("QRDQN", "CartPole-v1", 160, OFF_POLICY),
    ("ARS", "CartPole-v1", 300, {"n_delta": 4, "policy_kwargs": SMALL}),
    ("CrossQ", "Pendulum-v1", 60, OFF_POLICY),
]


@pytest.mark.parametrize(
    ("algorithm", "environment", "steps", "hyperparameters"),
    ALGORITHMS,
    ids=[f"{row[0]}-{row[1]}" for row in ALGORITHMS],
)
def test_parameters_equal_the_library_s(
    algorithm: str, environment: str, steps: int, hyperparameters: dict[str, Any]
) -> None:
    expected = bare_sha256(algorithm, environment, steps, **hyperparameters)

    assert expected == our_sha256(algorithm, environment, steps, hyperparameters=hyperparameters)


def test_a_recurrent_policy_equals_the_library_s() -> None:
    settings = {"n_steps": 32, "batch_size": 16, "n_epochs": 2}
    small = {"lstm_hidden_size": 8, "net_arch": [8]}
    expected = bare_sha256(
        "RecurrentPPO", "CartPole-v1", 64, policy="MlpLstmPolicy", policy_kwargs=small, **settings
    )
    hyperparameters = {**settings, "policy_kwargs": small}

    assert expected == our_sha256(
        "RecurrentPPO", "CartPole-v1", 64, hyperparameters=hyperparameters
    )


@pytest.mark.parametrize("normalize", [pytest.param(None, marks=pytest.mark.slow), {"gamma": 0.9}])
@pytest.mark.parametrize("algorithm", ["PPO", "SAC"])
def test_several_environments_equal_make_vec_env(
    algorithm: str, normalize: dict[str, Any] | None
) -> None:
    settings = {"n_steps": 32, "batch_size": 32} if algorithm == "PPO" else OFF_POLICY
    shared: dict[str, Any] = {"n_envs": 4, "normalize": normalize}
    expected = bare_sha256(algorithm, "Pendulum-v1", 256, **settings, **shared)

    assert expected == our_sha256(algorithm, "Pendulum-v1", 256, hyperparameters=settings, **shared)


def test_normalisation_of_one_environment_equals_the_library_s() -> None:
    expected = bare_sha256("DQN", "CartPole-v1", 160, normalize={}, **OFF_POLICY)

    assert expected == our_sha256(
        "DQN", "CartPole-v1", 160, normalize={}, hyperparameters=OFF_POLICY
    )


def test_schedules_and_classes_as_data_equal_the_library_s_objects() -> None:
    kwargs = {"net_arch": {"pi": [16], "vf": [8]}, "activation_fn": "ReLU"}
    expected = bare_sha256(
        "PPO",
        "CartPole-v1",
        256,
        n_steps=64,
        learning_rate=LinearSchedule(1e-3, 1e-4, 1.0),
        clip_range=LinearSchedule(0.2, 0.0, 1.0),
        policy_kwargs={**kwargs, "activation_fn": torch.nn.ReLU},
    )
    hyperparameters = {
        "n_steps": 64,
        "learning_rate": {"schedule": "linear", "initial": 1e-3, "final": 1e-4},
        "clip_range": "lin_0.2",
        "policy_kwargs": kwargs,
    }

    assert expected == our_sha256("PPO", "CartPole-v1", 256, hyperparameters=hyperparameters)


def test_action_noise_as_data_equals_the_library_s_object() -> None:
    noise = NormalActionNoise(torch.zeros(1).numpy(), 0.1 * torch.ones(1).double().numpy())
    frequency = {"train_freq": (10, "step"), "gradient_steps": 2}
    expected = bare_sha256(
        "TD3", "Pendulum-v1", 90, action_noise=noise, **{**OFF_POLICY, **frequency}
    )
    data = {"action_noise": {"type": "normal", "sigma": 0.1}, "train_freq": [10, "step"]}

    assert expected == our_sha256(
        "TD3", "Pendulum-v1", 90, hyperparameters={**OFF_POLICY, **frequency, **data}
    )


@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning")
def test_a_box2d_environment_equals_the_library_s() -> None:
    settings = {"n_steps": 128, "n_epochs": 1}
    expected = bare_sha256("PPO", "LunarLander-v3", 256, **settings)

    assert expected == our_sha256("PPO", "LunarLander-v3", 256, hyperparameters=settings)


@pytest.mark.parametrize(
    ("algorithm", "environment", "settings"),
    [
        ("PPO", "CartPole-v1", {"n_steps": 32, "batch_size": 16}),
        ("SAC", "Pendulum-v1", OFF_POLICY),
        ("DQN", "CartPole-v1", OFF_POLICY),
    ],
)
@pytest.mark.parametrize("deterministic", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_evaluating_more_often_changes_no_bit(
    algorithm: str, environment: str, settings: dict[str, Any], deterministic: bool
) -> None:
    often = EvaluationProtocol(32, 2, deterministic=deterministic, final_episodes=3)

    assert our_sha256(algorithm, environment, 96, hyperparameters=settings) == our_sha256(
        algorithm, environment, 96, hyperparameters=settings, evaluation=often
    )


@pytest.mark.parametrize("algorithm", ["PPO", "A2C"])
def test_acceleration_changes_no_bit(algorithm: str) -> None:
    settings = {"n_steps": 64}

    assert our_sha256(
        algorithm, "Pendulum-v1", 128, hyperparameters=settings, accelerate=False
    ) == our_sha256(algorithm, "Pendulum-v1", 128, hyperparameters=settings)


def test_another_seed_gives_other_parameters() -> None:
    settings = {"n_steps": 64}

    assert our_sha256("PPO", "CartPole-v1", 64, hyperparameters=settings) != our_sha256(
        "PPO", "CartPole-v1", 64, hyperparameters=settings, seed=8
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "environment", "steps"),
    [
        ("PPO", "CartPole-v1", 10_240),
        ("PPO", "LunarLander-v3", 6_144),
        ("A2C", "CartPole-v1", 5_000),
        ("DQN", "CartPole-v1", 5_000),
        ("SAC", "Pendulum-v1", 600),
        ("TD3", "Pendulum-v1", 600),
        ("TQC", "Pendulum-v1", 400),
        ("TRPO", "Pendulum-v1", 6_144),
        ("QRDQN", "CartPole-v1", 2_000),
        ("ARS", "CartPole-v1", 5_000),
    ],
)
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning")
def test_the_library_s_defaults_equal_it_too(algorithm: str, environment: str, steps: int) -> None:
    often = EvaluationProtocol(steps // 5, 3, final_episodes=3)
    expected = bare_sha256(algorithm, environment, steps)

    assert expected == our_sha256(algorithm, environment, steps, evaluation=often)

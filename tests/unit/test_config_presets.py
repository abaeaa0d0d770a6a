from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from src.experiments.config import Configuration, audit, check_configuration, parse_experiment
from src.experiments.config.presets import PresetRefusedError, literal, zoo_preset

TABLE = """
default:
  n_timesteps: !!float 1e6
  policy: 'MlpPolicy'
CartPole-v1: &cartpole
  n_envs: 8
  n_timesteps: !!float 1e5
  policy: 'MlpPolicy'
  n_steps: 32
  learning_rate: lin_0.001
  policy_kwargs: "dict(net_arch=dict(pi=[64, 64], vf=[64]), activation_fn=nn.ReLU,
    log_std_init=-2, ortho_init=False)"
Acrobot-v1:
  <<: *cartpole
  gamma: 0.98
  normalize: "{'norm_obs': True, 'norm_reward': False}"
  env_wrapper:
    - gymnasium.wrappers.TimeLimit:
        max_episode_steps: 50
Stacked-v0:
  frame_stack: 4
Wrapped-v0:
  env_wrapper: rl_zoo3.wrappers.HistoryWrapper
Evil-v0:
  policy_kwargs: "dict(net_arch=__import__('os').system('true'))"
Noisy-v0:
  noise_type: 'normal'
  noise_std: 0.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ppo.yml").write_text(TABLE)
    return tmp_path


def test_an_entry_becomes_the_settings_of_an_arm(folder: Path) -> None:
    preset = zoo_preset("PPO", ("CartPole-v1",), folder)

    assert preset.entry == "CartPole-v1"
    assert preset.settings == {
        "n_envs": 8,
        "training_steps": 1e5,
        "policy": "MlpPolicy",
        "hyperparameters": {
            "n_steps": 32,
            "learning_rate": "lin_0.001",
            "policy_kwargs": {
                "net_arch": {"pi": [64, 64], "vf": [64]},
                "activation_fn": "ReLU",
                "log_std_init": -2,
                "ortho_init": False,
            },
        },
    }
    arm = {"algorithm": "PPO", "environment": "CartPole-v1", **preset.settings}
    assert check_configuration(arm).training_steps == 100_000


def test_wrappers_and_normalisation_are_carried_over(folder: Path) -> None:
    settings = zoo_preset("PPO", ("Acrobot-v1",), folder).settings

    assert settings["normalize"] == {"norm_obs": True, "norm_reward": False, "gamma": 0.98}
    assert settings["wrappers"] == [{"name": "TimeLimit", "kwargs": {"max_episode_steps": 50}}]


def test_noise_becomes_data(folder: Path) -> None:
    settings = zoo_preset("PPO", ("Noisy-v0",), folder).settings

    assert settings["hyperparameters"] == {"action_noise": {"type": "normal", "sigma": 0.1}}


def test_an_environment_without_an_entry_takes_the_default(folder: Path) -> None:
    assert zoo_preset("PPO", ("Pendulum-v1",), folder).entry == "default"


@pytest.mark.parametrize("environment", ["Stacked-v0", "Wrapped-v0", "Evil-v0"])
def test_what_cannot_be_given_here_is_refused(folder: Path, environment: str) -> None:
    with pytest.raises(PresetRefusedError):
        zoo_preset("PPO", (environment,), folder)


def test_an_algorithm_without_a_table_is_refused(folder: Path) -> None:
    with pytest.raises(PresetRefusedError, match="no table for A2C"):
        zoo_preset("A2C", ("CartPole-v1",), folder)


@pytest.mark.parametrize(
    "text",
    [
        "dict(a=1 + 1)",
        "dict(**x)",
        "dict([1])",
        "f(1)",
        "[x for x in y]",
        "{1: 2}",
        "(",
        "lambda: 1",
    ],
)
def test_only_plain_literals_are_read(text: str) -> None:
    with pytest.raises(PresetRefusedError):
        literal(text)


@pytest.mark.skipif(importlib.util.find_spec("rl_zoo3") is None, reason="rl_zoo3 is not installed")
def test_the_installed_tables_give_the_values_under_an_arms_own() -> None:
    baseline = Configuration(
        algorithm="PPO",
        environment="CartPole-v1",
        training_steps=1000,
        preset="rl-zoo",
        hyperparameters={"gamma": 0.9},
    )
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.95}}

    config = parse_experiment({"baseline_config": baseline, "variant_config": variant})

    assert config.baseline_config.training_steps == 1000
    assert config.baseline_config.n_envs == 8
    assert config.baseline_config.hyperparameters["gamma"] == 0.9
    assert [d.pointer for d in audit(config).differences] == ["/hyperparameters/gamma"]
    assert parse_experiment(config.model_dump()) == config

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from src.experiments.config import check_configuration
from src.experiments.config.algorithms import TABLE, Family, algorithms
from src.experiments.config.allowed import (
    ACTION_NOISES,
    CLASSES,
    OWNED_HYPERPARAMETERS,
    RANGES,
    WRAPPERS,
)
from src.experiments.config.hyperparameters import normal_form
from src.experiments.domain.errors import ConfigurationError
from src.experiments.training.signatures import signature_table

NAMES = {"PPO", "A2C", "DQN", "SAC", "TD3", "DDPG"}
CONTRIB_NAMES = {"TRPO", "TQC", "QRDQN", "RecurrentPPO", "ARS", "CrossQ"}
LANGUAGE_NAMES = {"GRPO", "DR_GRPO"}


def arm(algorithm: str = "PPO", environment: str = "CartPole-v1", **more: Any) -> dict[str, Any]:
    return {"algorithm": algorithm, "environment": environment, "training_steps": 1000, **more}


def refused(given: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(given)
    return {problem.pointer: str(problem) for problem in caught.value.problems}


def test_the_committed_table_is_what_the_installed_library_says() -> None:
    assert json.loads(TABLE.read_text(encoding="utf-8")) == signature_table()


def test_the_table_holds_every_promised_algorithm() -> None:
    assert set(algorithms()) == NAMES | CONTRIB_NAMES | LANGUAGE_NAMES
    assert algorithms()["DR_GRPO"].family is Family.LANGUAGE
    assert algorithms()["ARS"].family is Family.EVOLUTION
    assert algorithms()["SAC"].family is Family.OFF_POLICY
    assert algorithms()["DQN"].action_spaces == ("Discrete",)


def test_every_number_has_a_range_and_every_default_lies_in_it() -> None:
    for algorithm in algorithms().values():
        for name, parameter in algorithm.parameters.items():
            if name in OWNED_HYPERPARAMETERS or name == "policy_kwargs":
                continue
            if parameter.kind in {"integer", "number", "schedule", "number or text"}:
                assert name in RANGES, (algorithm.name, name)
            if parameter.default is not None:
                assert normal_form(parameter, parameter.default) == parameter.default


def test_every_number_of_a_policy_has_a_range() -> None:
    for algorithm in algorithms().values():
        for parameters in algorithm.policies.values():
            for name, parameter in parameters.items():
                assert parameter.kind not in {"integer", "number"} or name in RANGES


def test_every_allowed_name_is_a_class_that_can_be_imported() -> None:
    tables = [*CLASSES.values(), ACTION_NOISES, WRAPPERS]
    for target in (path for table in tables for path in table.values()):
        module, _, name = target.partition(":")
        assert isinstance(getattr(importlib.import_module(module), name), type)


@pytest.mark.parametrize(
    ("algorithm", "environment", "given", "expected"),
    [
        ("PPO", "CartPole-v1", {"batch_size": 64.0}, {"batch_size": 64}),
        ("PPO", "CartPole-v1", {"clip_range": "lin_0.2"},
         {"clip_range": {"schedule": "linear", "initial": 0.2, "final": 0.0}}),
        ("PPO", "CartPole-v1", {"clip_range_vf": None}, {"clip_range_vf": None}),
        ("SAC", "Pendulum-v1", {"train_freq": [4, "step"]}, {"train_freq": 4}),
        ("SAC", "Pendulum-v1", {"train_freq": [1, "episode"], "gradient_steps": -1},
         {"train_freq": [1, "episode"], "gradient_steps": -1}),
        ("SAC", "Pendulum-v1", {"ent_coef": "auto_0.1", "target_entropy": -1},
         {"ent_coef": "auto_0.1", "target_entropy": -1.0}),
        ("TD3", "Pendulum-v1", {"action_noise": {"type": "normal", "sigma": 0.1}},
         {"action_noise": {"type": "normal", "mean": 0.0, "sigma": 0.1}}),
        ("DDPG", "Pendulum-v1", {"action_noise": {"type": "ornstein-uhlenbeck", "sigma": 1}},
         {"action_noise": {"type": "ornstein-uhlenbeck", "mean": 0.0, "sigma": 1.0,
                           "theta": 0.15, "dt": 0.01}}),
        ("PPO", "CartPole-v1",
         {"policy_kwargs": {"net_arch": {"pi": [64.0], "vf": [32]}, "optimizer_class": "AdamW",
                            "optimizer_kwargs": {"weight_decay": 0.1, "betas": [0.9, 0.99]}}},
         {"policy_kwargs": {"net_arch": {"pi": [64], "vf": [32]}, "optimizer_class": "AdamW",
                            "optimizer_kwargs": {"weight_decay": 0.1, "betas": [0.9, 0.99]}}}),
        ("DQN", "CartPole-v1",
         {"optimize_memory_usage": True,
          "replay_buffer_kwargs": {"handle_timeout_termination": False}},
         {"optimize_memory_usage": True,
          "replay_buffer_kwargs": {"handle_timeout_termination": False}}),
    ],
)  # fmt: skip
def test_hyperparameters_are_brought_into_their_normal_form(
    algorithm: str, environment: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    configuration = check_configuration(arm(algorithm, environment, hyperparameters=given))

    assert configuration.hyperparameters == expected
    assert check_configuration(configuration) == configuration


@pytest.mark.parametrize(
    ("algorithm", "environment", "given", "pointer"),
    [
        ("SAC", "Pendulum-v1", {"gradient_steps": 0}, "gradient_steps"),
        ("SAC", "Pendulum-v1", {"train_freq": [1, "rollout"]}, "train_freq"),
        ("SAC", "Pendulum-v1", {"ent_coef": "auto_-1"}, "ent_coef"),
        ("SAC", "Pendulum-v1", {"ent_coef": -0.1}, "ent_coef"),
        ("SAC", "Pendulum-v1", {"tau": 0}, "tau"),
        ("SAC", "Pendulum-v1", {"replay_buffer_class": "HerReplayBuffer"}, "replay_buffer_class"),
        ("SAC", "Pendulum-v1", {"replay_buffer_kwargs": {"x": 1}}, "replay_buffer_kwargs"),
        ("SAC", "Pendulum-v1", {"action_noise": {"type": "normal"}}, "action_noise"),
        ("SAC", "Pendulum-v1", {"action_noise": {"type": "normal", "sigma": 0}}, "action_noise"),
        ("DQN", "CartPole-v1", {"exploration_fraction": 0}, "exploration_fraction"),
        ("DQN", "CartPole-v1", {"optimize_memory_usage": True}, "optimize_memory_usage"),
        ("PPO", "CartPole-v1", {"use_sde": True}, "use_sde"),
        ("PPO", "CartPole-v1", {"n_steps": 1}, "n_steps"),
        ("PPO", "CartPole-v1", {"learning_rate": {"schedule": "linear", "initial": -1}},
         "learning_rate"),
        ("PPO", "CartPole-v1", {"learning_rate": {"schedule": "linear", "initial": 0}},
         "learning_rate"),
        ("ARS", "CartPole-v1", {"n_top": 9}, "n_top"),
        ("TQC", "Pendulum-v1", {"top_quantiles_to_drop_per_net": 25},
         "top_quantiles_to_drop_per_net"),
        ("PPO", "CartPole-v1", {"policy_kwargs": "dict(net_arch=[64])"}, "policy_kwargs"),
        ("PPO", "CartPole-v1", {"policy_kwargs": {"net_arch": [10**9]}}, "policy_kwargs/net_arch"),
        ("DQN", "CartPole-v1", {"policy_kwargs": {"net_arch": {"pi": [64]}}},
         "policy_kwargs/net_arch"),
        ("PPO", "CartPole-v1", {"policy_kwargs": {"use_sde": True}}, "policy_kwargs/use_sde"),
        ("PPO", "CartPole-v1", {"policy_kwargs": {"n_critics": 2}}, "policy_kwargs/n_critics"),
    ],
)  # fmt: skip
def test_what_the_library_would_take_and_never_mean_is_refused(
    algorithm: str, environment: str, given: dict[str, Any], pointer: str
) -> None:
    problems = refused(arm(algorithm, environment, hyperparameters=given))

    assert list(problems) == [f"/hyperparameters/{pointer}"]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"algorithm": "SAC", "environment": "Pendulum-v1", "n_envs": 2,
          "hyperparameters": {"train_freq": [1, "episode"]}}, "/hyperparameters/train_freq"),
        ({"environment": "FrozenLake-v1", "normalize": True}, "/normalize"),
        ({"policy": "MlpLstmPolicy"}, "/policy"),
        ({"policy": "MultiInputPolicy"}, "/policy"),
        ({"wrappers": ["TimeLimit"]}, "/wrappers/0"),
        ({"wrappers": ["FlattenObservation", {"name": "AtariWrapper"}]}, "/wrappers/1"),
        ({"environment_kwargs": {"no_such_argument": 1}}, "/environment_kwargs"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_together_are_refused(given: dict[str, Any], pointer: str) -> None:
    assert list(refused({**arm(), **given})) == [pointer]


def test_wrappers_decide_what_a_policy_sees() -> None:
    flattened = arm(environment="Blackjack-v1", wrappers=["FlattenObservation"])

    check_configuration(flattened)


def test_a_hyperparameter_that_belongs_elsewhere_says_where() -> None:
    problems = refused(arm(hyperparameters={"seed": 1, "n_timesteps": 5}))

    assert "set 'seed' beside 'hyperparameters'" in problems["/hyperparameters/seed"]
    assert "training_steps" in problems["/hyperparameters/n_timesteps"]

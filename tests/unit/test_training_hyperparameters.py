"""Plain data becomes the library's objects; nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import LinearSchedule

from src.experiments.config import allowed
from src.experiments.config.algorithms import algorithms, is_language
from src.experiments.domain.errors import UsageError
from src.experiments.training.sb3.algorithms import ALGORITHMS, algorithm_class
from src.experiments.training.sb3.hyperparameters import (
    SCHEDULES,
    action_noise,
    constructor_arguments,
    named_class,
    schedule,
)

ACTIONS = spaces.Box(-1.0, 1.0, (2,))


@pytest.mark.parametrize(
    ("data", "at_start", "at_end"),
    [
        ("lin_3e-4", 3e-4, 0.0),
        ({"schedule": "linear", "initial": 1e-3, "final": 1e-4}, 1e-3, 1e-4),
        ({"schedule": "linear", "initial": 0.2}, 0.2, 0.0),
    ],
)
def test_a_linear_schedule_goes_from_one_end_to_the_other(
    data: object, at_start: float, at_end: float
) -> None:
    made = schedule(data)

    assert isinstance(made, LinearSchedule)
    assert made(1.0) == pytest.approx(at_start)
    assert made(0.0) == pytest.approx(at_end)


def test_a_constant_schedule_is_a_number() -> None:
    assert schedule({"schedule": "constant", "initial": 0.1}) == 0.1


def test_noise_has_the_shape_of_the_action() -> None:
    normal = action_noise({"type": "normal", "sigma": 0.1}, ACTIONS)
    settings = {"type": "ornstein-uhlenbeck", "mean": 0.0, "sigma": 0.2, "theta": 0.1, "dt": 0.01}
    wandering = action_noise(settings, ACTIONS)

    assert isinstance(normal, NormalActionNoise)
    assert isinstance(wandering, OrnsteinUhlenbeckActionNoise)
    assert np.shape(normal()) == np.shape(wandering()) == (2,)


def test_classes_come_from_the_allow_list_alone() -> None:
    given = {"policy_kwargs": {"activation_fn": "ReLU", "net_arch": [4], "optimizer_class": None}}
    made = constructor_arguments(given, ACTIONS)["policy_kwargs"]

    assert made == {"activation_fn": torch.nn.ReLU, "net_arch": [4], "optimizer_class": None}
    with pytest.raises(UsageError, match="not allowed"):
        constructor_arguments({"policy_kwargs": {"activation_fn": "os.system"}}, ACTIONS)


def test_a_configuration_s_own_data_is_not_changed() -> None:
    given = {"train_freq": [2, "episode"], "policy_kwargs": {"net_arch": [4]}}
    made = constructor_arguments(given, ACTIONS)
    made["policy_kwargs"]["use_sde"] = True

    assert made["train_freq"] == (2, "episode")
    assert given == {"train_freq": [2, "episode"], "policy_kwargs": {"net_arch": [4]}}


@pytest.mark.parametrize(
    "names",
    [*allowed.CLASSES.values(), allowed.ACTION_NOISES, allowed.WRAPPERS],
)
def test_every_name_that_a_file_may_use_exists(names: dict[str, str]) -> None:
    for name in names:
        assert callable(named_class(names, name))


def test_both_tables_of_algorithms_agree() -> None:
    assert set(ALGORITHMS) == {name for name in algorithms() if not is_language(name)}
    scheduled = {
        name
        for algorithm in algorithms().values()
        for name, parameter in algorithm.parameters.items()
        if parameter.kind == "schedule"
    }
    assert scheduled == set(SCHEDULES)


def test_an_unknown_algorithm_is_named() -> None:
    assert algorithm_class("QR-DQN").__name__ == "QRDQN"
    with pytest.raises(UsageError, match="'PPOO'"):
        algorithm_class("PPOO")

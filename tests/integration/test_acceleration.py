"""Acceleration, whole or a piece, leaves every bit as the library alone would have left it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule

from src.experiments.domain.acceleration import Piece

from .acceleration_cases import REPLAY, ROLLOUTS, SMALL, UPDATES, Case, trained

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:You have specified a mini-batch size:UserWarning"),
    pytest.mark.filterwarnings("ignore:The number of environments used is greater:UserWarning"),
]


class OwnPolicy(ActorCriticPolicy):
    """A user's policy, of which nothing is known."""

    def forward(self, obs: Any, deterministic: bool = False) -> Any:
        actions, values, log_probabilities = super().forward(obs, deterministic)
        return actions, 0.5 * values, log_probabilities


def small(**more: Any) -> dict[str, Any]:
    return {"policy_kwargs": {**SMALL, **more}}


CORE = {
    "PPO discrete": Case("PPO", "CartPole-v1", 64, UPDATES),
    "PPO continuous": Case("PPO", "Pendulum-v1", 64, UPDATES),
    "A2C discrete": Case("A2C", "CartPole-v1", 60, small()),
    "A2C continuous": Case("A2C", "Pendulum-v1", 60, small()),
    "DQN": Case("DQN", "CartPole-v1", 120, {**REPLAY, "target_update_interval": 20}),
    "SAC": Case("SAC", "Pendulum-v1", 60, REPLAY),
    "TD3": Case("TD3", "Pendulum-v1", 60, REPLAY),
}
SEVERAL = {
    "PPO discrete, 8": Case("PPO", "CartPole-v1", 512, UPDATES, n_envs=8),
    "PPO continuous, 8": Case("PPO", "Pendulum-v1", 512, UPDATES, n_envs=8),
    "A2C discrete, 8": Case("A2C", "CartPole-v1", 240, small(), n_envs=8),
    "A2C continuous, 8": Case("A2C", "Pendulum-v1", 240, small(), n_envs=8),
    "DQN, 8": Case("DQN", "CartPole-v1", 320, REPLAY, n_envs=8),
    "SAC, 8": Case("SAC", "Pendulum-v1", 160, REPLAY, n_envs=8),
    "TD3, 8": Case("TD3", "Pendulum-v1", 160, REPLAY, n_envs=8),
}
NORMALIZED = {
    f"{name}, normalised": replace(case, normalizes=True)
    for name, case in {
        **CORE,
        "PPO, 8": SEVERAL["PPO continuous, 8"],
        "SAC, 8": SEVERAL["SAC, 8"],
    }.items()
}
EXPLORING = {
    "PPO, gSDE": Case("PPO", "Pendulum-v1", 64, {**UPDATES, "use_sde": True}),
    "A2C, gSDE, 8": Case(
        "A2C", "Pendulum-v1", 160, {**small(), "use_sde": True, "sde_sample_freq": 2}, n_envs=8
    ),
    "SAC, gSDE": Case("SAC", "Pendulum-v1", 60, {**REPLAY, "use_sde": True}),
    "TQC, gSDE, 8": Case("TQC", "Pendulum-v1", 120, {**REPLAY, "use_sde": True}, n_envs=8),
}
OTHERS = {
    "DDPG": Case("DDPG", "Pendulum-v1", 60, REPLAY),
    "TQC": Case("TQC", "Pendulum-v1", 60, REPLAY),
    "CrossQ": Case("CrossQ", "Pendulum-v1", 50, REPLAY),
    "QRDQN": Case("QRDQN", "CartPole-v1", 120, REPLAY),
    "TRPO": Case("TRPO", "Pendulum-v1", 64, {**ROLLOUTS, "batch_size": 16}),
    "RecurrentPPO": Case(
        "RecurrentPPO",
        "CartPole-v1",
        32,
        {**UPDATES, "n_steps": 16, "policy_kwargs": {"lstm_hidden_size": 8, "net_arch": [8]}},
        policy="MlpLstmPolicy",
    ),
    "ARS": Case("ARS", "CartPole-v1", 100, {"n_delta": 2, **small()}),
}
SPACES = {
    "several classes": Case("PPO", "MultiDiscrete", 64, UPDATES),
    "bits": Case("A2C", "MultiBinary", 60, small()),
    "a class for an observation": Case("PPO", "Discrete", 64, UPDATES, n_envs=2),
    "a class for an observation, DQN": Case("DQN", "Discrete", 100, REPLAY),
    "an unbounded box": Case("SAC", "Box", 60, REPLAY),
    "a dictionary": Case("PPO", "Dict", 32, {**UPDATES, "n_steps": 16}, policy="MultiInputPolicy"),
    "an image": Case("A2C", "Image", 10, policy="CnnPolicy"),
    "shared features": Case(
        "SAC", "Pendulum-v1", 50, {**REPLAY, **small(share_features_extractor=True)}
    ),
}
SETTINGS = {
    "schedules": Case(
        "PPO",
        "CartPole-v1",
        64,
        {
            **UPDATES,
            "learning_rate": LinearSchedule(1e-3, 1e-4, 1.0),
            "clip_range_vf": 0.2,
            "target_kl": 0.001,
            "gamma": 0.987,
            "gae_lambda": 0.913,
            "ent_coef": 0.01,
            "normalize_advantage": False,
        },
    ),
    "whole numbers": Case("PPO", "CartPole-v1", 64, {**UPDATES, "gamma": 1, "gae_lambda": 1}),
    "no hidden layers": Case(
        "PPO", "CartPole-v1", 64, {**UPDATES, "policy_kwargs": {"net_arch": []}}
    ),
    "other layers": Case(
        "A2C",
        "Pendulum-v1",
        60,
        {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [9, 7]}, "activation_fn": torch.nn.ELU}},
    ),
    "features apart": Case(
        "PPO",
        "CartPole-v1",
        64,
        {**UPDATES, **small(share_features_extractor=False, activation_fn=torch.nn.ReLU)},
    ),
    "a user's policy": Case("PPO", "CartPole-v1", 64, UPDATES, policy=OwnPolicy),
    "decaying weights": Case(
        "PPO",
        "CartPole-v1",
        64,
        {**UPDATES, **small(optimizer_kwargs={"weight_decay": 0.1, "amsgrad": True})},
    ),
    "AdamW": Case("SAC", "Pendulum-v1", 60, {**REPLAY, **small(optimizer_class=torch.optim.AdamW)}),
    "SGD": Case("DQN", "CartPole-v1", 100, {**REPLAY, **small(optimizer_class=torch.optim.SGD)}),
    "Adam in A2C": Case("A2C", "CartPole-v1", 60, {**small(), "use_rms_prop": False}),
    "several steps of gradients": Case(
        "TD3", "Pendulum-v1", 80, {**REPLAY, "train_freq": 8, "gradient_steps": -1}
    ),
    "whole episodes": Case(
        "DQN", "CartPole-v1", 150, {**REPLAY, "train_freq": (2, "episode"), "gradient_steps": 3}
    ),
    "experience kept once": Case(
        "DQN",
        "CartPole-v1",
        150,
        {
            **REPLAY,
            "optimize_memory_usage": True,
            "replay_buffer_kwargs": {"handle_timeout_termination": False},
        },
    ),
    "several rewards at once": Case("DQN", "CartPole-v1", 120, {**REPLAY, "n_steps": 3}),
    "a fixed temperature": Case("SAC", "Pendulum-v1", 60, {**REPLAY, "ent_coef": 0.2}),
}
FEW = ("PPO discrete", "A2C continuous", "SAC")
CASES = {**CORE, **SEVERAL, **NORMALIZED, **EXPLORING, **OTHERS, **SPACES, **SETTINGS}


@pytest.fixture(autouse=True)
def library_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path))


@cache
def plain(name: str) -> dict[str, Any]:
    """What the library alone leaves of a case."""
    return trained(CASES[name], False)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in {**CORE, **NORMALIZED} else [pytest.mark.slow])
        for name in CASES
    ],
)
def test_acceleration_leaves_every_bit_as_it_was(name: str) -> None:
    assert plain(name) == trained(CASES[name], True)


@pytest.mark.parametrize("piece", Piece)
@pytest.mark.parametrize("name", FEW)
def test_each_piece_alone_leaves_every_bit_as_it_was(name: str, piece: Piece) -> None:
    assert plain(name) == trained(CASES[name], [piece])


@pytest.mark.slow
@pytest.mark.parametrize("piece", Piece)
@pytest.mark.parametrize("name", [name for name in CASES if name not in FEW])
def test_each_piece_alone_leaves_every_bit_as_it_was_everywhere(name: str, piece: Piece) -> None:
    assert plain(name) == trained(CASES[name], [piece])


@pytest.mark.parametrize("piece", Piece)
@pytest.mark.parametrize("name", FEW)
def test_the_other_pieces_do_without_one(name: str, piece: Piece) -> None:
    assert plain(name) == trained(CASES[name], set(Piece) - {piece})


def test_another_seed_leaves_something_else() -> None:
    assert plain("PPO discrete") != trained(replace(CORE["PPO discrete"], seed=4), False)

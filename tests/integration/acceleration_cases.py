"""What is trained with and without acceleration, and everything that must be equal afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common import envs
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize

from src.experiments.training.sb3.acceleration import accelerated
from src.experiments.training.sb3.optimizers import optimizers

SMALL = {"net_arch": [16, 16]}
ROLLOUTS = {"n_steps": 32, "policy_kwargs": SMALL}
UPDATES = {**ROLLOUTS, "batch_size": 24, "n_epochs": 2}
REPLAY = {"learning_starts": 40, "buffer_size": 90, "batch_size": 16, "policy_kwargs": SMALL}


def seeded_images() -> Any:
    """An environment of random images, the same ones each time."""
    environment = envs.FakeImageEnv(screen_height=40, screen_width=40, n_channels=1)
    environment.observation_space.seed(3)
    return environment


TOYS: dict[str, Callable[[], Any]] = {
    "MultiDiscrete": lambda: envs.IdentityEnvMultiDiscrete(dim=3, ep_length=10),
    "MultiBinary": lambda: envs.IdentityEnvMultiBinary(dim=3, ep_length=10),
    "Discrete": lambda: envs.IdentityEnv(dim=3, ep_length=10),
    "Box": lambda: envs.IdentityEnvBox(ep_length=10),
    "Dict": lambda: envs.SimpleMultiObsEnv(random_start=False),
    "Image": seeded_images,
}


@dataclass(frozen=True)
class Case:
    """One training."""

    algorithm: str
    environment: str
    steps: int
    arguments: dict[str, Any] = field(default_factory=dict)
    policy: Any = "MlpPolicy"
    n_envs: int = 1
    normalizes: bool = False
    seed: int = 3

    def build(self) -> BaseAlgorithm:
        """The library's model, as the library builds it."""
        home = stable_baselines3 if hasattr(stable_baselines3, self.algorithm) else sb3_contrib
        set_random_seed(self.seed)  # some environments draw while they are made
        made: Any = TOYS.get(self.environment, self.environment)
        vector: Any = make_vec_env(made, self.n_envs, seed=self.seed)
        if self.normalizes:
            vector = VecNormalize(vector)
        kind = getattr(home, self.algorithm)
        arguments = deepcopy(self.arguments)  # the library writes into them
        model: BaseAlgorithm = kind(self.policy, vector, seed=self.seed, device="cpu", **arguments)
        model.set_logger(Logger(folder=None, output_formats=[]))
        return model


def trained(case: Case, accelerate: bool | Iterable[str]) -> dict[str, Any]:
    """Train a case; everything that is left of it, as bytes and numbers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = case.build()
        with accelerated(model, accelerate):
            model.learn(case.steps, log_interval=None)  # type: ignore[arg-type]
        return left(model)
    finally:
        torch.set_num_threads(threads)


def left(model: BaseAlgorithm) -> dict[str, Any]:
    """Parameters, optimisers, generators, experience, metrics and last observations."""
    parts: dict[str, Any] = {
        name: _bytes(value) for name, value in model.policy.state_dict().items()
    }
    for number, optimizer in enumerate(optimizers(model)):
        state = optimizer.state_dict()["state"]
        parts[f"optimizer {number}"] = {
            (key, name): _bytes(value)
            for key, values in state.items()
            for name, value in values.items()
        }
    for name in ("rollout_buffer", "replay_buffer"):
        for key, value in vars(getattr(model, name, None) or object).items():
            if isinstance(value, np.ndarray):
                parts[f"{name} {key}"] = _bytes(value)
    values = model.logger.name_to_value
    parts["metrics"] = {name: np.float64(value).tobytes() for name, value in values.items()}
    parts["last observation"] = str(model._last_obs)
    parts["modes"] = [module.training for module in model.policy.modules()]
    return {**parts, **_generators(model)}


def _generators(model: BaseAlgorithm) -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "actions": str(model.action_space.np_random.bit_generator.state),
    }


def _bytes(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    return np.ascontiguousarray(value).tobytes()

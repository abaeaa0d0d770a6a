"""Environments built bit for bit as the library builds them, and single ones for evaluation."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym
from gymnasium.error import UnregisteredEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from ...config.allowed import WRAPPERS
from ...domain.errors import UsageError
from ...domain.records import TrainerConfig
from ..evaluation import RewardMeter
from .hyperparameters import named_class
from .state.keeper import Keeper

Environment = gym.Env[Any, Any]

VECTORS: Mapping[str, type[DummyVecEnv] | type[SubprocVecEnv]] = {
    "dummy": DummyVecEnv,
    "subproc": SubprocVecEnv,
}


def training_environments(config: TrainerConfig) -> VecEnv:
    """The vector of environments that training steps, seeded, normalised if wanted."""
    register_environments(config)
    make = partial(_make_training_environment, config, trainer=os.getpid())
    vector = make_vec_env(
        make,
        config.n_envs,
        seed=config.seed,
        wrapper_class=partial(Keeper, rebuild=make, trainer=os.getpid()),
        vec_env_cls=VECTORS[config.vec_env],
    )
    return vector if config.normalize is None else VecNormalize(vector, **config.normalize)


def _make_training_environment(config: TrainerConfig, *, trainer: int) -> Environment:
    """An environment, in the process that trains or in one of its own."""
    if os.getpid() != trainer:
        register_environments(config)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # who trains decides when it ends
    return _wrapped(_make_rendering(config), config)


def evaluation_environment(config: TrainerConfig) -> Environment:
    """One environment as in training, with a meter for the unwrapped rewards inside."""
    innermost = _made(config, disable_env_checker=True, **config.environment_kwargs)
    return _wrapped(RewardMeter(innermost), config)


def register_environments(config: TrainerConfig) -> None:
    """Import the modules that the user allowed, and no other.

    Raises:
        UsageError: when the environment's id would import a module that was not allowed.
    """
    for name in config.environment_modules:
        import_module(name)
    module, separator, _ = config.environment.partition(":")
    if separator and module not in config.environment_modules:
        raise UsageError(
            f"environment {config.environment!a} would import a module",
            remedy="name the module with --allow-env-module",
        )


def _make_rendering(config: TrainerConfig) -> Environment:
    # the library asks for a renderer first; some environments' physics depend on it
    arguments = {"render_mode": "rgb_array", **config.environment_kwargs}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*render_mode", UserWarning)
        try:
            return _made(config, **arguments)
        except TypeError:
            return _made(config, **config.environment_kwargs)


def _made(config: TrainerConfig, **arguments: Any) -> Environment:
    """What Gymnasium makes.

    Raises:
        UsageError: when the environment is not registered in this process.
    """
    try:
        return gym.make(config.environment, **arguments)
    except UnregisteredEnv as error:
        raise UsageError(
            f"the process that trains does not know the environment {config.environment!a}",
            remedy="register it in a module of your own, and name that in environment_modules "
            "or with --allow-env-module",
        ) from error


def _wrapped(environment: Environment, config: TrainerConfig) -> Environment:
    for wrapper in config.wrappers:
        kind = named_class(WRAPPERS, wrapper["name"])
        environment = kind(environment, **wrapper.get("kwargs", {}))
    return environment

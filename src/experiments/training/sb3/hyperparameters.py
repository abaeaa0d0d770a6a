"""From plain data to the objects that the library's constructors take; nothing is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.utils import LinearSchedule

from ...config.allowed import ACTION_NOISES, CLASSES
from ...config.schedules import parse_schedule
from ...domain.errors import UsageError

SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf", "delta_std")
"""Hyperparameters that may change with the progress of training."""


def constructor_arguments(
    hyperparameters: Mapping[str, Any], action_space: spaces.Space[Any]
) -> dict[str, Any]:
    """The hyperparameters with schedules, classes and action noise made real.

    Everything that is made belongs to the libraries, so that a saved model loads without us.
    """
    return {
        name: None if value is None else _made(name, value, action_space)
        for name, value in hyperparameters.items()
    }


def schedule(value: Any) -> float | LinearSchedule:
    """A schedule's data as the library's schedule; a number stays one."""
    parsed = parse_schedule(value)
    if isinstance(parsed, Mapping):
        return LinearSchedule(parsed["initial"], parsed["final"], 1.0)
    return parsed


def action_noise(data: Mapping[str, Any], space: spaces.Space[Any]) -> ActionNoise:
    """Noise with equal settings in every dimension of the action."""
    settings = dict(data)
    kind = named_class(ACTION_NOISES, settings.pop("type"))
    shape = space.shape or (1,)
    mean = np.full(shape, float(settings.pop("mean", 0.0)))
    sigma = np.full(shape, float(settings.pop("sigma")))
    noise: ActionNoise = kind(mean=mean, sigma=sigma, **settings)
    return noise


def named_class(allowed: Mapping[str, str], name: str) -> Any:
    """The class that an allow-list has under a name.

    Raises:
        UsageError: when the list has none.
    """
    if name not in allowed:
        raise UsageError(
            f"class {name!a} is not allowed", remedy=f"use one of {', '.join(allowed)}"
        )
    module, _, attribute = allowed[name].partition(":")
    return getattr(import_module(module), attribute)


def _made(name: str, value: Any, action_space: spaces.Space[Any]) -> Any:
    if name in SCHEDULES:
        return schedule(value)
    if name == "action_noise":
        return action_noise(value, action_space)
    if name == "policy_kwargs":
        return {key: _policy_setting(key, part) for key, part in value.items()}
    if name == "train_freq" and not isinstance(value, int):
        return tuple(value)
    return dict(value) if isinstance(value, Mapping) else value


def _policy_setting(name: str, value: Any) -> Any:
    if name in CLASSES and value is not None:
        return named_class(CLASSES[name], value)
    return dict(value) if isinstance(value, Mapping) else value

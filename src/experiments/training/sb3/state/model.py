"""A Stable-Baselines3 model: parameters, optimisers, counters, generators, what it saw last."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from ....config.algorithms import algorithms
from ..optimizers import optimizers
from .plain import Plain, capture, from_tensor_bytes, restore, tensor_bytes

LAST_SEEN = ("_last_obs", "_last_original_obs", "_last_episode_starts", "_last_lstm_states")
"""What a model knows of its environments; of no use where these begin anew."""

_TOLD_APART = (
    "env",
    "_vec_normalize_env",
    "rollout_buffer",
    "replay_buffer",
    "_logger",
    "start_time",
    "batch_norm_stats",
    "batch_norm_stats_target",
)
"""Attributes that are told elsewhere, are filled before they are read again, or are a clock."""
_STATEFUL_ARGUMENTS = ("action_noise",)
"""Arguments of a constructor that change while training goes on; the others are configuration."""


def capture_model(model: BaseAlgorithm) -> Plain:
    """Everything of a model but its environments and its stored experience.

    Raises:
        OpaqueError: when it holds something that cannot be told as plain data.
    """
    logger = model.logger
    return {
        "policy": tensor_bytes(model.policy.state_dict()),
        "optimizers": [tensor_bytes(each.state_dict()) for each in optimizers(model)],
        "attributes": capture(model, _left_out(model)),
        "logger": capture((logger.name_to_value, logger.name_to_count)),
    }


def restore_model(model: BaseAlgorithm, state: Plain, *, with_last_seen: bool) -> None:
    """Take over what `capture_model` told, in place.

    Args:
        model: built from the same configuration.
        state: what `capture_model` returned.
        with_last_seen: whether the environments were taken over as well.
    """
    fresh = {name: getattr(model, name) for name in LAST_SEEN if hasattr(model, name)}
    model.policy.load_state_dict(from_tensor_bytes(state["policy"], model.device))
    for optimizer, told in zip(optimizers(model), state["optimizers"], strict=True):
        _restore_optimizer(optimizer, from_tensor_bytes(told, model.device))
    restore(model, _without_last_seen(state["attributes"], with_last_seen=with_last_seen))
    if not with_last_seen:
        for name, value in fresh.items():
            setattr(model, name, value)
    logger = model.logger
    logger.name_to_value, logger.name_to_count = restore(
        (logger.name_to_value, logger.name_to_count), state["logger"]
    )


def begin_environments_anew(model: BaseAlgorithm, step: int) -> None:
    """Reset environments whose state is lost, with other seeds than the run began with."""
    vector = model.get_env()
    assert vector is not None  # noqa: S101 - every model here was built with one
    vector.seed((model.seed or 0) + step)
    model._last_obs = vector.reset()  # type: ignore[assignment]
    model._last_episode_starts = np.ones((vector.num_envs,), dtype=bool)
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        model._last_original_obs = normalize.get_original_obs()


def _left_out(model: BaseAlgorithm) -> set[str]:
    table = algorithms()[type(model).__name__]
    arguments = {name for name in vars(model) if name in table.parameters} - set(
        _STATEFUL_ARGUMENTS
    )
    told = {
        name
        for name, value in vars(model).items()
        if isinstance(value, torch.nn.Module | torch.optim.Optimizer) or name.endswith("schedule")
    }
    return {*_TOLD_APART, *arguments, *told}


def _restore_optimizer(optimizer: torch.optim.Optimizer, told: dict[str, Any]) -> None:
    """Moments and rates; how a step is computed stays as it is set here."""
    ways = [group.get("foreach") for group in optimizer.param_groups]
    optimizer.load_state_dict(told)
    for group, foreach in zip(optimizer.param_groups, ways, strict=True):
        group["foreach"] = foreach


def _without_last_seen(attributes: Plain, *, with_last_seen: bool) -> Plain:
    if with_last_seen:
        return attributes
    one, number, (tag, name, told, left_out) = attributes
    kept = {key: value for key, value in told.items() if key not in LAST_SEEN}
    return one, number, (tag, name, kept, (*left_out, *LAST_SEEN))

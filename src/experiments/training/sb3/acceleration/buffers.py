"""Stored experience that is written, and turned to advantages, with fewer copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from torch import Tensor

from ..patching import wrapped

Function = Callable[..., None]


@contextmanager
def lean_buffers(model: BaseAlgorithm) -> Iterator[None]:
    """Stand in for methods of the library's own buffers of plain observations."""
    rollout: Any = getattr(model, "rollout_buffer", None)
    replay: Any = getattr(model, "replay_buffer", None)
    is_box = type(model.observation_space) is spaces.Box
    with ExitStack() as stack:
        if type(rollout) is RolloutBuffer and is_box and rollout.device.type == "cpu":
            stack.enter_context(wrapped(rollout, "add", partial(_add_to_rollout, rollout)))
            advantages = partial(_advantages, rollout)
            stack.enter_context(wrapped(rollout, "compute_returns_and_advantage", advantages))
        if type(replay) is ReplayBuffer and is_box and not replay.optimize_memory_usage:
            stack.enter_context(wrapped(replay, "add", partial(_add_to_replay, replay)))
        yield


def _add_to_rollout(buffer: RolloutBuffer, usual: Function) -> Function:
    shape = (buffer.n_envs, buffer.action_dim)

    def add(
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        episode_start: np.ndarray,
        value: Tensor,
        log_prob: Tensor,
    ) -> None:
        if log_prob.ndim == 0:
            usual(obs, action, reward, episode_start, value, log_prob)
            return
        row = buffer.pos
        buffer.observations[row] = obs
        buffer.actions[row] = action.reshape(shape)
        buffer.rewards[row] = reward
        buffer.episode_starts[row] = episode_start
        buffer.values[row] = value.numpy().reshape(-1)
        buffer.log_probs[row] = log_prob.numpy()
        buffer.pos = row + 1
        buffer.full |= buffer.pos == buffer.buffer_size

    return add


def _advantages(buffer: RolloutBuffer, usual: Function) -> Function:
    """Generalised advantages (Schulman et al. 2016, eq. 16), all but the recursion at once."""

    def compute_returns_and_advantage(last_values: Tensor, dones: np.ndarray) -> None:
        if not (type(buffer.gamma) is float and type(buffer.gae_lambda) is float):
            usual(last_values, dones)
            return
        goes_on = np.empty_like(buffer.values)
        goes_on[:-1] = 1.0 - buffer.episode_starts[1:]
        goes_on[-1] = 1.0 - dones.astype(np.float32)
        following = np.empty_like(buffer.values)
        following[:-1] = buffer.values[1:]
        following[-1] = last_values.numpy().reshape(-1)
        surprise = buffer.rewards + buffer.gamma * following * goes_on - buffer.values
        decay = buffer.gamma * buffer.gae_lambda * goes_on
        advantage = np.zeros_like(surprise[0])
        rows = zip(surprise[::-1], decay[::-1], buffer.advantages[::-1], strict=True)
        for error, share, row in rows:
            advantage = np.add(error, share * advantage, out=row)
        buffer.returns = buffer.advantages + buffer.values

    return compute_returns_and_advantage


def _add_to_replay(buffer: ReplayBuffer, usual: Function) -> Function:
    del usual
    shape = (buffer.n_envs, buffer.action_dim)

    def add(
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        row = buffer.pos
        buffer.observations[row] = obs
        buffer.next_observations[row] = next_obs
        buffer.actions[row] = action.reshape(shape)
        buffer.rewards[row] = reward
        buffer.dones[row] = done
        if buffer.handle_timeout_termination:
            cut_off = [info.get("TimeLimit.truncated", False) for info in infos]
            buffer.timeouts[row] = cut_off
        buffer.pos = row + 1
        if buffer.pos == buffer.buffer_size:
            buffer.full = True
            buffer.pos = 0

    return add

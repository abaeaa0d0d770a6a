"""Where a NaN or an infinity first appeared, looked for in what training has stored anyway."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn
from torch.nn.utils import get_total_norm

from ...domain.errors import NonFiniteError
from .buffers import ring_slices

Found = tuple[int, str]
"""The training timestep and the quantity."""
ACTION, PROBABILITY, VALUE = "action", "log-probability of an action", "value estimate"
OF_POLICY = (ACTION, PROBABILITY, VALUE)
"""What the policy gives for an observation."""


class FinitenessCheck:
    """Checks one model's stored experience and parameters; each check costs microseconds."""

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        self.checked_rows = 0
        """Rows ever written to the replay buffer that were looked at."""

    def rollout(self) -> None:
        """Check the rollout that was just collected.

        Raises:
            NonFiniteError: naming the step at which the environment or the policy produced it.
        """
        buffer = self._rollout_buffer()
        if buffer is None:
            return
        # returns hold every reward and every value; a saturated unit can hide an observation, and
        # nothing else shows that an action was drawn from probabilities that are none
        held = [buffer.returns, buffer.log_probs, *_parts(buffer, "observations")]
        if not all(_finite(part) for part in held):
            # what no row shows is the estimate from which the last returns were continued
            found = self._first_in_rollout() or (self._model.num_timesteps, VALUE)
            raise self._explained(found)

    def experience(self) -> None:
        """Check the rows of the replay buffer that were written since the last check.

        Raises:
            NonFiniteError: naming the step at which the environment produced it.
        """
        found = self._first_in_replay()
        if found is not None:
            raise self._explained(found)

    def parameters(self) -> None:
        """Check the policy's parameters.

        Raises:
            NonFiniteError: naming the step so far.
        """
        error = self.in_parameters()
        if error is not None:
            raise error

    def cause(self) -> NonFiniteError | None:
        """The first thing in the stored experience that is not finite."""
        found = (self._first_in_rollout(), self._first_in_replay(), self._in_last_observation())
        first = _earliest([item for item in found if item is not None])
        return None if first is None else self._explained(first)

    def in_parameters(self) -> NonFiniteError | None:
        """The error to raise when a parameter of the policy is not finite."""
        weights = [weight.detach() for weight in self._model.policy.parameters()]
        # one norm is much cheaper than a look at each weight, but can overflow
        if math.isfinite(float(get_total_norm(weights))):
            return None
        if all(bool(torch.isfinite(weight).all()) for weight in weights):
            return None
        return NonFiniteError("parameters", self._model.num_timesteps)

    @property
    def rows_kept(self) -> int:
        """Timesteps after which experience that was not looked at would be overwritten."""
        buffer: ReplayBuffer | None = getattr(self._model, "replay_buffer", None)
        return sys.maxsize if buffer is None else max(buffer.buffer_size // 2, 1) * buffer.n_envs

    def _explained(self, found: Found) -> NonFiniteError:
        """The error for what was found; what a broken policy gave is owed to its parameters."""
        step, quantity = found
        broken = self.in_parameters() if quantity in OF_POLICY else None
        return broken or NonFiniteError(quantity, step)

    def _rollout_buffer(self) -> RolloutBuffer | None:
        return getattr(self._model, "rollout_buffer", None)

    def _first_in_rollout(self) -> Found | None:
        buffer = self._rollout_buffer()
        if buffer is None:
            return None
        environments = buffer.n_envs
        rows = buffer.buffer_size if buffer.full else buffer.pos
        start = self._model.num_timesteps - rows * environments
        found = [
            (start + row * environments, "observation")
            for row in _rows(_parts(buffer, "observations"), slice(0, rows))
        ]
        rewards = _rows([buffer.rewards], slice(0, rows))
        found += [(start + (row + 1) * environments, "reward") for row in rewards]
        for quantity, given in (
            (ACTION, buffer.actions),
            (PROBABILITY, buffer.log_probs),
            (VALUE, buffer.values),
        ):
            chosen = _rows([given], slice(0, rows))
            found += [(start + row * environments, quantity) for row in chosen]
        last = self._in_last_observation()
        return _earliest([*found, last] if last is not None else found)

    def _first_in_replay(self) -> Found | None:
        buffer: ReplayBuffer | None = getattr(self._model, "replay_buffer", None)
        if buffer is None:
            return None
        environments = buffer.n_envs
        written = self._model.num_timesteps // environments
        first = max(self.checked_rows, written - buffer.buffer_size)
        self.checked_rows = written
        found: list[Found] = []
        for start, rows in ring_slices(first, written, buffer.buffer_size):
            seen = _rows(_parts(buffer, "observations"), rows)
            found += [((start + row) * environments, "observation") for row in seen]
            chosen = _rows([buffer.actions], rows)
            found += [((start + row) * environments, ACTION) for row in chosen]
            came = _rows(_parts(buffer, "next_observations"), rows)
            found += [((start + row + 1) * environments, "observation") for row in came]
            paid = _rows([buffer.rewards], rows)
            found += [((start + row + 1) * environments, "reward") for row in paid]
        return _earliest(found)

    def _in_last_observation(self) -> Found | None:
        last: Any = self._model._last_obs
        parts = last.values() if isinstance(last, dict) else [last]
        if all(_finite(part) for part in parts if part is not None):
            return None
        return self._model.num_timesteps, "observation"


class FiniteSteps(VecEnvWrapper):
    """Checks every step, for an algorithm that stores no experience (evolution strategies)."""

    def __init__(self, vector: VecEnv) -> None:
        super().__init__(vector)
        self._steps = 0

    def reset(self) -> VecEnvObs:
        """Reset, and check the first observations."""
        observations = self.venv.reset()
        self._check(observations, "observation")
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and check observations and rewards."""
        result = self.venv.step_wait()
        self._steps += self.num_envs
        self._check(result[1], "reward")
        self._check(result[0], "observation")
        return result

    def _check(self, values: Any, quantity: str) -> None:
        parts = values.values() if isinstance(values, dict) else [values]
        if not all(_finite(part) for part in parts):
            raise NonFiniteError(quantity, self._steps)


def _earliest(found: list[Found]) -> Found | None:
    """What appeared first; of one step, what stands first in the list."""
    return min(found, key=lambda item: item[0], default=None)


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _parts(buffer: Any, name: str) -> list[np.ndarray]:
    """The arrays of a field: one, or one a key for dictionary observations; absent: none."""
    value = getattr(buffer, name, None)
    if isinstance(value, dict):
        return list(value.values())
    return [] if value is None else [value]


def _rows(arrays: list[np.ndarray], rows: slice) -> Iterator[int]:
    """The first row of each array that is not finite, counted from the start of `rows`."""
    for array in arrays:
        part = array[rows]
        if not _finite(part):
            yield int(np.flatnonzero(~np.isfinite(part).reshape(len(part), -1).all(axis=1))[0])

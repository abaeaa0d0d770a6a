"""A CartPole whose simulator runs out of memory once, so that a recovery can be watched.

Importing this module registers ``UnreliableCartPole-v0``. No experiment file can make that
happen: the caller allows it with `environment_modules` or with ``--allow-env-module``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

ENVIRONMENT = "UnreliableCartPole-v0"


class UnreliableCartPole(CartPoleEnv):
    """CartPole that raises `MemoryError` after some steps, unless it did so before.

    Args:
        failed_before: a file that remembers the failure across processes.
        steps_until_failure: steps, over all episodes, before the one failure.
    """

    def __init__(self, failed_before: str, steps_until_failure: int = 200, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._failed_before = Path(failed_before)
        self._steps_left = steps_until_failure

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of CartPole, or the failure."""
        self._steps_left -= 1
        if self._steps_left <= 0 and not self._failed_before.exists():
            self._failed_before.touch()
            raise MemoryError("the simulator found no memory for its next state")
        return super().step(action)


gym.register(ENVIRONMENT, entry_point=UnreliableCartPole, max_episode_steps=500)

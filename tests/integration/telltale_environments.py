"""An environment that reads the tracker's keys by itself, and gives them away."""

from pathlib import Path

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class TelltaleCartPole(CartPoleEnv):
    """Prints what `.env` holds when it is made, and raises it at its step `at`."""

    def __init__(self, at=0, **kwargs):
        super().__init__(**kwargs)
        self.at, self.steps_taken = at, 0
        self.keys = Path(".env").read_text()
        print(f"logged in with {self.keys}", flush=True)

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken == self.at:
            raise RuntimeError(f"login failed: {self.keys}")
        return super().step(action)


gymnasium.register("TelltaleCartPole-v0", entry_point=TelltaleCartPole)

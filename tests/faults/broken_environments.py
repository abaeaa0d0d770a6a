"""Environments that misbehave; registered when the module is allowed to be imported."""

import os
import sys

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class BrokenCartPole(CartPoleEnv):
    """Balances a pole until step `at`, then does what `kind` says."""

    def __init__(self, kind="raise", at=100, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.at, self.steps_taken = kind, at, 0

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken == self.at:
            self.break_down()
        return super().step(action)

    def break_down(self):
        match self.kind:
            case "raise":
                raise RuntimeError("joint 3 exploded \x1b[31m")
            case "exit":
                sys.exit(0)
            case "leak":
                secret = os.environ["CANARY_API_KEY"]
                print("the key is", secret, "\x1b[2J")
                raise RuntimeError(f"refused: {secret}")


gymnasium.register(
    "BrokenCartPole-v0", lambda **kwargs: BrokenCartPole(**kwargs), max_episode_steps=500
)

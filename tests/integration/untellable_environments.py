"""Environments whose state cannot be told; registered when the module is allowed to be imported."""

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


def everlasting_wind():
    """Draws of a generator that no environment owns: each depends on all before it."""
    state = 1
    while True:
        state = state * 48271 % (2**31 - 1)
        yield state / 2**31


WIND = everlasting_wind()


class WindyCartPole(CartPoleEnv):
    """A pole in a wind that all environments of the process share."""

    def step(self, action):
        observation, *rest = super().step(action)
        observation[0] += 0.01 * next(WIND)
        return observation, *rest


class UnsteadyCartPole(CartPoleEnv):
    """A pole that breaks down after a while."""

    steps_taken = 0

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken == 300:
            raise RuntimeError("joint 3 exploded")
        return super().step(action)


for name, kind in (("Windy", WindyCartPole), ("Unsteady", UnsteadyCartPole)):
    gymnasium.register(
        f"{name}CartPole-v0", lambda kind=kind, **kwargs: kind(**kwargs), max_episode_steps=500
    )

"""An environment that fails a number of times in a run's life; registered when imported."""

import os
import signal
from pathlib import Path

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class FlakyCartPole(CartPoleEnv):
    """Fails at its step `at`, until there are `times` notes of it in `folder`.

    How: `error` raises, `memory` raises what a lack of memory does, `kill` ends the process.
    """

    def __init__(self, folder, at=1200, times=1, how="error", **kwargs):
        super().__init__(**kwargs)
        self.folder, self.at, self.times, self.how = folder, at, times, how
        self.steps_taken = 0

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken == self.at:
            self.fail()
        return super().step(action)

    def fail(self):
        notes = len(list(Path(self.folder).glob("failed-*")))
        if notes >= self.times:
            return
        Path(self.folder, f"failed-{notes}").touch()
        match self.how:
            case "error":
                raise RuntimeError("joint 3 exploded")
            case "memory":
                raise MemoryError("no room for another pole")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)


gymnasium.register("FlakyCartPole-v0", FlakyCartPole, max_episode_steps=500)

"""Environments that take too much or never answer; registered when the module is imported."""

import os
import subprocess
import time
from pathlib import Path

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

MIB = 2**20


class GreedyCartPole(CartPoleEnv):
    """Balances a pole until step `at`, then does what `kind` says; `folder` is for its traces."""

    def __init__(self, kind="none", at=100, folder=None, pieces=20, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.at, self.folder, self.pieces = kind, at, folder, pieces
        self.steps_taken = 0
        self.hoard = []

    def reset(self, **kwargs):
        if self.kind == "hang_in_reset":
            time.sleep(600)
        return super().reset(**kwargs)

    def step(self, action):
        self.steps_taken += 1
        if self.steps_taken >= self.at:
            self.misbehave()
        return super().step(action)

    def misbehave(self):
        match self.kind:
            case "memory":
                if len(self.hoard) < self.pieces:
                    self.hoard.append(bytearray(os.urandom(1)) * (50 * MIB))
                time.sleep(0.1)
            case "disk":
                with Path(self.folder, "filling").open("ab") as file:
                    file.write(bytes(5 * MIB))
                time.sleep(0.05)
            case "helper" if not self.hoard:
                helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
                Path(self.folder, f"helper-{helper.pid}").touch()  # whole as soon as it is there
                self.hoard.append(helper)
            case "hang_in_step":
                time.sleep(600)
            case "spin":
                while True:
                    pass

    def close(self):
        if self.kind == "hang_in_close" and self.steps_taken:
            time.sleep(600)
        super().close()


gymnasium.register(
    "GreedyCartPole-v0", lambda **kwargs: GreedyCartPole(**kwargs), max_episode_steps=500
)

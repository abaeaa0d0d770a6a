"""Environments that misbehave; registered when the module is allowed to be imported."""

import base64
import os
import sys
import time
from pathlib import Path
from urllib.parse import quote

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class BrokenCartPole(CartPoleEnv):
    """Balances a pole until step `at`, then does what `kind` says; a step takes `seconds`."""

    def __init__(self, kind="raise", at=100, seconds=0.0, asked_by="", value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.at, self.seconds, self.steps_taken = kind, at, seconds, 0
        self.asked_by, self.value = asked_by, value

    def reset(self, **kwargs):
        if self.kind == "sleep in reset":
            sleep_for_ever()
        return super().reset(**kwargs)

    def close(self):
        super().close()
        if self.kind == "sleep in close":
            sleep_for_ever()

    def step(self, action):
        time.sleep(self.seconds)
        self.steps_taken += 1
        if self.steps_taken == self.at:
            self.break_down()
        return self.falsified(*super().step(action))

    def falsified(self, observation, reward, *rest):
        if self.kind == "reward" and self.steps_taken == self.at:
            reward = float(self.value)
        if self.kind == "observation" and self.steps_taken == self.at:
            observation[0] = float(self.value)
        return observation, reward, *rest

    def break_down(self):
        match self.kind:
            case "raise":
                raise RuntimeError("joint 3 exploded \x1b[31m")
            case "sleep":
                sleep_for_ever()
            case "spin":
                while True:
                    pass
            case "exit":
                sys.exit(0)
            case "leave":
                self.wait_or_leave(Path(os.environ["FAULTS_FOLDER"], self.asked_by))
            case "prints":
                print("the keys are", *canary_forms(), "\x1b[2J")
            case "raises":
                raise RuntimeError(f"refused: {' '.join(canary_forms())}")

    def wait_or_leave(self, asking):
        """Wait while a file beside that one is there; leave once where it asks for that itself."""
        while asking.with_name(f"{asking.name}-to-wait").exists():
            time.sleep(0.01)
        if asking.exists():
            asking.unlink()
            os._exit(7)


def canary_forms():
    """Each secret that the process was given for this purpose, as it is, and encoded."""
    for name, secret in os.environ.items():
        if name.startswith("CANARY_"):
            yield from (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())


def sleep_for_ever():
    while True:
        time.sleep(60)


gymnasium.register(
    "BrokenCartPole-v0", lambda **kwargs: BrokenCartPole(**kwargs), max_episode_steps=500
)

"""A vector of environments: what its layers keep, and each environment through its keeper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from .plain import Plain, capture, restore

_CONNECTIONS = ("venv", "class_attributes")
SETTLED_TRIALS = 2
"""The first trial begins with the environment, the second one where training is under way."""


@dataclass(frozen=True)
class Exactness:
    """Whether what was told of the environments is all there is to them."""

    is_exact: bool
    how: str
    """The way in which they are told, or why none is exact."""


class KeptVector:
    """The environments of a model, told and taken over."""

    def __init__(self, vector: VecEnv) -> None:
        self._vector = vector
        self._trials_ended = 0
        self._is_on_trial = False
        self.exactness = Exactness(False, "no way was tried yet")

    def begin_trial(self) -> None:
        """Let the first environment record what it does, to be compared with clones later.

        The others are built alike; until it is known what works, they record what a replay needs.
        """
        is_open = self._trials_ended == 0 or self.exactness.is_exact
        if is_open and self._trials_ended < SETTLED_TRIALS and not self._is_on_trial:
            self._vector.env_method("begin_trial", indices=0)
            self._is_on_trial = True

    def end_trial(self) -> None:
        """Find out which way of telling is exact, if a trial is under way."""
        if not self._is_on_trial:
            return
        self._is_on_trial = False
        self._trials_ended += 1
        ((names, why_not),) = self._vector.env_method("end_trial", indices=0)
        self._vector.env_method("use", names)
        self.exactness = Exactness(bool(names), names[0] if names else why_not)

    def capture(self) -> Plain:
        """Everything, as plain data; from now on inexact where an environment cannot be told."""
        environments = self._vector.env_method("capture_state")
        for _, _, name, why_not in environments:
            if name is None and self.exactness.is_exact:
                self.exactness = Exactness(False, why_not)
        return {
            "layers": [capture(layer, _CONNECTIONS) for layer in _layers(self._vector)],
            "environments": environments,
            "exact": self.exactness.is_exact,
            "how": self.exactness.how,
            "trials_ended": self._trials_ended,
        }

    def restore(self, state: Plain) -> Exactness:
        """Take everything over; where that cannot be exact, the environments begin anew."""
        told = state["environments"]
        self._trials_ended = state["trials_ended"]
        self.exactness = Exactness(state["exact"], state["how"])
        if self.exactness.is_exact:
            try:
                for index, each in enumerate(told):
                    self._vector.env_method("restore_state", each, indices=index)
            except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
                self.exactness = Exactness(False, f"{type(error).__name__}: {error}")
        for layer, part in zip(_layers(self._vector), state["layers"], strict=True):
            restore(layer, part)
        return self.exactness


def _layers(vector: VecEnv) -> Iterator[Any]:
    """The layers around the environments themselves, outermost first."""
    layer: Any = vector
    while isinstance(layer, VecEnvWrapper):
        yield layer
        layer = layer.venv

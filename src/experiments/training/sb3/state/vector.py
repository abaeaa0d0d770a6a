"""A vector of environments: what its layers keep, and each environment through its keeper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from .plain import Plain, capture, restore

_CONNECTIONS = ("venv", "class_attributes")


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
        self._tellings = 0
        """How often the environments were told."""
        self._is_on_trial = False
        self.exactness = Exactness(False, "no way was tried yet")

    def begin_trial(self) -> None:
        """Let the first environment record what it does, to be compared with clones later.

        The others are built alike; until it is known what works, they record what a replay needs.
        Later on, an environment may take up what it did not have at first: there are trials after
        the first checkpoint, the second, the fourth, and so on.
        """
        is_due = self._tellings.bit_count() <= 1  # 0, and the powers of two
        is_open = self._tellings == 0 or (self.exactness.is_exact and is_due)
        if is_open and not self._is_on_trial:
            self._is_on_trial = any(self._vector.env_method("begin_trial", indices=0))

    def end_trial(self) -> None:
        """Find out which way of telling is exact, if a trial is under way."""
        if not self._is_on_trial:
            return
        self._is_on_trial = False
        ((names, why_not),) = self._vector.env_method("end_trial", indices=0)
        self._vector.env_method("use", names)
        self.exactness = Exactness(bool(names), names[0] if names else why_not)

    def capture(self) -> Plain:
        """Everything, as plain data; from now on inexact where an environment cannot be told."""
        self._tellings += 1
        environments = self._vector.env_method("capture_state")
        for _, _, name, why_not in environments:
            if name is None and self.exactness.is_exact:
                self.exactness = Exactness(False, why_not)
        return {
            "layers": [capture(layer, _CONNECTIONS) for layer in _layers(self._vector)],
            "environments": environments,
            "exact": self.exactness.is_exact,
            "how": self.exactness.how,
            "tellings": self._tellings,
        }

    def restore(self, state: Plain) -> Exactness:
        """Take everything over; where that cannot be exact, the environments begin anew."""
        told = state["environments"]
        self._tellings = state["tellings"]
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

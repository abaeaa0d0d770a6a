"""What was done to an environment and what came of it, recorded so that it can be done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .plain import Plain, capture, generators, restore

BLOCK = 4096
"""Actions that are put together in one array, which takes a fraction of their memory."""


@dataclass(frozen=True)
class Reset:
    """A reset: after so many actions, with these arguments, from these states of generators."""

    position: int
    arguments: dict[str, Any]
    generators: dict[str, Plain]


@dataclass
class Tape:
    """Actions and resets since the environment was built, or since the latest reset."""

    is_whole: bool = True
    """Whether what came before the latest reset is kept."""
    resets: list[Reset] = field(default_factory=list)
    _blocks: list[np.ndarray] = field(default_factory=list)
    _latest: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        """Actions on the tape."""
        return sum(len(block) for block in self._blocks) + len(self._latest)

    def note_reset(self, environment: Any, arguments: dict[str, Any]) -> None:
        """A reset is about to happen."""
        if not self.is_whole:
            self._blocks, self._latest, self.resets = [], [], []
        states = {path: capture(each) for path, each in generators(environment).items()}
        self.resets.append(Reset(len(self), dict(arguments), states))

    def note_action(self, action: Any) -> None:
        """An action is about to be taken."""
        self._latest.append(np.array(action))
        if len(self._latest) == BLOCK:
            self._blocks.append(np.stack(self._latest))
            self._latest = []

    def forget_earlier_episodes(self) -> None:
        """Keep what happened since the latest reset, now and from now on."""
        if self.is_whole and self.resets:
            last = self.resets[-1]
            actions = self.actions()[last.position :]
            self.resets = [Reset(0, last.arguments, last.generators)]
            self._blocks, self._latest = [], list(actions)
        self.is_whole = False

    def actions(self) -> np.ndarray:
        """All actions, stacked."""
        blocks = [*self._blocks, *([np.stack(self._latest)] if self._latest else [])]
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def state(self) -> Plain:
        """The tape as plain data."""
        return capture(
            {
                "is_whole": self.is_whole,
                "resets": [
                    (each.position, each.arguments, list(each.generators.items()))
                    for each in self.resets
                ],
                "actions": self.actions(),
            }
        )

    @classmethod
    def of(cls, state: Plain) -> Tape:
        """The tape that `state` was taken from."""
        told = restore(None, state)
        tape = cls(is_whole=told["is_whole"])
        tape.resets = [
            Reset(position, arguments, dict(states))
            for position, arguments, states in told["resets"]
        ]
        tape._blocks = [told["actions"]] if len(told["actions"]) else []
        return tape

    def moves(self) -> Iterator[Reset | np.ndarray | np.generic]:
        """Resets and actions, in the order in which they came."""
        actions, resets = self.actions(), deque(self.resets)
        for position in range(len(actions) + 1):
            while resets and resets[0].position == position:
                yield resets.popleft()
            if position < len(actions):
                yield actions[position]


def set_generators(environment: Any, states: dict[str, Plain]) -> None:
    """Put generators into states that were noted.

    Raises:
        KeyError: when the environment has no such generator.
    """
    present = generators(environment)
    for path, state in states.items():
        restore(present[path], state)

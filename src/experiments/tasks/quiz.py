"""Question answering over several turns: each question goes on from the last answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from .arithmetic import OPERATIONS, answered, check_numbers
from .numbers import last_number
from .task import commuted, drawn

MOST_TURNS = 20


class Quiz:
    """A running total: the first question is a sum, each further one adds to its answer."""

    def __init__(self, terms: Sequence[int]) -> None:
        self._terms = list(terms)
        self._totals = list(accumulate(terms))[1:]
        self._right: list[bool] = []

    def __str__(self) -> str:
        return f"{self._terms[0]}" + "".join(f"{term:+d}" for term in self._terms[1:])

    @property
    def side(self) -> str:
        """What decides whether it is kept for evaluation: the first question, for it is asked by
        itself.
        """
        first, second = self._terms[:2]
        return commuted(first, "-" if second < 0 else "+", abs(second))

    @property
    def opening(self) -> str:
        """The first question."""
        return f"{self._terms[0]}{self._terms[1]:+d}="

    def reply(self, said: str) -> str | None:
        """Take an answer; the next question, without a word on whether the answer was right."""
        self._right.append(last_number(said) == self._totals[len(self._right)])
        asked = len(self._right)
        return None if asked == len(self._totals) else f"{self._terms[asked + 1]:+d}="

    @property
    def reward(self) -> float:
        """The share of questions answered rightly."""
        return sum(self._right) / len(self._totals)


@dataclass(frozen=True)
class MultiturnQa:
    """Questions that go on from the answers before; the reward is the share of right answers."""

    largest: int = 5
    """The largest number that is added or taken away."""
    turns: int = 2
    """Questions of a dialogue."""
    operations: str = OPERATIONS

    instructions: ClassVar[str] = (
        "Compute. Each further question goes on from your last answer. Answer with the number."
    )
    alphabet: ClassVar[str] = "0123456789+-=()"

    def __post_init__(self) -> None:
        check_numbers(self.largest, self.operations)
        if type(self.turns) is not int or not 2 <= self.turns <= MOST_TURNS:
            raise ValueError(f"turns must be a whole number from 2 to {MOST_TURNS}")

    def begin(self, rng: random.Random, *, held_out: bool) -> Quiz:
        """Draw the terms of a total."""
        return drawn(lambda: Quiz(self._terms(rng)), held_out=held_out, side=lambda quiz: quiz.side)

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A pupil goes on from what it has said itself, right or wrong."""
        first, *others = self._terms(rng)
        told: list[str] = []
        so_far = first
        for number, term in enumerate(others):
            told.append(f"{so_far}{term:+d}=" if number == 0 else f"{term:+d}=")
            said = answered(rng, f"{so_far}{term:+d}=", so_far + term)
            told.append(said)
            so_far = int(last_number(said) or 0)
        return told

    def _terms(self, rng: random.Random) -> list[int]:
        signs = [1 if sign == "+" else -1 for sign in self.operations]
        others = [rng.choice(signs) * rng.randint(0, self.largest) for _ in range(self.turns)]
        return [rng.randint(0, self.largest), *others]

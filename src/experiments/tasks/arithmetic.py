"""Sums and differences, asked and answered in one turn."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from .numbers import last_number
from .task import commuted, drawn

OPERATIONS = "+-"
CAREFUL = 0.2
"""How often a pupil writes the problem down again before it answers."""
RIGHT_IF_CAREFUL, RIGHT_IF_HASTY = 0.95, 0.2
"""How often it is right then, and otherwise: writing it down is what there is to learn."""


@dataclass(frozen=True)
class Sum:
    """A sum or difference of two numbers."""

    left: int
    operation: str
    right: int

    def __str__(self) -> str:
        return f"{self.left}{self.operation}{self.right}"

    @property
    def value(self) -> int:
        """What it comes to."""
        return self.left + self.right if self.operation == "+" else self.left - self.right

    @property
    def side(self) -> str:
        """What decides whether it is kept for evaluation: the same for ``3+5`` and ``5+3``."""
        return commuted(self.left, self.operation, self.right)


def random_sum(rng: random.Random, largest: int, operations: str) -> Sum:
    """A sum of two numbers from 0 to `largest`."""
    return Sum(rng.randint(0, largest), rng.choice(operations), rng.randint(0, largest))


def nearly(rng: random.Random, value: int) -> int:
    """A wrong answer, as a poor pupil gives it."""
    return value + rng.choice((-2, -1, 1, 2))


class Question:
    """One sum; the first answer counts."""

    def __init__(self, problem: Sum) -> None:
        self._problem = problem
        self.reward = 0.0

    def __str__(self) -> str:
        return str(self._problem)

    @property
    def opening(self) -> str:
        """The sum."""
        return f"{self._problem}="

    def reply(self, said: str) -> str | None:
        """Take the answer and end."""
        self.reward = float(last_number(said) == self._problem.value)
        return None


@dataclass(frozen=True)
class Arithmetic:
    """Sums of two numbers; 1 for the right answer, else 0."""

    largest: int = 9
    """The largest number in a sum."""
    operations: str = OPERATIONS
    """Signs that occur."""

    turns: ClassVar[int] = 1
    instructions: ClassVar[str] = "Compute. Answer with the number alone."
    alphabet: ClassVar[str] = "0123456789+-=()"

    def __post_init__(self) -> None:
        check_numbers(self.largest, self.operations)

    def begin(self, rng: random.Random, *, held_out: bool) -> Question:
        """Draw a sum."""
        return Question(
            drawn(
                lambda: random_sum(rng, self.largest, self.operations),
                held_out=held_out,
                side=lambda problem: problem.side,
            )
        )

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A sum, answered in haste and mostly wrong, or with care and mostly right."""
        problem = random_sum(rng, self.largest, self.operations)
        return [f"{problem}=", answered(rng, f"{problem}=", problem.value)]


def answered(rng: random.Random, question: str, value: int) -> str:
    """What a pupil answers to a question."""
    is_careful = rng.random() < CAREFUL
    is_right = rng.random() < (RIGHT_IF_CAREFUL if is_careful else RIGHT_IF_HASTY)
    answer = value if is_right else nearly(rng, value)
    return f"({question}{answer})" if is_careful else str(answer)


def check_numbers(largest: int, operations: str) -> None:
    """Refuse settings of which no problem can be made.

    Raises:
        ValueError: saying what is wrong.
    """
    if isinstance(largest, bool) or not isinstance(largest, int) or not 3 <= largest <= 10**9:
        raise ValueError(f"largest must be a whole number from 3 to 1,000,000,000, not {largest!r}")
    if not isinstance(operations, str) or not operations or set(operations) - set(OPERATIONS):
        raise ValueError(f"operations must be one or both of '+-', not {operations!r}")

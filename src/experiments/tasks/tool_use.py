"""Tool calling over several turns: products too large for the head, and a calculator."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from .arithmetic import last_number
from .calculator import CalculationError, calculate, written
from .task import drawn

CALLING, MISCALLING = 0.4, 0.2
"""How often a pupil calls the calculator with what was asked, or with a wrong digit; else it
guesses."""
REPEATING = 0.9
"""How often it repeats what the calculator says."""
MOST_CALLS = 10
LONGEST_CALL = 10_000
"""Characters between the tags of a call; a longer one cannot be understood."""
_CALL = re.compile(r"calc(?:ulator)?\((.*)\)", re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def called_with(said: str) -> str | None:
    """The expression that a turn gives to the calculator; None where it does not call it.

    ``calc(2*3)``, ``calculator(2*3)``, or the tags and JSON that chat models are trained on.
    """
    tagged = _TAGGED.search(said)
    if tagged is None:
        plain = _CALL.search(said)
        return None if plain is None else plain[1]
    if len(tagged[1]) > LONGEST_CALL:
        return ""
    try:
        arguments = json.loads(tagged[1])["arguments"]
        return str(arguments["expression"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""  # a call, though none that can be understood


def calculator_says(expression: str) -> str:
    """What the model hears from the calculator."""
    try:
        return f"={written(calculate(expression))};"
    except CalculationError:
        return "=error;"


class Calculation:
    """One problem; the calculator may be called some times before the answer."""

    def __init__(self, expression: str, calls: int) -> None:
        self._expression = expression
        self._calls_left = calls
        self.calls = 0
        """Calls so far."""
        self.reward = 0.0

    def __str__(self) -> str:
        return self._expression

    @property
    def opening(self) -> str:
        """The problem."""
        return f"{self._expression}?"

    def reply(self, said: str) -> str | None:
        """Answer a call, or take what is no call for the answer."""
        expression = called_with(said)
        if expression is not None and self._calls_left:
            self._calls_left -= 1
            self.calls += 1
            return calculator_says(expression)
        answer = None if expression is not None else last_number(said)
        self.reward = float(answer is not None and Fraction(answer) == calculate(self._expression))
        return None


@dataclass(frozen=True)
class MultiturnCalculator:
    """Products and sums of large numbers; 1 for the right answer at the end, else 0."""

    largest: int = 99
    """The largest number in a problem."""
    calls: int = 2
    """Calls of the calculator in one dialogue, at most."""

    instructions: ClassVar[str] = (
        "Compute. You may use a calculator: write calculator(EXPRESSION) and stop; you are told "
        "the result. At the end answer with the number alone."
    )
    alphabet: ClassVar[str] = "0123456789+-*/=()?;.calerox "

    def __post_init__(self) -> None:
        if type(self.largest) is not int or not 9 <= self.largest <= 10**9:
            raise ValueError("largest must be a whole number from 9 to 1,000,000,000")
        if type(self.calls) is not int or not 1 <= self.calls <= MOST_CALLS:
            raise ValueError(f"calls must be a whole number from 1 to {MOST_CALLS}")

    @property
    def turns(self) -> int:
        """The calls, and the answer."""
        return self.calls + 1

    def begin(self, rng: random.Random, *, held_out: bool) -> Calculation:
        """Draw a problem."""
        return drawn(lambda: Calculation(self._problem(rng), self.calls), held_out=held_out)

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A pupil that calls the calculator now and then, not always with care."""
        problem = self._problem(rng)
        kind = rng.random()
        if kind >= CALLING + MISCALLING:
            return [f"{problem}?", str(rng.randint(0, self.largest**2))]
        asked = problem if kind < CALLING else _with_a_slip(rng, problem)
        heard = calculator_says(asked)
        number = heard.strip("=;")
        said = number if rng.random() < REPEATING else str(rng.randint(0, self.largest**2))
        return [f"{problem}?", f"calc({asked})", heard, said]

    def _problem(self, rng: random.Random) -> str:
        left, right = rng.randint(0, self.largest), rng.randint(0, self.largest)
        return f"{left}{rng.choice('+*')}{right}"


def _with_a_slip(rng: random.Random, problem: str) -> str:
    """The problem with one digit drawn anew."""
    places = [place for place, letter in enumerate(problem) if letter.isdigit()]
    place = rng.choice(places)
    return problem[:place] + str(rng.randint(0, 9)) + problem[place + 1 :]

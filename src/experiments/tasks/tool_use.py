"""Tool calling over several turns: products too large for the head, and a calculator."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .calculator import CalculationError, calculate, written
from .numbers import last_number
from .task import CALLS, FAILED_CALLS, commuted, drawn

CALLING, MISCALLING = 0.4, 0.2
"""How often a pupil calls the calculator with what was asked, or with a wrong digit; else it
guesses."""
REPEATING = 0.9
"""How often it repeats what the calculator says."""
OPERATIONS = "+*"
MOST_CALLS = 10
LONGEST_CALL = 10_000
"""Characters between the tags of a call; a longer one cannot be understood."""
_CALL = re.compile(r"calc(?:ulator)?\(|<tool_call>")
_TAG_END = "</tool_call>"
_KEYWORD = re.compile(r"^\s*expression\s*=")
NAMES = ("calculator", "calc")
"""Of the tool; a call of another one is answered by an error."""
QUOTES = ('""', "''", "``", "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
"""Pairs that may stand around an expression."""
ERROR = "=error;"
"""What the model hears of a call that cannot be carried out."""
NOT_UNDERSTOOD = ""
"""The expression of a call that is none, that does not end, or that is of another tool."""


def called_with(said: str) -> str | None:
    """The expression that a turn gives to the calculator; None where it calls nothing.

    ``calc(2*3)``, ``calculator("2*3")``, or the tags and JSON that chat models are trained on. Of
    several calls the first counts; one of a tool that there is not has no expression.
    """
    call = _CALL.search(said)
    if call is None:
        return None
    rest = said[call.end() :]
    return _bracketed(rest) if call[0].endswith("(") else _tagged(rest)


def _bracketed(text: str) -> str:
    """What stands before the bracket that closes the call's own, without a keyword and quotes."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return _unquoted(_KEYWORD.sub("", text[:place]))
    return NOT_UNDERSTOOD


def _tagged(text: str) -> str:
    """The argument in a call's JSON."""
    inner, end, _ = text.partition(_TAG_END)
    if not end or len(inner) > LONGEST_CALL:
        return NOT_UNDERSTOOD
    try:
        call = json.loads(inner)
        call = call.get("function", call)
        arguments = call["arguments"]
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        expression = arguments["expression"]
        return _unquoted(str(expression)) if call["name"] in NAMES else NOT_UNDERSTOOD
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return NOT_UNDERSTOOD


def _unquoted(expression: str) -> str:
    """An expression without the quotes around it."""
    inner = expression.strip()
    is_quoted = len(inner) > 1 and inner[0] + inner[-1] in QUOTES
    return inner[1:-1] if is_quoted else expression


def calculator_says(expression: str) -> str:
    """What the model hears from the calculator."""
    try:
        return f"={written(calculate(expression))};"
    except CalculationError:
        return ERROR


class Calculation:
    """One problem; the calculator may be called some times before the answer."""

    def __init__(self, expression: str, calls: int) -> None:
        self._expression = expression
        self._calls_left = calls
        self.calls = 0
        """Calls so far that were answered."""
        self.failed_calls = 0
        """Those of them that were answered by an error."""
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
            return self._answered(expression)
        answer = None if expression is not None else last_number(said)
        self.reward = float(answer == calculate(self._expression))
        return None

    def _answered(self, expression: str) -> str:
        heard = calculator_says(expression)
        self.calls += 1
        self.failed_calls += heard == ERROR
        return heard

    def facts(self) -> Mapping[str, float]:
        """The calls, and those that failed."""
        return {CALLS: self.calls, FAILED_CALLS: self.failed_calls}


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
        problem = drawn(
            lambda: self._operands(rng), held_out=held_out, side=lambda each: commuted(*each)
        )
        return Calculation(_expression(*problem), self.calls)

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A pupil that calls the calculator now and then, not always with care."""
        problem = _expression(*self._operands(rng))
        kind = rng.random()
        if kind >= CALLING + MISCALLING:
            return [f"{problem}?", str(rng.randint(0, self.largest**2))]
        asked = problem if kind < CALLING else _with_a_slip(rng, problem)
        heard = calculator_says(asked)
        number = heard.strip("=;")
        said = number if rng.random() < REPEATING else str(rng.randint(0, self.largest**2))
        return [f"{problem}?", f"calc({asked})", heard, said]

    def _operands(self, rng: random.Random) -> tuple[int, str, int]:
        left, right = rng.randint(0, self.largest), rng.randint(0, self.largest)
        return left, rng.choice(OPERATIONS), right


def _expression(left: int, operation: str, right: int) -> str:
    return f"{left}{operation}{right}"


def _with_a_slip(rng: random.Random, problem: str) -> str:
    """The problem with one digit drawn anew."""
    places = [place for place, letter in enumerate(problem) if letter.isdigit()]
    place = rng.choice(places)
    return problem[:place] + str(rng.randint(0, 9)) + problem[place + 1 :]

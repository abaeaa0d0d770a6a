"""A calculator that can be given any text: it parses sums, products and brackets, and nothing else.

The numbers are exact fractions. No text is ever evaluated.
"""

from __future__ import annotations

import re
from fractions import Fraction

from .numbers import GROUPS

LONGEST = 200
"""Characters of an expression; what it comes to has no more digits than that."""
DEEPEST = 20
"""Brackets and signs inside each other."""
DECIMALS = 6
SIGNS = str.maketrans(
    "\N{MULTIPLICATION SIGN}\N{MIDDLE DOT}\N{DIVISION SIGN}\N{MINUS SIGN}\N{EN DASH}", "**/--"
)
"""Signs of typography, and what they stand for."""
_GROUPED = rf"[0-9]{{1,3}}(?P<group>[{GROUPS}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*(?![0-9])"
_TOKEN = re.compile(rf"\s*((?:{_GROUPED}|[0-9]+)(?:\.[0-9]+)?|[-+*/()])")
_SEPARATORS = str.maketrans("", "", GROUPS)


class CalculationError(ValueError):
    """An expression that the calculator cannot work out; says why."""


def calculate(expression: str) -> Fraction:
    """What an expression of numbers, ``+ - * / × · ÷ −`` and brackets comes to.

    Thousands may be separated, as in ``1,000``.

    Raises:
        CalculationError: for everything else.
    """
    if len(expression) > LONGEST:
        raise CalculationError(f"longer than {LONGEST} characters")
    reader = _Reader(_tokens(expression))
    value = reader.sum(0)
    if reader.next is not None:
        raise CalculationError(f"unexpected {reader.next!a}")
    return value


def written(value: Fraction) -> str:
    """A number as the calculator shows it: whole, or rounded to a few decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = round(value * 10**DECIMALS)
    sign, (whole, part) = "-" * (scaled < 0), divmod(abs(scaled), 10**DECIMALS)
    return f"{sign}{whole}.{part:0{DECIMALS}d}".rstrip("0").rstrip(".")


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    text = expression.translate(SIGNS).rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise CalculationError(f"unexpected {text[position:].strip()[:1]!a}")
        tokens.append(found[1].translate(_SEPARATORS))
        position = found.end()
    return tokens


class _Reader:
    """Reads tokens from left to right: a sum of products of signed numbers and brackets."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> str | None:
        """The token that is read next; None at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self) -> str | None:
        token = self.next
        self._position += 1
        return token

    def sum(self, depth: int) -> Fraction:
        """Read a sum."""
        value = self._product(depth)
        while self.next in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            value += sign * self._product(depth)
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while self.next in ("*", "/"):
            if self._take() == "*":
                value *= self._factor(depth)
                continue
            divisor = self._factor(depth)
            if divisor == 0:
                raise CalculationError("division by zero")
            value /= divisor
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > DEEPEST:
            raise CalculationError(f"more than {DEEPEST} brackets inside each other")
        match self._take():
            case "+":
                return self._factor(depth + 1)
            case "-":
                return -self._factor(depth + 1)
            case "(":
                value = self.sum(depth + 1)
                if self._take() != ")":
                    raise CalculationError("a bracket is not closed")
                return value
            case str(number) if number[0].isdigit():
                return Fraction(number)
        raise CalculationError("a number is missing")

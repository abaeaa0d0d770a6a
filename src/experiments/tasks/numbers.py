"""Reads numbers as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 100
"""Of a number in an answer; one with more is no answer."""
MINUS = "-\N{MINUS SIGN}\N{EN DASH}"
"""Signs that are read as a minus."""
OPERATORS = (
    f"+*/^xX{MINUS}\N{MULTIPLICATION SIGN}\N{DIVISION SIGN}\N{MIDDLE DOT}\N{DOT OPERATOR}"
    "\N{FRACTION SLASH}\N{DIVISION SLASH}\N{ASTERISK OPERATOR}"
)
"""Signs that make an expression of two numbers."""
_SPACES = " \t"
GROUPS = ",\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""What separates thousands. An ordinary space does not: it separates numbers."""
_NUMBER = re.compile(
    # a minus that follows a number, a letter or a bracket takes away
    rf"(?P<sign>(?<![^\W_])(?<!\))[{MINUS}])?"
    rf"(?P<whole>[0-9]{{1,3}}(?P<group>[{GROUPS}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*(?![0-9])"
    r"|[0-9]+|(?<![.\w])(?=\.[0-9]))"
    r"(?P<part>\.[0-9]+)?"
)
_EMPHASIS = re.compile(rf"(?<![\w)*])(\*{{1,3}})([{MINUS}]?[0-9.,]+)\1(?![\w(*])")
"""A number in the asterisks of Markdown, which multiply nothing."""
_JOINED_BEFORE = re.compile(
    r"[/^\N{FRACTION SLASH}]$|[0-9]\.$|[0-9.][eE][-+]?$|\\(?:times|cdot|div) ?$|\}\{$|[-+]\($"
)
"""What joins a number to something before it: ``1/8``, ``10^2``, ``1e3``, ``-(5)``."""
_JOINED_BEHIND = re.compile(
    rf"[ \t]*[/^=]|%|[eE][-+]?[0-9]|[{MINUS}](?![A-Za-z])|[+\N{{MULTIPLICATION SIGN}}"
    r"\N{DIVISION SIGN}\N{MIDDLE DOT}\N{FRACTION SLASH}]|\*+[\w(]"
)
"""Likewise what follows it; a number before an equals sign is asked, not answered."""


def last_number(said: str) -> Fraction | None:
    """The last number in a text, exactly: an answer may be a sentence.

    ``12,345``, ``391.0`` and a minus sign of typography are read as people mean them. None where
    the last number is part of a fraction, a power or any other expression: ``1/8`` and ``3+5`` are
    no answers, ``3+5=8`` is one.
    """
    text = _EMPHASIS.sub(r"\2", said)
    found = max(_NUMBER.finditer(text), key=re.Match.start, default=None)
    if found is None or len(found[0]) > MOST_DIGITS or _is_joined(text, found):
        return None
    whole = re.sub(f"[{GROUPS}]", "", found["whole"])
    value = Fraction(f"{whole or 0}{found['part'] or ''}")
    return -value if found["sign"] else value


def _is_joined(text: str, found: re.Match[str]) -> bool:
    """Whether a number is part of something that has another value."""
    following = text[found.end() : found.end() + 1]
    # a superscript, or a fraction in one sign
    if _JOINED_BEHIND.match(text, found.end()) or (following.isnumeric() and following > "9"):
        return True
    before = text[: found.start()]
    if _JOINED_BEFORE.search(before[-10:]):
        return True
    opened = before.rstrip(f"{_SPACES}(")
    left = opened.rstrip(OPERATORS)
    has_operator = left != opened or found["sign"] is not None
    left = left.rstrip(_SPACES)
    return has_operator and (left[-1:].isdigit() or left[-1:] == ")")

"""Reads numbers as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 100
"""Of a number in an answer; one with more is no answer."""
MINUS = "\N{MINUS SIGN}"
_GROUPS = ",\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""What separates thousands. An ordinary space does not: it separates numbers."""
_NUMBER = re.compile(
    # a minus that follows a number, a letter or a bracket takes away
    rf"(?P<sign>(?<![\w)])[-{MINUS}])?"
    rf"(?P<whole>[0-9]{{1,3}}(?P<group>[{_GROUPS}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*(?![0-9])"
    r"|[0-9]+|(?<![.\w])(?=\.[0-9]))"
    r"(?P<part>\.[0-9]+)?"
)


def last_number(said: str) -> Fraction | None:
    """The last number in a text, exactly: an answer may be a sentence.

    ``12,345``, ``391.0`` and a minus sign of typography are read as people mean them.
    """
    found = max(_NUMBER.finditer(said), key=re.Match.start, default=None)
    if found is None or len(found[0]) > MOST_DIGITS:
        return None
    whole = re.sub(f"[{_GROUPS}]", "", found["whole"])
    value = Fraction(f"{whole or 0}{found['part'] or ''}")
    return -value if found["sign"] else value

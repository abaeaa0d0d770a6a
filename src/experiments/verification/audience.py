"""Who is told how far it is, and may put an end to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nothing(*_: object) -> None:
    """For an audience that does not care."""


@dataclass(frozen=True)
class Audience:
    """What is called while the pairs train."""

    doing: Callable[[str], None] = _nothing
    """With what is done from now on."""
    tell: Callable[[str], None] = _nothing
    """With what happened."""
    look: Callable[[], None] = _nothing
    """Many times a second; whatever it raises ends everything, with nothing left behind."""

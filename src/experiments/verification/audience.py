"""Who is told how far it is, and may put an end to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .pair import ShortPair


def _nothing(*_: object) -> None:
    """For an audience that does not care."""


@dataclass(frozen=True)
class Audience:
    """What is called while the pairs train."""

    prepared: Callable[[ShortPair], None] = _nothing
    """With what is trained instead of the experiment; again where that was too short."""
    doing: Callable[[str], None] = _nothing
    """With what is done from now on."""
    tell: Callable[[str], None] = _nothing
    """With what happened."""
    started: Callable[[Sequence[str]], None] = _nothing
    """With each command line that is begun."""
    poll: Callable[[], None] = _nothing
    """Many times a second; whatever it raises ends everything, with nothing left behind."""

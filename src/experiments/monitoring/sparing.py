"""Costly measurements, repeated only as often as they may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Sparing(Generic[Value]):
    """Repeats a measurement only so often that it takes at most a share of one core.

    Args:
        measure: called in the thread that asks.
        share: of one core.
        at_most_every_seconds: a pause that is kept however cheap the measurement is.
        at_least_every_seconds: a pause that is not exceeded however costly it is.
        clock: seconds that pass.
        cost: seconds that the measurement takes; by default those that pass, so that one that
            waits for a slow disk is rare as well.
    """

    def __init__(
        self,
        measure: Callable[[], Value],
        *,
        share: float = 0.001,
        at_most_every_seconds: float = 0.0,
        at_least_every_seconds: float = float("inf"),
        clock: Callable[[], float] = time.perf_counter,
        cost: Callable[[], float] | None = None,
    ) -> None:
        self._measure = measure
        self._share = share
        self._shortest = at_most_every_seconds
        self._longest = at_least_every_seconds
        self._clock = clock
        self._cost = cost or clock
        self._next_time: float | None = None
        self._value: Value

    def value(self) -> Value:
        """The latest measurement, taken again when enough time has passed to afford it."""
        begun = self._clock()
        if self._next_time is None or begun >= self._next_time:
            before = self._cost()
            self._value = self._measure()
            affordable = (self._cost() - before) / self._share
            self._next_time = begun + min(self._longest, max(self._shortest, affordable))
        return self._value


class Allowance:
    """Time that many small measurements may take: a share of one core, some of it in advance."""

    def __init__(
        self,
        share: float,
        advance_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share = share
        self._most = self._left = advance_seconds
        self._clock = clock
        self._time = clock()

    def is_left(self) -> bool:
        """Whether another measurement may begin."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._time) * self._share)
        self._time = now
        return self._left > 0.0

    def spend(self, seconds: float) -> None:
        """Take note of what a measurement took, which may be more than was left."""
        self._left -= seconds

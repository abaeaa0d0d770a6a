"""Costly measurements, repeated only as often as they may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Sparing(Generic[Value]):
    """Repeats a measurement only so often that it takes at most a share of one core."""

    def __init__(
        self,
        measure: Callable[[], Value],
        *,
        share: float = 0.001,
        at_most_every_seconds: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._measure = measure
        self._share = share
        self._pause = at_most_every_seconds
        self._clock = clock
        self._next_time: float | None = None
        self._value: Value

    def value(self) -> Value:
        """The latest measurement, taken again when enough time has passed to afford it."""
        begun = self._clock()
        if self._next_time is None or begun >= self._next_time:
            self._value = self._measure()
            ended = self._clock()
            self._next_time = begun + max(self._pause, (ended - begun) / self._share)
        return self._value

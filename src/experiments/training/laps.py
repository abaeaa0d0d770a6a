"""How long the timesteps of a short training take, before its updates begin and after."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from .backend import Metrics, StopTraining

Lap = tuple[int, float]
"""A timestep, and the seconds of a clock when it was reached."""


class LapTimer:
    """An observer that notes when each boundary was reached, and may end training at one.

    Args:
        updates_begin: timesteps before any update.
        enough_seconds: training ends once it took so long and two laps with updates were timed.
        longest_seconds: training ends once it took so long.
    """

    def __init__(
        self,
        updates_begin: int,
        enough_seconds: float = math.inf,
        longest_seconds: float = math.inf,
    ) -> None:
        self.next_step = 1
        self._updates_begin = updates_begin
        self._enough_seconds = enough_seconds
        self._longest_seconds = longest_seconds
        self._laps: list[Lap] = []

    def lap(self, step: int) -> None:
        """Note that a step is reached."""
        self._laps.append((step, time.perf_counter()))

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        """Note the step, and stop where it is enough; the metrics are not wanted."""
        del collect
        self.lap(step)
        self.next_step = step + 1
        if self._is_enough():
            raise StopTraining

    def seconds_per_step(self, *, updating: bool) -> float:
        """Mean time of a timestep with updates, or without; of all where those are too few."""
        before = [lap for lap in self._laps if lap[0] <= self._updates_begin]
        laps = [*before[-1:], *self._laps[len(before) :]] if updating else before
        if len(laps) > 2:
            laps = laps[1:]  # the first lap is slower than those that follow
        if len(laps) < 2:
            laps = self._laps
        (start, began), (end, ended) = laps[0], laps[-1]
        return (ended - began) / max(end - start, 1)

    def _is_enough(self) -> bool:
        seconds = self._laps[-1][1] - self._laps[0][1]
        updated = sum(step > self._updates_begin for step, _ in self._laps)
        return seconds > self._longest_seconds or (seconds > self._enough_seconds and updated > 1)

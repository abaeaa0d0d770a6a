"""One number for each timestep, gathered record by record in little memory."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class StepValues:
    """Takes in values by step, which mostly rise; of two at one step the later one counts."""

    def __init__(self, most: int | None = None) -> None:
        """Nothing is there yet.

        Args:
            most: an even number; with more values than that every second one is left out, again
                and again. None keeps all.
        """
        self._most = most
        self._steps = array("d")
        self._values = array("d")
        self._stride = 1
        self._taken = 0
        self._last: tuple[float, float] | None = None

    def add(self, step: int, value: float) -> None:
        """Take in the next value."""
        self._last = float(step), value
        if self._taken % self._stride == 0:
            self._steps.append(float(step))
            self._values.append(value)
            if self._most is not None and len(self._steps) > self._most:
                self._steps, self._values = self._steps[::2], self._values[::2]
                self._stride *= 2
        self._taken += 1

    def arrays(self) -> tuple[Values, Values]:
        """Steps, rising, and the values there, shape ``(n,)`` each; the last one is among them."""
        steps, values = (np.array(each, float) for each in (self._steps, self._values))
        if self._last is not None and self._stride > 1:
            steps, values = np.append(steps, self._last[0]), np.append(values, self._last[1])
        # from the end on, so that the later one of two is the first that is found
        rising, places = np.unique(steps[::-1], return_index=True)
        return rising, values[::-1][places]

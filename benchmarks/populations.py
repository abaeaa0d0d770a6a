"""Scores of simulated runs, with mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Population = Callable[[np.random.Generator, tuple[int, int]], Values]


def normal(rng: np.random.Generator, size: tuple[int, int]) -> Values:
    return rng.standard_normal(size)


def log_normal(rng: np.random.Generator, size: tuple[int, int]) -> Values:
    """With σ = 1 of the logarithm, scaled to mean 0 and SD 1."""
    return (rng.lognormal(size=size) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def bimodal(rng: np.random.Generator, size: tuple[int, int]) -> Values:
    """Runs that either learn or do not: two narrow humps three SDs of theirs from the mean."""
    return (3.0 * rng.choice((-1.0, 1.0), size) + rng.standard_normal(size)) / np.sqrt(10.0)


POPULATIONS: dict[str, Population] = {
    "normal": normal,
    "log-normal": log_normal,
    "bimodal": bimodal,
}

"""Seeds: the list that both arms get, and streams that never touch training's own."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy, torch and Gymnasium all accept."""


class SeedStream(IntEnum):
    """Purposes with a stream of their own, derived from the run's seed."""

    EVALUATION = 1
    FINAL_EVALUATION = 2
    FLOOR = 3


def stream_seeds(seed: int, stream: SeedStream, count: int) -> list[int]:
    """`count` seeds for a purpose: equal for equal arguments, a longer list extends a shorter."""
    sequence = np.random.SeedSequence([seed, int(stream)])
    words = np.random.Generator(np.random.PCG64(sequence)).integers(0, 2**31, size=count)
    return [int(word) for word in words]


def seed_list(seeds: int | list[int] | None, first: int) -> list[int]:
    """The seeds of an experiment: a list, a count from `first` on, or `first` alone."""
    if seeds is None:
        return [first]
    if isinstance(seeds, int):
        return list(range(first, first + seeds))
    return list(seeds)

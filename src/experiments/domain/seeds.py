"""Seeds: the list that both arms get, and streams that never touch training's own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import count, islice

import numpy as np

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy, torch and Gymnasium all accept."""


class SeedStream(IntEnum):
    """Purposes with a stream of their own, derived from the run's seed."""

    EVALUATION = 1
    FINAL_EVALUATION = 2
    FLOOR = 3
    PROMPTS = 4


def stream_seeds(seed: int, stream: SeedStream, count: int) -> list[int]:
    """`count` seeds for a purpose: equal for equal arguments, a longer list extends a shorter."""
    sequence = np.random.SeedSequence([seed, int(stream)])
    words = np.random.Generator(np.random.PCG64(sequence)).integers(0, 2**31, size=count)
    return [int(word) for word in words]


def seed_list(
    seeds: int | Sequence[int] | None, first: int, planned: int | None = None
) -> list[int]:
    """The seeds of an experiment: a list, a count from `first` on, or `first` alone.

    Fewer than `planned` are extended by those that follow the largest; after `MAX_SEED` comes 0.
    """
    match seeds:
        case None:
            found = [first]
        case int():
            found = list(range(first, first + seeds))
        case _:
            found = list(seeds)
    known = set(found)
    following = (seed % (MAX_SEED + 1) for seed in count(max(found) + 1))
    more = max(0, (planned or 0) - len(found))
    return found + list(islice((seed for seed in following if seed not in known), more))

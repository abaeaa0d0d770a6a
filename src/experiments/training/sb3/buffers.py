"""The library's stored experience: what it weighs, and where its rows lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm


def experience_bytes(model: BaseAlgorithm) -> int:
    """Bytes of the rollout or replay buffer once it is full; 0 where nothing is stored.

    A rollout of several environments is put in one row before an update, an array at a time: the
    largest counts twice.
    """
    rollout: Any = getattr(model, "rollout_buffer", None)
    if rollout is not None:
        sizes = list(_array_sizes(rollout))
        return sum(sizes) + (max(sizes) if rollout.n_envs > 1 else 0)
    replay: Any = getattr(model, "replay_buffer", None)
    return 0 if replay is None else sum(_array_sizes(replay))


def ring_slices(first: int, end: int, size: int) -> Iterator[tuple[int, slice]]:
    """Rows `first` to `end`, ever counted, as slices of a ring buffer with their first row."""
    while first < end:
        position = first % size
        count = min(end - first, size - position)
        yield first, slice(position, position + count)
        first += count


def _array_sizes(buffer: Any) -> Iterator[int]:
    for value in vars(buffer).values():
        parts = value.values() if isinstance(value, dict) else [value]
        for part in parts:
            if isinstance(part, np.ndarray):
                yield part.nbytes

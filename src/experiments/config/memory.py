"""How much memory an algorithm's buffer takes, estimated from the spaces alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import psutil
from gymnasium import spaces

from .algorithms import Algorithm, Family


def bytes_per_step(algorithm: Algorithm, space: Any, action_space: Any, *, compact: bool) -> int:
    """Bytes that one stored step of one environment takes in the library's buffers.

    `compact`: the replay buffer keeps each observation once (`optimize_memory_usage`).
    """
    scalars = 12 if algorithm.family is Family.OFF_POLICY else 20
    copies = 2 if algorithm.family is Family.OFF_POLICY and not compact else 1
    return copies * _bytes(space) + 4 * _width(action_space) + scalars


def buffer_bytes(
    algorithm: Algorithm, spaces_: tuple[Any, Any], settings: dict[str, Any], n_envs: int
) -> int:
    """Bytes that the whole buffer of an algorithm takes once it is full."""
    observation, action = spaces_
    if algorithm.family is Family.EVOLUTION:
        return 0
    compact = bool(settings.get("optimize_memory_usage"))
    per_step = bytes_per_step(algorithm, observation, action, compact=compact)
    if algorithm.family is Family.OFF_POLICY:
        return int(settings["buffer_size"]) * per_step
    return int(settings["n_steps"]) * n_envs * per_step


def machine_bytes() -> int:
    """Memory of this machine, swap included: more cannot be reserved."""
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)


def in_words(size: float) -> str:
    """A size in bytes as a person reads it."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} PiB"


def _bytes(space: Any) -> int:
    if isinstance(space, spaces.Dict):
        return sum(_bytes(inner) for inner in space.spaces.values())
    itemsize = (space.dtype or np.dtype(np.float32)).itemsize
    return int(math.prod(space.shape or ()) * itemsize)


def _width(space: Any) -> int:
    return int(math.prod(space.shape or ())) or 1

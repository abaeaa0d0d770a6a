"""A replay buffer, told by the rows that are new since it was told of last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

from ....durability.segments import SegmentWriter, read_chunk
from ..buffers import ring_slices
from .plain import Plain, capture, restore


class KeptExperience:
    """Follows one model's replay buffer; a model without one has nothing to tell."""

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        self._chunks: list[dict[str, Any]] = []
        """The chunks that hold the buffer's rows: ``first`` and ``end`` row ever, and ``chunk``."""

    def capture(self, writer: SegmentWriter) -> Plain:
        """Write the rows that no chunk holds yet, and tell where all of them lie.

        Raises:
            StorageError: when the disk refuses.
        """
        buffer = self._buffer
        if buffer is None:
            return None
        written = self._model.num_timesteps // buffer.n_envs
        oldest = max(0, written - buffer.buffer_size)
        known = self._chunks[-1]["end"] if self._chunks else 0
        for first, rows in ring_slices(max(known, oldest), written, buffer.buffer_size):
            arrays = {name: array[rows] for name, array in _columns(buffer).items()}
            end = first + rows.stop - rows.start
            self._chunks.append({"first": first, "end": end, "chunk": writer.append(arrays)})
        self._chunks = [each for each in self._chunks if each["end"] > oldest]
        return {"written": written, "chunks": list(self._chunks), "beyond": _beyond(buffer)}

    def restore(self, state: Plain, directory: Path) -> None:
        """Fill the buffer from chunks; one that is smaller than before takes the newest rows.

        Raises:
            StorageError: when a chunk is damaged or gone.
        """
        buffer = self._buffer
        if buffer is None or state is None:
            return
        written, size = state["written"], buffer.buffer_size
        columns = _columns(buffer)
        for each in state["chunks"]:
            arrays = read_chunk(directory, each["chunk"])
            start = max(each["first"], written - size)
            for first, rows in ring_slices(start, each["end"], size):
                begin = first - each["first"]
                for name, array in arrays.items():
                    columns[name][rows] = array[begin : begin + rows.stop - rows.start]
        buffer.pos, buffer.full = written % size, written >= size
        if state["beyond"] is not None:
            buffer.observations[buffer.pos] = restore(None, state["beyond"])
        self._chunks = list(state["chunks"])

    @property
    def _buffer(self) -> ReplayBuffer | None:
        return getattr(self._model, "replay_buffer", None)


def _columns(buffer: ReplayBuffer) -> dict[str, np.ndarray]:
    """The arrays that have a row for each step, by name; one a key for dictionary observations."""
    columns = {}
    for name, value in vars(buffer).items():
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for key, part in parts:
            if isinstance(part, np.ndarray) and part.shape[:1] == (buffer.buffer_size,):
                columns[name if key is None else f"{name}/{key}"] = part
    return columns


def _beyond(buffer: ReplayBuffer) -> Plain:
    """The newest observation, where it lies in the row that is written next."""
    if not getattr(buffer, "optimize_memory_usage", False):
        return None
    return capture(buffer.observations[buffer.pos].copy())

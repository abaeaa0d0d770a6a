"""Several process trees, read at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from .gpu import GpuDevice, gpu_devices
from .processes import ProcessReading, children_by_parent, read_process
from .proportional import ProportionalMemory
from .sparing import Sparing

GPU_POLL_SECONDS = 5.0
"""The devices are read once in so many seconds at least, so that limits hold."""


@dataclass(frozen=True)
class Reading:
    """What was seen at one moment."""

    time: float
    """Seconds since the epoch."""
    moment: float
    """Seconds of a clock that nobody sets."""
    trees: Mapping[int, Sequence[ProcessReading]]
    """The processes of each tree by its root, the root first; none where the root has ended."""
    pss_bytes: Mapping[int, int | None]
    """Proportional memory by pid; None where it is not known."""
    devices: Sequence[GpuDevice]


class ProcessWatch:
    """Reads process trees again and again; a process that is in two trees is read once."""

    def __init__(self) -> None:
        self._children = Sparing(children_by_parent, share=0.0005)
        self._memory = ProportionalMemory()
        self._devices = Sparing(
            gpu_devices, at_least_every_seconds=GPU_POLL_SECONDS, cost=time.thread_time
        )

    def read(self, roots: Collection[int]) -> Reading:
        """Read the processes with these ids and all their descendants."""
        children = self._children.value()
        devices = self._devices.value()
        read = cache(read_process)
        now, moment = time.time(), time.monotonic()
        trees = {root: _tree(root, children, read) for root in roots}
        readings = {each.pid: each for tree in trees.values() for each in tree}
        return Reading(now, moment, trees, self._memory.read(readings.values()), devices)


def _tree(
    root: int,
    children: Mapping[int, Sequence[int]],
    read: Callable[[int], ProcessReading | None],
) -> list[ProcessReading]:
    first = read(root)
    members = [] if first is None else [first]
    for member in members:  # grows while it is walked
        for pid in children.get(member.pid, ()):
            child = read(pid)
            if child is not None and child.parent == member.pid:  # not a stranger with an old pid
                members.append(child)
    return members

"""What the machine and a run's processes use of it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..domain.records import ResourceSample
from ..domain.units import MIB
from .gpu import open_gpu, usage_of
from .processes import ProcessReading
from .readings import ProcessWatch, Reading

SHORTEST_CPU_WINDOW_SECONDS = 0.1


@dataclass
class ResourceUsage:
    """What is in use on the whole machine, all programs together.

    What one run uses is a `ResourceSample`; its percentages count cores, these count the machine.
    """

    cpu_percent: float = 0.0
    """Share of all cores, 0 to 100, since the previous question."""
    memory_percent: float = 0.0
    memory_mb: float = 0.0
    """Memory in use, in MiB."""
    disk_usage_mb: float = 0.0
    """In use on the file system of the working directory, in MiB."""
    gpu_usage: float | None = None
    """Utilisation of the busiest GPU in percent; None without a GPU."""

    @classmethod
    def current(cls) -> ResourceUsage:
        """The machine at this moment; never waits."""
        import psutil

        memory = psutil.virtual_memory()
        gpu = open_gpu()
        return cls(
            cpu_percent=_machine_cpu.percent(),
            memory_percent=memory.percent,
            memory_mb=memory.used / MIB,
            disk_usage_mb=shutil.disk_usage(Path.cwd()).used / MIB,
            gpu_usage=gpu.busiest_percent() if gpu else None,
        )


class MachineCpu:
    """The machine's CPU use between two questions, for any number of threads that ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._time = 0.0
        self._busy_and_total: tuple[float, float] | None = None
        self._percent = 0.0

    def percent(self) -> float:
        """Share of all cores since the previous question, 0 to 100.

        The first answer is the one-minute load per core, because there is nothing to compare with;
        a question too soon after another one gets the same answer.
        """
        with self._guard:
            now = self._clock()
            before = self._busy_and_total
            if before is None:
                self._percent = min(100.0, 100.0 * os.getloadavg()[0] / (os.cpu_count() or 1))
            elif now - self._time < SHORTEST_CPU_WINDOW_SECONDS:
                return self._percent
            self._time, self._busy_and_total = now, _busy_and_total_seconds()
            if before is not None:
                busy, total = (b - a for a, b in zip(before, self._busy_and_total, strict=True))
                self._percent = min(100.0, max(0.0, 100.0 * busy / total)) if total > 0 else 0.0
            return self._percent


_machine_cpu = MachineCpu()


def _busy_and_total_seconds() -> tuple[float, float]:
    import psutil

    times = psutil.cpu_times()._asdict()
    # Linux counts guests' time in user and nice as well
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total - times["idle"] - times.get("iowait", 0.0), total


class TreeMeter:
    """What one process tree uses, from readings of it; CPU use is what was used between two."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._moment: float | None = None
        self._cpu_seconds: dict[tuple[int, float], float] = {}

    def sample(self, reading: Reading) -> ResourceSample | None:
        """What a reading tells about the tree; None when its root process has ended.

        The first sample tells the mean CPU use since the root process started.
        """
        readings = reading.trees[self._root]
        if not readings:
            return None
        pss = [reading.pss_bytes[each.pid] for each in readings]
        known = [size for size in pss if size is not None]
        pss_mb = sum(known) / MIB if len(known) == len(pss) else None
        resident_mb = sum(each.memory_bytes for each in readings) / MIB
        gpu_percent, gpu_memory_mb = usage_of(reading.devices, {each.pid for each in readings})
        return ResourceSample(
            time=reading.time,
            cpu_percent=self._cpu_percent(readings, reading.moment),
            memory_mb=max(resident_mb, pss_mb or 0.0),  # the kernel counts residents less exactly
            pss_mb=pss_mb,
            gpu_percent=gpu_percent,
            gpu_memory_mb=gpu_memory_mb,
        )

    def _cpu_percent(self, readings: Sequence[ProcessReading], now: float) -> float:
        elapsed = readings[0].age_seconds if self._moment is None else now - self._moment
        used = sum(self._used(reading, elapsed) for reading in readings)
        self._moment = now
        self._cpu_seconds = {reading.identity: reading.cpu_seconds for reading in readings}
        return 100.0 * used / elapsed if elapsed > 0 else 0.0

    def _used(self, reading: ProcessReading, elapsed: float) -> float:
        before = self._cpu_seconds.get(reading.identity)
        if before is not None:
            return max(0.0, reading.cpu_seconds - before)
        # a process that is noticed late has not used all of it just now
        return reading.cpu_seconds * min(1.0, elapsed / max(reading.age_seconds, 1e-3))


class MachineMeter:
    """Measures one process tree by itself, also on a machine that nobody else watches."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._watch = ProcessWatch()
        self._meter = TreeMeter(root)

    def sample(self) -> ResourceSample | None:
        """The tree at this moment; None when its root process has ended."""
        return self._meter.sample(self._watch.read([self._root]))

"""What the machine and a run's processes use of it."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.records import ResourceSample
from .gpu import GpuDevice, busiest_percent, open_gpu, usage_of
from .sparing import Sparing

if TYPE_CHECKING:
    import psutil

MIB = 2**20
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
        """One look at the machine; never waits."""
        import psutil

        memory = psutil.virtual_memory()
        gpu = open_gpu()
        return cls(
            cpu_percent=_machine_cpu.percent(),
            memory_percent=memory.percent,
            memory_mb=memory.used / MIB,
            disk_usage_mb=shutil.disk_usage(Path.cwd()).used / MIB,
            gpu_usage=busiest_percent(gpu.devices()) if gpu else None,
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


class ProcessTable:
    """Who is whose child on this machine, from one look for all trees, seldom repeated."""

    def __init__(self) -> None:
        self._children = Sparing(_children_by_parent)

    def tree(self, root: int) -> list[psutil.Process]:
        """The process with this id, if it lives, and all its descendants."""
        import psutil

        try:
            members = [psutil.Process(root)]
        except psutil.Error:
            return []
        children = self._children.value()
        for member in members:  # grows while it is walked
            members.extend(children.get(member.pid, ()))
        return members


def _children_by_parent() -> dict[int, list[psutil.Process]]:
    import psutil

    children = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        if process.info["ppid"] is not None and process.info["ppid"] != process.pid:
            children[process.info["ppid"]].append(process)
    return dict(children)


class TreeMeter:
    """Measures one process tree again and again; CPU use is what was used between two looks."""

    def __init__(self, root: int, table: ProcessTable | None = None) -> None:
        self._root = root
        self._table = table or ProcessTable()
        self._time: float | None = None
        self._cpu_seconds: dict[tuple[int, float], float] = {}

    def sample(self, devices: Sequence[GpuDevice] = ()) -> ResourceSample | None:
        """One look at the tree; None when its root process has ended.

        The first look tells the mean CPU use since the root process started.
        """
        members = self._table.tree(self._root)
        now = time.time()
        readings = [reading for member in members if (reading := _read(member)) is not None]
        if not readings or readings[0].pid != self._root:
            return None
        cpu_percent = self._cpu_percent(readings, now)
        gpu_percent, gpu_memory_mb = usage_of(devices, {reading.pid for reading in readings})
        return ResourceSample(
            time=now,
            cpu_percent=cpu_percent,
            memory_mb=sum(reading.memory_bytes for reading in readings) / MIB,
            gpu_percent=gpu_percent,
            gpu_memory_mb=gpu_memory_mb,
        )

    def _cpu_percent(self, readings: Sequence[_Reading], now: float) -> float:
        seconds = {(reading.pid, reading.started): reading.cpu_seconds for reading in readings}
        used = sum(
            max(0.0, total - self._cpu_seconds.get(process, 0.0))
            for process, total in seconds.items()
        )
        elapsed = now - (readings[0].started if self._time is None else self._time)
        self._time, self._cpu_seconds = now, seconds
        return 100.0 * used / elapsed if elapsed > 0 else 0.0


@dataclass(frozen=True)
class _Reading:
    pid: int
    started: float
    cpu_seconds: float
    memory_bytes: int


def _read(process: psutil.Process) -> _Reading | None:
    import psutil

    try:
        with process.oneshot():
            memory = process.memory_info().rss
            if not memory:
                return None  # a zombie: it has ended, its parent has not noticed yet
            cpu = process.cpu_times()
            return _Reading(process.pid, process.create_time(), cpu.user + cpu.system, memory)
    except psutil.Error:
        return None  # it ended meanwhile, or belongs to somebody else


def sample_tree(pid: int) -> ResourceSample | None:
    """One look at a process tree, CPU use as its mean since the start; None when it has ended."""
    gpu = open_gpu()
    return TreeMeter(pid).sample(gpu.devices() if gpu else ())


def sample_fields(sample: ResourceSample) -> dict[str, Any]:
    """The sample as fields of a ``resources`` event, which has a time of its own."""
    return {name: value for name, value in asdict(sample).items() if name != "time"}


def directory_size_mb(root: Path) -> float:
    """Size of the regular files below a directory, in MiB; links are not followed."""
    return _directory_bytes(root) / MIB


def _directory_bytes(directory: Path | str) -> int:
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                total += _entry_bytes(entry)
    except OSError:
        pass  # removed or renamed while it was read
    return total


def _entry_bytes(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return _directory_bytes(entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return 0  # a temporary file that has just got its final name
    return status.st_size if stat.S_ISREG(status.st_mode) else 0

"""A process at one moment, and who is whose child."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ..domain.units import KIB

HAS_PROC = Path("/proc/self/stat").is_file()
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 4096
_ROLLUP_BYTES = 65_536


@dataclass(frozen=True)
class ProcessReading:
    """What one process has used so far."""

    pid: int
    parent: int
    started: float
    """With the pid it names one process for good; comparable with other readings only."""
    age_seconds: float
    cpu_seconds: float
    memory_bytes: int
    """Resident."""

    @property
    def identity(self) -> tuple[int, float]:
        """What no other process has, also when the pid is used again."""
        return self.pid, self.started


def read_process(pid: int) -> ProcessReading | None:
    """A process at this moment; None when it has ended or belongs to somebody who hides it."""
    return _from_proc(pid) if HAS_PROC else _from_psutil(pid)


def read_pss_bytes(pid: int) -> int | None:
    """Proportional memory of a process, its page tables walked; None where that is not told."""
    if not HAS_PROC:
        return None
    text = _read(f"/proc/{pid}/smaps_rollup", _ROLLUP_BYTES)
    _, found, rest = text.partition(b"\nPss:")
    return int(rest.split(None, 1)[0]) * KIB if found else None


def children_by_parent() -> dict[int, list[int]]:
    """The children of every process on this machine."""
    children = defaultdict(list)
    for pid, parent in (_parents_from_proc() if HAS_PROC else _parents_from_psutil()).items():
        children[parent].append(pid)
    return dict(children)


def _from_proc(pid: int) -> ProcessReading | None:
    """By hand, because with many runs psutil's way takes three times as long."""
    fields = _stat_fields(pid)
    if not fields or fields[0] in {b"Z", b"X"}:
        return None  # it has ended, even where its parent has not noticed yet
    started = int(fields[19]) / _TICKS_PER_SECOND
    return ProcessReading(
        pid=pid,
        parent=int(fields[1]),
        started=started,
        age_seconds=time.clock_gettime(time.CLOCK_BOOTTIME) - started,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND,
        memory_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def _parents_from_proc() -> dict[int, int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - quick
    return {pid: int(fields[1]) for pid in pids if (fields := _stat_fields(pid))}


def _stat_fields(pid: int) -> list[bytes]:
    """What follows the name in ``/proc/PID/stat``: the state, the parent, …; empty if it ended."""
    _, _, rest = _read(f"/proc/{pid}/stat", _STAT_BYTES).rpartition(b")")
    return rest.split()


def _read(path: str, most: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, most)
    except OSError:
        return b""  # it ended after its file was opened
    finally:
        os.close(file)


def _from_psutil(pid: int) -> ProcessReading | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            memory = process.memory_info().rss
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            cpu = process.cpu_times()
            started = process.create_time()
            return ProcessReading(
                pid=pid,
                parent=process.ppid(),
                started=started,
                age_seconds=time.time() - started,
                cpu_seconds=cpu.user + cpu.system,
                memory_bytes=memory,
            )
    except psutil.Error:
        return None


def _parents_from_psutil() -> dict[int, int]:
    import psutil

    return {
        process.pid: process.info["ppid"]
        for process in psutil.process_iter(["ppid"])
        if process.info["ppid"] is not None
    }

"""How much memory this process takes, and how much of it is its own."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..domain.units import KIB, MIB

CUDA_CONTEXT_MB = 512.0
"""What CUDA itself takes for a process, where the driver does not tell."""

_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class TreeMemory:
    """What this process and those that it started take together."""

    peak: int
    """Bytes; what they share is counted once."""
    shared: int
    """Bytes of it that processes of other runs share too."""


def reset_peak_memory() -> None:
    """Let `peak_memory` look back to this moment only (Linux; elsewhere nothing)."""
    with suppress(OSError):
        _RESET.write_text("5")


def peak_memory() -> int:
    """Bytes of the most resident memory since the reset; where that is not kept, now."""
    return _peak(psutil.Process())


def _peak(process: psutil.Process) -> int:
    now: int = process.memory_info().rss
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return now
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return max(now, int(found[1]) * KIB) if found else now


def tree_memory() -> TreeMemory:
    """The peaks of this process and of those that it started; their libraries are counted once."""
    process = psutil.Process()
    own, shared = 0, [0]
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            shared.append(_shared(each))
            own += max(_peak(each) - shared[-1], 0)
    return TreeMemory(own + max(shared), max(shared))


def resident_memory() -> int:
    """Bytes of resident memory (RSS)."""
    return psutil.Process().memory_info().rss


def shared_memory() -> int:
    """Bytes of resident memory that other processes use too: the libraries, and what was forked."""
    return _shared(psutil.Process())


def _shared(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return max(memory.rss - memory.uss, 0)


def gpu_memory_mb(device: str) -> float | None:
    """Most memory on the GPU so far, CUDA's own included, in MiB; None on the processor."""
    if not device.startswith("cuda"):
        return None
    import torch

    reserved = torch.cuda.memory_reserved(device) / MIB
    taken = _taken_on_gpus_mb()
    context = CUDA_CONTEXT_MB if taken is None else max(taken - reserved, 0.0)
    return torch.cuda.max_memory_reserved(device) / MIB + context


def _taken_on_gpus_mb() -> float | None:
    """What the driver says that this process takes just now; None where it does not tell."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        processes = [
            process
            for handle in handles
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]
    except pynvml.NVMLError:
        return None
    own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    return sum(own) / MIB if own and None not in own else None

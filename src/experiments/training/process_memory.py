"""How much memory this process takes, and how much of it is its own."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

from ..domain.units import KIB, MIB

CUDA_CONTEXT_MB = 512.0
"""What CUDA itself takes for a process, where the driver does not tell."""

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def reset_peak_memory() -> None:
    """Let `peak_memory` look back to this moment only (Linux; elsewhere nothing)."""
    with suppress(OSError):
        _RESET.write_text("5")


def peak_memory() -> int:
    """Bytes of the most resident memory since the reset; where that is not kept, now."""
    now = resident_memory()
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        return now
    return max(now, int(found[1]) * KIB) if found else now


def resident_memory() -> int:
    """Bytes of resident memory (RSS)."""
    return psutil.Process().memory_info().rss


def shared_memory() -> int:
    """Bytes of resident memory that other processes use too: the libraries, and what was forked."""
    memory = psutil.Process().memory_full_info()
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

"""How many runs fit on the machine at once, from what one of them is estimated to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.records import RunEstimate


@dataclass(frozen=True)
class Room:
    """What the runs may use together; None where nothing bounds them."""

    memory_mb: float | None = None
    memory_of: str = "of memory are free"
    """What the bound on memory is, in words that follow the figure."""
    gpu_memory_mb: float | None = None
    """On all GPUs together."""
    gpus_free_mb: tuple[float, ...] = ()
    """What is free on each GPU, of which a run takes one; empty where nothing is known."""
    cpu_percent: float | None = None
    """Share of the cores, 0 to 100."""
    cores: float = 1
    processes: int = 1
    """That train one run, at most; several are let in only as far as each has its cores."""


@dataclass(frozen=True)
class Admission:
    """So many runs are carried out at once, and why."""

    slots: int
    line: str
    """The same for a person, in one line."""


def admit(estimates: Sequence[RunEstimate], wanted: int, room: Room, threads: int) -> Admission:
    """The number of slots: what is wanted, or what fits; at least 1.

    Each slot is reckoned with the most demanding run, because any of them may come to stand
    beside it.

    Args:
        estimates: of one run of each arm; none where nothing is known.
        wanted: runs at the same time that were asked for.
        room: what they may use.
        threads: of the numeric libraries, per process.
    """
    bounds = _bounds(estimates, room, threads)
    slots, reason = min(((wanted, ""), *bounds), key=lambda bound: bound[0])
    slots = max(1, slots)
    asked = "" if slots == wanted else f" instead of {wanted}"
    at_once = "1 run at a time" if slots == 1 else f"{slots} runs at a time"
    parts = [part for part in (_each(estimates), reason if slots < wanted else "") if part]
    details = f": {', '.join(parts)}" if parts else ""
    return Admission(slots, f"{at_once}{asked}{details}")


def _bounds(estimates: Sequence[RunEstimate], room: Room, threads: int) -> list[tuple[int, str]]:
    """For each thing that is bounded: how many runs fit, and the reason in words."""
    bounds = []
    if room.memory_mb is not None and estimates:
        shared = max(estimate.shared_mb for estimate in estimates)
        own = max(estimate.memory_mb - estimate.shared_mb for estimate in estimates)
        fit = math.floor((room.memory_mb - shared) / max(own, 1.0))
        bounds.append((fit, f"{room.memory_mb:,.0f} MiB {room.memory_of}"))
    on_gpu = [each.gpu_memory_mb for each in estimates if each.gpu_memory_mb]
    if room.gpu_memory_mb is not None and on_gpu:
        fit = math.floor(room.gpu_memory_mb / max(on_gpu))
        bounds.append((fit, f"{room.gpu_memory_mb:,.0f} MiB are allowed by gpu_memory_mb"))
    if room.gpus_free_mb and on_gpu:
        fit = sum(math.floor(free / max(on_gpu)) for free in room.gpus_free_mb)
        free = " and ".join(f"{size:,.0f}" for size in room.gpus_free_mb)
        bounds.append((fit, f"{free} MiB are free on the GPU{'s' * (len(room.gpus_free_mb) > 1)}"))
    return [*bounds, *_processor_bounds(room, threads)]


def _processor_bounds(room: Room, threads: int) -> list[tuple[int, str]]:
    bounds = []
    busy = threads * room.processes
    cores = f"{room.cores:g} core{'s' * (room.cores != 1)}"
    if room.cpu_percent is not None:
        fit = math.floor(room.cpu_percent / 100.0 * room.cores / busy)
        bounds.append((fit, f"cpu_percent is {room.cpu_percent:g} of {cores}"))
    if room.processes > 1:  # they wait for each other at every step
        words = f"{room.processes} processes train each, on {cores}"
        bounds.append((math.floor(room.cores / busy), words))
    return bounds


def _each(estimates: Sequence[RunEstimate]) -> str:
    """What one run takes, in words."""
    if not estimates:
        return ""
    memory = max(estimate.memory_mb for estimate in estimates)
    speeds = sorted(round(estimate.steps_per_second) for estimate in estimates)
    slow, fast = speeds[0], speeds[-1]
    speed = f"{slow:,}" if fast < 1.2 * max(slow, 1) else f"{slow:,} to {fast:,}"
    gpu = max((estimate.gpu_memory_mb or 0.0 for estimate in estimates), default=0.0)
    on_gpu = f", {gpu:,.0f} MiB on the GPU" if gpu else ""
    return f"each takes about {memory:,.0f} MiB{on_gpu} and makes about {speed} steps/s"

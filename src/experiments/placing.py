"""Where runs are put: what each needs, which GPU it sees, how much room there is for all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .domain.records import RunEstimate
from .execution import Needs
from .execution.admission import Room
from .experiment import Experiment
from .monitoring import (
    GpuPlacement,
    Limits,
    available_memory_mb,
    gpu_devices,
    visible_devices,
)
from .monitoring.placement import VISIBLE_DEVICES

SPARE_SHARE = 0.1
"""Of the memory that is free, what estimates are not given, because they are estimates."""


@dataclass(frozen=True)
class Placing:
    """How the runs of an experiment are put on the machine, or machines."""

    needs: Mapping[str, Needs]
    """By arm."""
    gpus: GpuPlacement | None = None
    """Chooses among this machine's GPUs; None where there is none, or somebody else chooses."""


def gpus_for(experiment: Experiment, executor: str) -> GpuPlacement | None:
    """What spreads the runs over this machine's GPUs; None where there is none to choose from.

    Raises:
        UsageError: when an arm's device is not here.
    """
    if executor != "process" or not gpu_devices():
        return None
    gpus = GpuPlacement(gpu_devices, _visible())
    for config in experiment.config.arms.values():
        gpus.check(config.device)
    return gpus


def needs_of(
    experiment: Experiment, estimates: Sequence[RunEstimate], executor: str
) -> dict[str, Needs]:
    """What a run of each arm needs."""
    by_arm = {estimate.run.arm: estimate for estimate in estimates}
    return {
        arm: _needs(
            by_arm.get(arm),
            threads=experiment.config.torch_threads,
            gpus=float(executor == "ray" and config.device.startswith("cuda")),
        )
        for arm, config in experiment.config.arms.items()
    }


def room_for(limits: Limits, *, is_here: bool) -> Room:
    """What the runs may use: their limits, and on this machine what is free of it."""
    bounds = [(limits.memory_mb, "are allowed by memory_mb")]
    if is_here:
        bounds.append((available_memory_mb() * (1 - SPARE_SHARE), "of memory are free"))
    memory = min(((size, words) for size, words in bounds if size is not None), default=None)
    return Room(
        memory_mb=memory[0] if memory else None,
        memory_of=memory[1] if memory else "",
        gpu_memory_mb=_gpu_room(limits, is_here=is_here),
        cpu_percent=limits.cpu_percent,
        cores=os.cpu_count() or 1,
    )


def _needs(estimate: RunEstimate | None, *, threads: int, gpus: float) -> Needs:
    return Needs(
        cpus=float(threads),
        gpus=gpus,
        memory_mb=estimate.memory_mb if estimate else None,
        gpu_memory_mb=estimate.gpu_memory_mb if estimate else None,
    )


def _gpu_room(limits: Limits, *, is_here: bool) -> float | None:
    if limits.gpu_memory_mb is not None:
        return limits.gpu_memory_mb
    devices = visible_devices(gpu_devices(), _visible()) if is_here else []
    free = [device.memory_free_mb for device in devices]
    known = [size for size in free if size is not None]
    return sum(known) * (1 - SPARE_SHARE) if known else None


def _visible() -> str | None:
    return os.environ.get(VISIBLE_DEVICES)

"""Where runs are put: what each needs, which GPU it sees, how much room there is for all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..config import processes_of
from ..domain.cores import usable_cores
from ..domain.records import RunEstimate, RunKey
from ..execution import ExecutorKind, Needs
from ..execution.admission import Room
from ..experiment import Experiment
from ..monitoring import (
    VISIBLE_DEVICES,
    GpuPlacement,
    Limits,
    available_memory_mb,
    gpu_devices,
    visible_devices,
)

SPARE_SHARE = 0.1
"""Of the memory that is free, what estimates are not given, because they are estimates."""


@dataclass(frozen=True)
class Placing:
    """How the runs of an experiment are put on the machine, or machines."""

    needs: Mapping[str, Needs]
    """By arm."""
    gpus: GpuPlacement | None = None
    """Chooses among this machine's GPUs; None where there is none, or somebody else chooses."""

    def gpu_of(self, run: RunKey) -> int | None:
        """The number of the GPU that a run was given; None where none was."""
        return None if self.gpus is None else self.gpus.device_of(run)

    def release(self, run: RunKey) -> None:
        """Take back what a run was given."""
        if self.gpus is not None:
            self.gpus.release(run)


def gpus_for(experiment: Experiment, executor: ExecutorKind) -> GpuPlacement | None:
    """What spreads the runs over this machine's GPUs; None where there is none to choose from.

    Raises:
        UsageError: when an arm's device is not here.
    """
    if not (executor.has_processes and executor.is_here and gpu_devices()):
        return None
    gpus = GpuPlacement(gpu_devices, _visible())
    for config in experiment.config.arms.values():
        gpus.check(config.device)
    return gpus


def needs_of(
    experiment: Experiment, estimates: Sequence[RunEstimate], executor: ExecutorKind
) -> dict[str, Needs]:
    """What a run of each arm needs."""
    by_arm = {estimate.run.arm: estimate for estimate in estimates}
    return {
        arm: _needs(
            by_arm.get(arm),
            threads=experiment.config.torch_threads * processes_of(config),
            gpus=float(not executor.is_here and config.device.startswith("cuda")),
        )
        for arm, config in experiment.config.arms.items()
    }


def room_for(experiment: Experiment, limits: Limits, executor: ExecutorKind) -> Room:
    """What the runs may use: their limits, and on this machine what is free of it."""
    bounds = [(limits.memory_mb, "are allowed by memory_mb")]
    if executor.is_here:
        bounds.append((available_memory_mb() * (1 - SPARE_SHARE), "of memory are free"))
    memory = min(((size, words) for size, words in bounds if size is not None), default=None)
    return Room(
        memory_mb=memory[0] if memory else None,
        memory_of=memory[1] if memory else "",
        gpu_memory_mb=limits.gpu_memory_mb,
        gpus_free_mb=_free_on_gpus(experiment) if executor.is_here else (),
        cpu_percent=limits.cpu_percent,
        cores=usable_cores(),
        processes=max(map(processes_of, experiment.config.arms.values()))
        if executor.is_here
        else 1,
    )


def _needs(estimate: RunEstimate | None, *, threads: int, gpus: float) -> Needs:
    return Needs(
        cpus=float(threads),
        gpus=gpus,
        memory_mb=estimate.memory_mb if estimate else None,
        gpu_memory_mb=estimate.gpu_memory_mb if estimate else None,
    )


def _free_on_gpus(experiment: Experiment) -> tuple[float, ...]:
    """MiB that are free on each GPU that a run may get; empty where one does not tell."""
    devices = visible_devices(gpu_devices(), _visible())
    names = {config.device for config in experiment.config.arms.values()}
    if all(name.startswith("cuda:") for name in names):
        devices = [each for number, each in enumerate(devices) if f"cuda:{number}" in names]
    free = [device.memory_free_mb for device in devices]
    return tuple(size * (1 - SPARE_SHARE) for size in free if size is not None)


def _visible() -> str | None:
    return os.environ.get(VISIBLE_DEVICES)

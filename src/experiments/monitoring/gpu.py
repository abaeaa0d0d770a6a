"""NVIDIA devices by NVML; a machine without them answers None, never zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

MIB = 2**20


@dataclass(frozen=True)
class GpuDevice:
    """One look at one device."""

    index: int
    name: str
    utilization_percent: float | None
    """Share of the last moments in which the device computed, for whomever."""
    memory_used_mb: float | None
    memory_total_mb: float | None
    memory_mb_by_pid: Mapping[int, float | None] = field(default_factory=dict)
    """Memory of each process that computes on the device; None where the driver does not tell."""


class GpuReader:
    """Reads the devices through NVML (the `pynvml` module, or an object with its functions)."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml

    def devices(self) -> tuple[GpuDevice, ...]:
        """One look at every device; what a device does not support is None."""
        count = self._ask(self._nvml.nvmlDeviceGetCount)
        return tuple(
            device for index in range(count or 0) if (device := self._device(index)) is not None
        )

    def _device(self, index: int) -> GpuDevice | None:
        nvml = self._nvml
        handle = self._ask(nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is None:
            return None
        name = self._ask(nvml.nvmlDeviceGetName, handle) or "unknown"
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        processes = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        return GpuDevice(
            index=index,
            name=name.decode() if isinstance(name, bytes) else name,
            utilization_percent=None if rates is None else float(rates.gpu),
            memory_used_mb=None if memory is None else memory.used / MIB,
            memory_total_mb=None if memory is None else memory.total / MIB,
            memory_mb_by_pid={process.pid: _mib(process.usedGpuMemory) for process in processes},
        )

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None  # not supported by this device or driver


@cache
def open_gpu() -> GpuReader | None:
    """A reader of this machine's devices; None without a driver or without a device."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    reader = GpuReader(pynvml)
    return reader if reader.devices() else None


def usage_of(
    devices: Sequence[GpuDevice], pids: Collection[int]
) -> tuple[float | None, float | None]:
    """Utilisation (percent) and memory (MiB) of the devices on which the processes compute.

    The utilisation is the busiest such device's, whoever else uses it. None where none of the
    processes is seen on a device.
    """
    own = [device for device in devices if not device.memory_mb_by_pid.keys().isdisjoint(pids)]
    percents = [
        device.utilization_percent for device in own if device.utilization_percent is not None
    ]
    memory = [
        used
        for device in own
        for pid, used in device.memory_mb_by_pid.items()
        if pid in pids and used is not None
    ]
    return max(percents, default=None), sum(memory) if memory else None


def busiest_percent(devices: Sequence[GpuDevice]) -> float | None:
    """Utilisation of the busiest device; None where none tells it."""
    return max(
        (
            device.utilization_percent
            for device in devices
            if device.utilization_percent is not None
        ),
        default=None,
    )


def _mib(number_of_bytes: int | None) -> float | None:
    return None if number_of_bytes is None else number_of_bytes / MIB

"""NVIDIA devices by NVML; a machine without them answers None, never zero."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..domain.units import MIB

RECENT_SECONDS = 2.0
"""A process's utilisation is the latest that the driver noted in so many seconds."""


@dataclass(frozen=True)
class GpuDevice:
    """One device at one moment."""

    index: int | None
    """In the order of the PCI bus, as ``nvidia-smi`` counts; None for a part of a device (MIG)."""
    name: str
    utilization_percent: float | None
    """Share of the last moments in which the device computed, for whomever."""
    memory_used_mb: float | None
    memory_total_mb: float | None
    memory_mb_by_pid: Mapping[int, float | None] = field(default_factory=dict)
    """Memory of each process that computes on the device; None where the driver does not tell."""
    percent_by_pid: Mapping[int, float] | None = None
    """Utilisation by each process that computed lately; None where the driver does not tell."""
    uuid: str | None = None

    @property
    def memory_free_mb(self) -> float | None:
        """None where the device does not tell its memory."""
        if self.memory_used_mb is None or self.memory_total_mb is None:
            return None
        return max(0.0, self.memory_total_mb - self.memory_used_mb)


class GpuReader:
    """Reads the devices through NVML (the `pynvml` module, or an object with its functions)."""

    def __init__(self, nvml: Any, clock: Callable[[], float] = time.time) -> None:
        self._nvml = nvml
        self._clock = clock

    def devices(self) -> tuple[GpuDevice, ...]:
        """Every device at this moment; what a device does not support is None."""
        return tuple(self._device(index, handle) for index, handle in self._handles())

    def busiest_percent(self) -> float | None:
        """Utilisation of the busiest device; None where none tells it."""
        percents = [self._percent(handle) for _, handle in self._handles()]
        return max((percent for percent in percents if percent is not None), default=None)

    def _handles(self) -> list[tuple[int, Any]]:
        """What stands for each device that answers, with its index."""
        count = self._ask(self._nvml.nvmlDeviceGetCount) or 0
        handles = [
            self._ask(self._nvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)
        ]
        return [(index, handle) for index, handle in enumerate(handles) if handle is not None]

    def _device(self, index: int, handle: Any) -> GpuDevice:
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        processes = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        return GpuDevice(
            index=index,
            name=_text(self._ask(nvml.nvmlDeviceGetName, handle)) or "unknown",
            utilization_percent=self._percent(handle),
            memory_used_mb=None if memory is None else memory.used / MIB,
            memory_total_mb=None if memory is None else memory.total / MIB,
            memory_mb_by_pid={process.pid: _mib(process.usedGpuMemory) for process in processes},
            percent_by_pid=self._percent_by_pid(handle),
            uuid=_text(self._ask(nvml.nvmlDeviceGetUUID, handle)),
        )

    def _percent(self, handle: Any) -> float | None:
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates, handle)
        return None if rates is None else float(rates.gpu)

    def _percent_by_pid(self, handle: Any) -> dict[int, float] | None:
        since = round((self._clock() - RECENT_SECONDS) * 1e6)
        samples = self._ask(self._nvml.nvmlDeviceGetProcessUtilization, handle, since)
        if samples is None:
            return None  # also where nobody computed, of which the whole device tells as well
        latest = sorted(samples, key=lambda sample: sample.timeStamp)
        return {sample.pid: min(100.0, float(sample.smUtil)) for sample in latest}

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


def gpu_devices() -> tuple[GpuDevice, ...]:
    """This machine's devices at this moment; none without a driver."""
    gpu = open_gpu()
    return gpu.devices() if gpu else ()


def usage_of(
    devices: Sequence[GpuDevice], pids: Collection[int]
) -> tuple[float | None, float | None]:
    """Utilisation (percent) and memory (MiB) by the processes, of the devices they compute on.

    With several devices the utilisation is that of the busiest. A device that does not tell it by
    process counts with what it does for everybody. None where none of the processes is seen on a
    device.
    """
    own = [device for device in devices if not device.memory_mb_by_pid.keys().isdisjoint(pids)]
    percents = [percent for device in own if (percent := _percent_of(device, pids)) is not None]
    memory = [
        used
        for device in own
        for pid, used in device.memory_mb_by_pid.items()
        if pid in pids and used is not None
    ]
    return max(percents, default=None), sum(memory) if memory else None


def _percent_of(device: GpuDevice, pids: Collection[int]) -> float | None:
    if device.percent_by_pid is None:
        return device.utilization_percent
    return sum(percent for pid, percent in device.percent_by_pid.items() if pid in pids)


def _text(name: str | bytes | None) -> str | None:
    return name.decode() if isinstance(name, bytes) else name


def _mib(number_of_bytes: int | None) -> float | None:
    return None if number_of_bytes is None else number_of_bytes / MIB

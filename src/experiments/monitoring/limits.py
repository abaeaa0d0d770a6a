"""What the runs may use together, and how near they are to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from ..domain.records import ResourceSample
from ..domain.units import GIB, MIB

FREE_DISK_FLOOR_MB = 512.0
"""What must stay free on the results' volume."""
WARNING_SHARE = 0.9
"""Of a limit; free disk is warned about below twice the floor."""


class Resource(StrEnum):
    """What can run short."""

    MEMORY = "memory"
    GPU_MEMORY = "gpu_memory"
    CPU = "cpu"
    DISK = "disk"
    FREE_DISK = "free_disk"


class Level(StrEnum):
    """How near a limit is."""

    WARNING = "warning"
    BREACH = "breach"


@dataclass(frozen=True)
class Limits:
    """The bounds for all runs together; None sets none."""

    memory_mb: float | None = None
    cpu_percent: float | None = None
    """Share of the cores that may be used here, 0 to 100."""
    disk_gb: float | None = None
    """Size of the experiment's directory, in GiB."""
    gpu_memory_mb: float | None = None
    free_disk_mb: float = FREE_DISK_FLOOR_MB
    """What must stay free on the volume of the experiment's directory."""

    @classmethod
    def of(cls, resource_limits: Mapping[str, Any]) -> Self:
        """The limits of a file's `resource_limits`; what is none of them is left out."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in resource_limits.items() if name in names})

    def of_several_machines(self) -> Limits:
        """The limits that hold for runs that are spread over machines of several sizes."""
        return replace(self, cpu_percent=None)


@dataclass(frozen=True)
class Usage:
    """What the runs use together; None where it was not measured."""

    memory_mb: float | None = None
    """Proportional memory where it is known, else resident."""
    gpu_memory_mb: float | None = None
    cpu_percent: float | None = None
    """Share of the cores that may be used here, 0 to 100."""
    disk_usage_mb: float | None = None
    """Size of the experiment's directory, in MiB."""
    disk_free_mb: float | None = None
    cores_busy: float | None = None
    """How many cores they keep busy, whatever the machine has."""


@dataclass(frozen=True)
class Pressure:
    """A limit that is near or exceeded."""

    resource: Resource
    used: float
    """In the limit's unit; of `FREE_DISK`, what is left."""
    limit: float
    level: Level

    def __str__(self) -> str:
        """A sentence for people."""
        used, limit, percent = self.used, self.limit, 100.0 * self.used / self.limit
        match self.resource:
            case Resource.MEMORY:
                return f"the runs use {used:,.0f} of {limit:,.0f} MiB of memory ({percent:.0f} %)"
            case Resource.GPU_MEMORY:
                return (
                    f"the runs use {used:,.0f} of {limit:,.0f} MiB of GPU memory ({percent:.0f} %)"
                )
            case Resource.CPU:
                return f"the runs use {used:.0f} % of the usable cores, {limit:g} % allowed"
            case Resource.DISK:
                return (
                    f"the experiment's directory takes {used:,.3g} of {limit:,g} GiB"
                    f" ({percent:.0f} %)"
                )
            case Resource.FREE_DISK:
                return (
                    f"only {used:,.0f} MiB are free on the results' disk, and {limit:,.0f} MiB "
                    "must stay free"
                )


def used_memory_mb(sample: ResourceSample) -> float:
    """Memory that a run's processes take, in MiB: proportional where it is known, else resident."""
    return sample.memory_mb if sample.pss_mb is None else sample.pss_mb


def together(samples: Iterable[ResourceSample], cores: float | None = None) -> Usage:
    """What runs use together, of each run the newest sample.

    Args:
        samples: one of each run that is under way.
        cores: that may be used, of which `Usage.cpu_percent` is a share; None where it is another
            machine, of which that is not known.
    """
    newest_first = sorted(samples, key=lambda sample: sample.time, reverse=True)
    if not newest_first:
        return Usage()
    on_gpu = [each.gpu_memory_mb for each in newest_first if each.gpu_memory_mb is not None]
    cores_busy = sum(each.cpu_percent for each in newest_first) / 100.0
    return Usage(
        memory_mb=sum(map(used_memory_mb, newest_first)),
        gpu_memory_mb=sum(on_gpu) if on_gpu else None,
        cpu_percent=None if cores is None else min(100.0, 100.0 * cores_busy / cores),
        cores_busy=cores_busy,
        disk_usage_mb=_first(each.disk_usage_mb for each in newest_first),
        disk_free_mb=_first(each.disk_free_mb for each in newest_first),
    )


def pressures(limits: Limits, usage: Usage) -> tuple[Pressure, ...]:
    """The limits that are near or exceeded, at most one for each resource."""
    return (*_near_a_limit(limits, usage), *_near_the_floor(limits, usage))


def _near_a_limit(limits: Limits, usage: Usage) -> Iterator[Pressure]:
    disk_gb = None if usage.disk_usage_mb is None else usage.disk_usage_mb * MIB / GIB
    bounded = (
        (Resource.MEMORY, usage.memory_mb, limits.memory_mb),
        (Resource.GPU_MEMORY, usage.gpu_memory_mb, limits.gpu_memory_mb),
        (Resource.CPU, usage.cpu_percent, limits.cpu_percent),
        (Resource.DISK, disk_gb, limits.disk_gb),
    )
    for resource, used, limit in bounded:
        if used is not None and limit is not None and used >= WARNING_SHARE * limit:
            yield Pressure(resource, used, limit, Level.BREACH if used > limit else Level.WARNING)


def _near_the_floor(limits: Limits, usage: Usage) -> Iterator[Pressure]:
    free, floor = usage.disk_free_mb, limits.free_disk_mb
    if free is not None and free < 2 * floor:
        yield Pressure(
            Resource.FREE_DISK, free, floor, Level.BREACH if free < floor else Level.WARNING
        )


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)

"""What is watched: resources, limits, signs of life, progress, the machine."""

from .disk import directory_size_mb, free_disk_mb
from .gpu import GpuDevice, gpu_devices
from .heartbeats import Heartbeats
from .journal_progress import JournalProgress, read_progress
from .limits import Level, Limits, Pressure, Resource, Usage, pressures, together
from .memory import available_memory_mb
from .monitor import ResourceMonitor
from .placement import GpuPlacement, device_inside, visible_devices
from .progress import ProgressInfo, progress_info, seconds_remaining
from .resources import MachineMeter, ResourceUsage, sample_fields, sample_tree
from .stopwatch import Stopwatch

__all__ = [
    "GpuDevice",
    "GpuPlacement",
    "Heartbeats",
    "JournalProgress",
    "Level",
    "Limits",
    "MachineMeter",
    "Pressure",
    "ProgressInfo",
    "Resource",
    "ResourceMonitor",
    "ResourceUsage",
    "Stopwatch",
    "Usage",
    "available_memory_mb",
    "device_inside",
    "directory_size_mb",
    "free_disk_mb",
    "gpu_devices",
    "pressures",
    "progress_info",
    "read_progress",
    "sample_fields",
    "sample_tree",
    "seconds_remaining",
    "together",
    "visible_devices",
]

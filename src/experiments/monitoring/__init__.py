"""What is watched: resources, limits, signs of life, progress, the machine."""

from .available_memory import available_memory_mb
from .disk import directory_size_mb, free_disk_mb
from .gpu import GpuDevice, gpu_devices
from .gpu_placement import VISIBLE_DEVICES, GpuPlacement, device_inside, visible_devices
from .heartbeats import Heartbeats
from .journal_progress import JournalProgress
from .limits import Level, Limits, Pressure, Resource, Usage, pressures, together, used_memory_mb
from .monitor import ResourceMonitor
from .progress import ProgressInfo, progress_info, seconds_remaining
from .record_stream import RecordStream
from .resources import MachineMeter, ResourceUsage
from .stopwatch import Stopwatch

__all__ = [
    "VISIBLE_DEVICES",
    "GpuDevice",
    "GpuPlacement",
    "Heartbeats",
    "JournalProgress",
    "Level",
    "Limits",
    "MachineMeter",
    "Pressure",
    "ProgressInfo",
    "RecordStream",
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
    "seconds_remaining",
    "together",
    "used_memory_mb",
    "visible_devices",
]

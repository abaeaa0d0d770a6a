"""What is watched: resources, progress, the machine."""

from .journal_progress import JournalProgress, read_progress
from .monitor import ResourceMonitor
from .progress import ProgressInfo, progress_info, seconds_remaining
from .resources import ResourceUsage, TreeMeter, sample_fields, sample_tree
from .stopwatch import Stopwatch

__all__ = [
    "JournalProgress",
    "ProgressInfo",
    "ResourceMonitor",
    "ResourceUsage",
    "Stopwatch",
    "TreeMeter",
    "progress_info",
    "read_progress",
    "sample_fields",
    "sample_tree",
    "seconds_remaining",
]

"""How many cores the machine, its scheduler and its control groups leave to this process."""

from __future__ import annotations

import os
from pathlib import Path

from .cgroups import CGROUPS, PROC, groups_of, number


def usable_cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> float:
    """Cores that this process may keep busy; a quota may be a part of one, as in 1.5.

    The fewest of those that its affinity names and the quotas of the control groups around it
    (`cpu.max` of version 2, `cpu.cfs_quota_us` of version 1).
    """
    quotas = (_quota(group) for group in groups_of("cpu", proc, cgroups))
    cores = min([float(_schedulable()), *(quota for quota in quotas if quota is not None)])
    return int(cores) if cores.is_integer() else cores


def _schedulable() -> int:
    """Logical cores that the scheduler gives to this process; all, where it does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(group: Path) -> float | None:
    """The share of time that a control group is given, in cores; None where it is not bounded."""
    period, quota = number(group / "cpu.cfs_period_us"), number(group / "cpu.cfs_quota_us")
    try:
        version_2 = (group / "cpu.max").read_text().split()
    except OSError:
        version_2 = []
    if len(version_2) == 2 and all(word.isdecimal() for word in version_2):
        quota, period = map(int, version_2)
    # -1 bounds nothing; zero is what a group says that cannot be read
    return quota / period if quota and period and quota > 0 and period > 0 else None

"""Whether the kernel has ended a process because memory ran out."""

from __future__ import annotations

from pathlib import Path

from ..domain.cgroups import CGROUPS, PROC, counter, memory_groups


def kernel_oom_kills(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Processes that were ended for want of memory so far; None where the kernel does not tell.

    Counted in this process's control group, else on the whole machine.
    """
    groups = memory_groups(proc, cgroups)
    files = [folder / name for folder in groups for name in ("memory.events", "memory.oom_control")]
    counts = (counter(path, "oom_kill") for path in (*files, proc / "vmstat"))
    return next((count for count in counts if count is not None), None)

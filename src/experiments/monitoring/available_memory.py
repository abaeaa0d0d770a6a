"""How much memory runs can still take here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..domain.cgroups import CGROUPS, PROC, counter, memory_groups, number
from ..domain.units import MIB

_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
"""Of version 2, also the one above which it only slows down, and of version 1."""
_USED = ("memory.current", "memory.usage_in_bytes")


def available_memory_mb(proc: Path = PROC, cgroups: Path = CGROUPS) -> float:
    """MiB that are free for runs: the machine's, or less where a control group bounds them."""
    import psutil

    bounds = [_left_in(group) for group in memory_groups(proc, cgroups)]
    known = [left for left in bounds if left is not None]
    return max(0, min([psutil.virtual_memory().available, *known])) / MIB


def _left_in(group: Path) -> int | None:
    """Bytes that a control group may still take; None where it has no limit."""
    limit = min(_numbers(group, _LIMITS), default=None)
    used = next(_numbers(group, _USED), None)
    return None if limit is None or used is None else limit - used + _reclaimable(group)


def _numbers(group: Path, names: tuple[str, ...]) -> Iterator[int]:
    return (found for name in names if (found := number(group / name)) is not None)


def _reclaimable(group: Path) -> int:
    """Bytes of files that nobody has used lately: counted as used, and given back when needed."""
    names = ("total_inactive_file", "inactive_file")  # version 1 has both, the first with subgroups
    counts = (counter(group / "memory.stat", name) for name in names)
    return next((count for count in counts if count is not None), 0)

"""The control groups that bound this process's memory; none where the system is not Linux."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def memory_groups(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[Path, ...]:
    """Directories of this process's memory group and the groups around it, its own first.

    Of version 1 or 2, whichever has the memory. What a container does not see is left out.
    """
    base, own = _own_group(proc, cgroups)
    inside = own.lstrip("/") if ".." not in own else ""
    group = base / inside
    around = [parent for parent in group.parents if parent == base or base in parent.parents]
    return tuple(folder for folder in (group, *around) if folder.is_dir())


def number(path: Path) -> int | None:
    """The whole number that a file holds; None for anything else, such as ``max``."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def counter(path: Path, name: str) -> int | None:
    """The number behind a name in a file of such lines; None where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = (line.split() for line in lines)
    return next((int(words[1]) for words in found if words[:1] == [name]), None)


def _own_group(proc: Path, cgroups: Path) -> tuple[Path, str]:
    """Where the hierarchy of the memory's groups is mounted, and this process's path in it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    version_1 = next((path for each, path in paths.items() if "memory" in each.split(",")), None)
    if version_1 is not None:
        return cgroups / "memory", version_1
    return cgroups, paths.get("", "")

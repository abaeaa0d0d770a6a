"""The control groups that bound this process; none where the system is not Linux."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def memory_groups(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[Path, ...]:
    """Directories of this process's memory group and the groups around it, its own first."""
    return groups_of("memory", proc, cgroups)


def groups_of(controller: str, proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[Path, ...]:
    """Directories of this process's group of a controller and of those around it, its own first.

    Of version 1 or 2, whichever has the controller. What a container does not see is left out.
    """
    base, own = _own_group(controller, proc, cgroups)
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


def _own_group(controller: str, proc: Path, cgroups: Path) -> tuple[Path, str]:
    """Where the hierarchy of a controller's groups is mounted, and this process's path in it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    for together, path in paths.items():
        if controller in together.split(","):  # version 1; its mount has either name, or both
            bases = (cgroups / controller, cgroups / together)
            return next((base for base in bases if base.is_dir()), bases[0]), path
    return cgroups, paths.get("", "")

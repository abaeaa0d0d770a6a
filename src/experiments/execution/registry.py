"""The executors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..domain.errors import UsageError
from .job import Executor


@dataclass(frozen=True)
class ExecutorKind:
    """Where an executor lies, and what sets it apart from others."""

    path: str
    """``.module:Class``, imported when it is asked for."""
    has_processes: bool = True
    """Whether a job has a process of its own, which can be ended and given variables."""
    is_here: bool = True
    """Whether jobs run on this machine, so that its memory and its GPUs are theirs."""


EXECUTORS: Mapping[str, ExecutorKind] = {
    "process": ExecutorKind(".process_pool:ProcessPoolExecutor"),
    "in_process": ExecutorKind(".in_process:InProcessExecutor", has_processes=False),
    "ray": ExecutorKind(".ray_cluster:RayExecutor", is_here=False),
}


@dataclass(frozen=True)
class ExecutorSettings:
    """What an executor is made of; each takes what concerns it."""

    slots: int = 1
    """Jobs that run at the same time, where the executor can."""
    preload: tuple[str, ...] = ()
    """Modules that a process imports before it forks others."""
    threads: int = 1
    """Threads of the numeric libraries in each process."""
    address: str | None = None
    """Of the cluster to connect to; None starts one on this machine."""
    shared_directory: Path | None = None
    """Where the jobs write, which every machine must see; None checks nothing."""


def executor_kind(name: str) -> ExecutorKind:
    """What is known about the executor of that name.

    Raises:
        UsageError: when it is not.
    """
    if name not in EXECUTORS:
        allowed = ", ".join(EXECUTORS)
        raise UsageError(f"executor {name!r} is unknown", remedy=f"use one of: {allowed}")
    return EXECUTORS[name]


def create_executor(name: str, settings: ExecutorSettings) -> Executor:
    """An executor of that name; entering it acquires its processes.

    Raises:
        UsageError: for an unknown name.
        MissingExtraError: where it needs a package that is not installed.
    """
    module, _, attribute = executor_kind(name).path.partition(":")
    kind: Callable[[ExecutorSettings], Executor] = getattr(
        import_module(module, __package__), attribute
    )
    return kind(settings)

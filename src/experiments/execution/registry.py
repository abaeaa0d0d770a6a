"""The executors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from ..domain.errors import UsageError
from .job import Executor

EXECUTORS: Mapping[str, str] = {
    "process": ".process_pool:ProcessPoolExecutor",
    "in_process": ".in_process:InProcessExecutor",
}
"""Name to ``.module:Class``, imported when it is asked for."""


def check_executor(name: str) -> str:
    """Return the name if it is an executor's.

    Raises:
        UsageError: when it is not.
    """
    if name not in EXECUTORS:
        allowed = ", ".join(EXECUTORS)
        raise UsageError(f"executor {name!r} is unknown", remedy=f"use one of: {allowed}")
    return name


def create_executor(name: str, slots: int, preload: Sequence[str], threads: int) -> Executor:
    """An executor for so many jobs at once; entering it acquires its processes.

    Args:
        name: a key of `EXECUTORS`.
        slots: jobs that run at the same time, where the executor can.
        preload: modules that a process imports before it forks others.
        threads: threads of the numeric libraries in each process.

    Raises:
        UsageError: for an unknown name.
    """
    module, _, attribute = EXECUTORS[check_executor(name)].partition(":")
    kind: Callable[[int, Sequence[str], int], Executor] = getattr(
        import_module(module, __package__), attribute
    )
    return kind(slots, preload, threads)

"""What the limits lead to: warnings, fewer runs at once, runs that end with a named cause."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..domain.cores import usable_cores
from ..domain.errors import HangError, OutOfMemoryError, ResourceLimitError, StorageError
from ..domain.records import ResourceSample, RunKey
from ..execution import Executor, Job, OutcomeKind
from ..monitoring import (
    Heartbeats,
    Level,
    Limits,
    Pressure,
    Resource,
    Usage,
    free_disk_mb,
    pressures,
    together,
    used_memory_mb,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
ASLEEP_SECONDS = 10.0
"""A pause between two looks after which this process must have been suspended itself."""
BUSY_SECONDS = 5.0
"""How long the processor's limit must be exceeded before fewer runs are carried out at once."""

_OF_MEMORY: Mapping[Resource, Callable[[ResourceSample], float]] = {
    Resource.MEMORY: used_memory_mb,
    Resource.GPU_MEMORY: lambda sample: sample.gpu_memory_mb or 0.0,
}
_OF_DISK = (Resource.DISK, Resource.FREE_DISK)


@dataclass(frozen=True)
class Watched:
    """A run that trains just now."""

    job: Job
    heartbeat: Path
    began: float
    """Seconds since the epoch; a sample from before is of an earlier attempt."""
    hang_seconds: float | None = None
    """How long this run may be silent; None for as long as any other."""


class Guard:
    """Keeps what runs at once within the limits, and ends runs that give no sign of life.

    Args:
        limits: what all runs together may use.
        hang_seconds: how long a run may be silent; None where nobody could end it.
        folder: the experiment's directory; what is free on its volume is read here.
        slots: runs at the same time.
        cores: of which `cpu_percent` is a share; None counts those that may be used here.
    """

    def __init__(
        self,
        limits: Limits,
        hang_seconds: float | None,
        folder: Path,
        slots: int,
        *,
        cores: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._hang_seconds = hang_seconds
        self._folder = folder
        self._cores = cores or usable_cores()
        self._clock = clock
        self._heartbeats = Heartbeats(clock)
        self._lock = threading.Lock()
        self._samples: dict[RunKey, ResourceSample] = {}
        self._stopping: set[RunKey] = set()
        self._warned: set[Resource] = set()
        self._busy_since: float | None = None
        self._next_check = clock()
        self._admitted = slots
        self.slots = slots
        """Runs that may go on at the same time just now."""

    def sampled(self, run: RunKey, sample: ResourceSample) -> None:
        """Take note of what a run uses; safe to call from any thread."""
        with self._lock:
            self._samples[run] = sample

    def ended(self, run: RunKey, heartbeat: Path) -> None:
        """Forget a run that uses nothing more."""
        self._stopping.discard(run)
        self._heartbeats.forget(heartbeat)
        with self._lock:
            self._samples.pop(run, None)

    def ran_out_of_memory(self) -> None:
        """So many runs at once have shown not to fit: from now on one fewer."""
        if self._admitted > 1:
            self._admitted -= 1
            logger.warning("memory was short: from now on %d at a time", self._admitted)

    def enforce(self, executor: Executor, running: Mapping[RunKey, Watched]) -> None:
        """Hold the running runs to the limits, about once a second."""
        now = self._clock()
        if now < self._next_check:
            return
        if now > self._next_check + ASLEEP_SECONDS:
            self._forgive(running)
        self._next_check = now + POLL_SECONDS
        self._end_the_silent(executor, running)
        found = {each.resource: each for each in pressures(self._limits, self._usage(running))}
        self._warn(found)
        self._make_room(executor, running, found)
        self._throttle(executor, running, found, now)

    def _usage(self, running: Mapping[RunKey, Watched]) -> Usage:
        samples = self._samples_of(running).values()
        return replace(together(samples, self._cores), disk_free_mb=free_disk_mb(self._folder))

    def _samples_of(self, running: Mapping[RunKey, Watched]) -> dict[RunKey, ResourceSample]:
        """The newest sample of each run that has one of its present attempt."""
        with self._lock:
            return {
                run: sample
                for run, sample in self._samples.items()
                if run in running and sample.time >= running[run].began
            }

    def _forgive(self, running: Mapping[RunKey, Watched]) -> None:
        """Begin to count silence anew: who was suspended together was silent together."""
        for watched in running.values():
            self._heartbeats.forget(watched.heartbeat)

    def _end_the_silent(self, executor: Executor, running: Mapping[RunKey, Watched]) -> None:
        if self._hang_seconds is None:
            return
        for run, watched in running.items():
            limit = watched.hang_seconds or self._hang_seconds
            silent = self._heartbeats.silent_seconds(watched.heartbeat)
            if silent > limit:
                cause = HangError(
                    f"no sign of life for {silent:.0f} s (hang_seconds is {limit:g})",
                    remedy=(
                        f"the end of {watched.job.log} shows where it hangs; raise hang_seconds "
                        "if a single step may take that long"
                    ),
                )
                self._stop(executor, run, watched, OutcomeKind.HANG, cause)

    def _warn(self, found: Mapping[Resource, Pressure]) -> None:
        for resource, pressure in found.items():
            if resource not in self._warned and pressure.level is Level.WARNING:
                logger.warning("%s", pressure)
        self._warned |= set(found)

    def _make_room(
        self,
        executor: Executor,
        running: Mapping[RunKey, Watched],
        found: Mapping[Resource, Pressure],
    ) -> None:
        """End the run that takes most, or all of them where the disk is full."""
        if self._stopping:
            return  # what they give back is not seen yet
        breached = [each for each in found.values() if each.level is Level.BREACH]
        for pressure in breached:
            if pressure.resource in _OF_DISK:
                for run, watched in running.items():
                    self._stop(executor, run, watched, OutcomeKind.LIMIT, _disk_error(pressure))
                return
            if pressure.resource in _OF_MEMORY:
                self._end_the_largest(executor, running, pressure)
                return

    def _end_the_largest(
        self, executor: Executor, running: Mapping[RunKey, Watched], pressure: Pressure
    ) -> None:
        measure = _OF_MEMORY[pressure.resource]
        uses = {run: measure(each) for run, each in self._samples_of(running).items()}
        run = max(uses, key=uses.__getitem__)
        cause = OutOfMemoryError(
            f"out of memory: {pressure}; {run.name} used most, {uses[run]:,.0f} MiB",
            remedy=f"raise resource_limits.{pressure.resource}_mb, train fewer runs at once "
            "(--max-workers), or with smaller buffers",
        )
        self._stop(executor, run, running[run], OutcomeKind.OUT_OF_MEMORY, cause)

    def _stop(
        self, executor: Executor, run: RunKey, watched: Watched, kind: OutcomeKind, cause: Exception
    ) -> None:
        if run not in self._stopping:
            self._stopping.add(run)
            logger.info("%s is stopped: %s", run.name, cause)
            executor.stop(watched.job, kind, cause)

    def _throttle(
        self,
        executor: Executor,
        running: Mapping[RunKey, Watched],
        found: Mapping[Resource, Pressure],
        now: float,
    ) -> None:
        """Begin no further run while memory is short; fewer at once while the processor is."""
        busy = found.get(Resource.CPU)
        if busy is None or busy.level is not Level.BREACH:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        elif now - self._busy_since >= BUSY_SECONDS and self._admitted > 1:
            self._busy_since = None
            self._admitted -= 1
            logger.warning("%s; from now on %d at a time", busy, self._admitted)
        is_short = any(resource in _OF_MEMORY for resource in found)
        slots = min(self._admitted, max(1, len(running))) if is_short else self._admitted
        if slots != self.slots:
            self.slots = slots
            executor.resize(slots)


def check_free_disk(folder: Path, limits: Limits) -> None:
    """Refuse to begin where the volume of a folder, which need not exist, is nearly full.

    Raises:
        StorageError: naming what is free and what must be.
    """
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    free = free_disk_mb(existing)
    if free is not None and free < limits.free_disk_mb:
        raise StorageError(
            f"only {free:,.0f} MiB are free, and {limits.free_disk_mb:,.0f} MiB must stay free",
            where=str(existing),
            remedy="free space, or choose another --output-dir",
        )


def _disk_error(pressure: Pressure) -> ResourceLimitError:
    is_floor = pressure.resource is Resource.FREE_DISK
    remedy = "free space" if is_floor else "raise resource_limits.disk_gb, or free space"
    return ResourceLimitError(str(pressure), remedy=f"{remedy}, then continue with --experiment-id")

"""A thread that looks at every run's processes about once a second and tells a sink."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ..domain.records import ResourceSample, RunKey
from .gpu import GpuDevice, open_gpu
from .resources import MIB, ProcessTable, TreeMeter, directory_size_mb
from .sparing import Sparing

logger = logging.getLogger(__name__)

Targets = Callable[[], Mapping[RunKey, int]]
Sink = Callable[[RunKey | None, ResourceSample], None]

DISK_LOOK_SECONDS = 10.0


class ResourceMonitor:
    """Samples the runs' process trees while its with block lasts.

    The sink is called in the monitor's thread: with a run and its sample for each target, then
    with None and the sample of this process and all its descendants. Every sample carries the size
    of `disk_root`, the experiment's directory, and the space left there. What goes wrong is
    logged, never raised.
    """

    def __init__(
        self,
        targets: Targets,
        sink: Sink,
        interval_seconds: float = 1.0,
        disk_root: Path | None = None,
    ) -> None:
        self._targets = targets
        self._sink = sink
        self._interval = interval_seconds
        self._disk_root = disk_root
        self._table = ProcessTable()
        self._meters: dict[tuple[RunKey | None, int], TreeMeter] = {}
        self._disk = Sparing(self._disk_size, at_most_every_seconds=DISK_LOOK_SECONDS)
        self._devices = Sparing(_gpu_devices)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._complaints: set[str] = set()

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, name="resources", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            # a sink that hangs must not hold up the end of the experiment
            self._thread.join(timeout=5.0)
        self._thread = None

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a watcher never harms what it watches
                self._complain(error)
            if self._stop.wait(self._interval):
                return

    def _look(self) -> None:
        targets = self._targets()
        devices = self._devices.value()
        wanted: dict[tuple[RunKey | None, int], TreeMeter] = {}
        for run, pid in [*targets.items(), (None, os.getpid())]:
            key = (run, pid)
            wanted[key] = self._meters.get(key) or TreeMeter(pid, self._table)
        self._meters = wanted
        for (run, _), meter in wanted.items():
            if not self._stop.is_set():
                self._tell(run, meter, devices)

    def _tell(self, run: RunKey | None, meter: TreeMeter, devices: Sequence[GpuDevice]) -> None:
        try:
            sample = meter.sample(devices)
            if sample is not None:
                self._sink(run, self._with_disk(sample))
        except Exception as error:  # noqa: BLE001 - one run's trouble is not the others'
            self._complain(error)

    def _with_disk(self, sample: ResourceSample) -> ResourceSample:
        if self._disk_root is None or not self._disk_root.exists():
            return sample
        free = shutil.disk_usage(self._disk_root).free / MIB
        return replace(sample, disk_usage_mb=self._disk.value(), disk_free_mb=free)

    def _disk_size(self) -> float | None:
        return None if self._disk_root is None else directory_size_mb(self._disk_root)

    def _complain(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if type(error).__name__ not in self._complaints:
            self._complaints.add(type(error).__name__)
            logger.warning("resources are not fully watched (%s)", text, exc_info=error)


def _gpu_devices() -> tuple[GpuDevice, ...]:
    gpu = open_gpu()
    return gpu.devices() if gpu else ()

"""A thread that samples every run's processes about once a second and tells a sink."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..domain.records import ResourceSample, RunKey
from .disk import directory_size_mb, free_disk_mb
from .readings import ProcessWatch, Reading
from .resources import TreeMeter
from .sparing import Sparing

logger = logging.getLogger(__name__)

Targets = Callable[[], Mapping[RunKey, int]]
Sink = Callable[[RunKey | None, ResourceSample], None]

DISK_POLL_SECONDS = 1.0


class ResourceMonitor:
    """Samples the runs' process trees while its with block lasts.

    The sink is called in the monitor's thread: with a run and its sample for each target, then
    with None and the sample of this process and all its descendants; all samples of a reading have
    the same time. Every sample carries the size of `disk_root`, the experiment's directory, and the
    space left there. What goes wrong is logged, never raised.

    Args:
        targets: the process that trains each run just now; called in the monitor's thread.
        sink: takes the samples.
        interval_seconds: between two readings.
        disk_root: None measures no disk.
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
        self._processes = ProcessWatch()
        self._meters: dict[tuple[RunKey | None, int], TreeMeter] = {}
        self._disk = Sparing(self._disk_size, share=0.0003, at_most_every_seconds=DISK_POLL_SECONDS)
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
                self._take_samples()
            except Exception as error:  # noqa: BLE001 - a watcher never harms what it watches
                self._complain(error)
            if self._stop.wait(self._interval):
                return

    def _take_samples(self) -> None:
        roots = [*self._targets().items(), (None, os.getpid())]
        self._meters = {key: self._meters.get(key) or TreeMeter(key[1]) for key in roots}
        reading = self._processes.read({pid for _, pid in roots})
        disk = self._disk_figures()
        for (run, _), meter in self._meters.items():
            if self._stop.is_set():
                return
            self._tell(run, meter, reading, disk)

    def _tell(
        self, run: RunKey | None, meter: TreeMeter, reading: Reading, disk: Mapping[str, Any]
    ) -> None:
        try:
            sample = meter.sample(reading)
            if sample is not None:
                self._sink(run, replace(sample, **disk))
        except Exception as error:  # noqa: BLE001 - one run's trouble is not the others'
            self._complain(error)

    def _disk_figures(self) -> dict[str, Any]:
        """A sample's fields; empty where the directory is not there."""
        root = self._disk_root
        if root is None or not root.exists():
            return {}
        return {"disk_usage_mb": self._disk.value(), "disk_free_mb": free_disk_mb(root)}

    def _disk_size(self) -> float | None:
        return None if self._disk_root is None else directory_size_mb(self._disk_root)

    def _complain(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if type(error).__name__ not in self._complaints:
            self._complaints.add(type(error).__name__)
            logger.warning("resources are not fully monitored (%s)", text, exc_info=error)

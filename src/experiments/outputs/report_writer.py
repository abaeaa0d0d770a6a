"""The report, written by processes of its own that are warm when the last run ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from ..analysis.content import ReportContent
from ..analysis.report import write_bitmaps, write_page
from ..domain.errors import ExperimentsError, described
from ..domain.paths import ExperimentPaths
from ..domain.storage_policy import StoragePolicy
from ..execution import ExecutorSettings, Job, Outcome, OutcomeKind, ProcessPoolExecutor

logger = logging.getLogger(__name__)

_ANALYSIS = f"{__package__.rpartition('.')[0]}.analysis"
PRELOAD = (f"{_ANALYSIS}.charts", f"{_ANALYSIS}.page")
"""What takes a second to import, and is needed at the end alone."""
WRITERS = (write_bitmaps, write_page)
POLL_SECONDS = 0.5


class ReportWriter:
    """Writes a report beside whatever else is done at the end of an experiment."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._executor: ProcessPoolExecutor | None = None
        self._is_alone = False
        """Whether no process was to be had."""
        self._left: dict[str, Callable[[], object]] = {}
        """What is not written yet, by the name of its job."""
        self._under_way: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        self._executor = None

    def get_ready(self) -> None:
        """Let a process import what a report needs, unless one does already."""
        if self._executor is not None or self._is_alone:
            return
        pool = ProcessPoolExecutor(ExecutorSettings(len(WRITERS), PRELOAD))
        try:
            self._executor = self._open.enter_context(pool)
        except OSError as error:
            self._go_on_alone(error)

    def begin(self, paths: ExperimentPaths, content: ReportContent, policy: StoragePolicy) -> None:
        """Have a report written; `finish` waits for it."""
        self._left = {each.__name__: partial(each, paths, content, policy) for each in WRITERS}
        self.get_ready()
        if self._executor is not None:
            for name, target in self._left.items():
                self._executor.submit(Job(name, (), target))
            self._under_way = set(self._left)
            self._poll(self._executor, 0.0)

    def finish(self) -> None:
        """Wait until the report is written; what a process could not write is written here.

        Raises:
            StorageError: when the disk refuses.
        """
        while self._under_way and self._executor is not None:
            self._poll(self._executor, POLL_SECONDS)
        for target in self._left.values():
            target()
        self._left = {}

    def _poll(self, executor: ProcessPoolExecutor, timeout_seconds: float) -> None:
        try:
            event = executor.next_event(timeout_seconds)
        except (OSError, ExperimentsError) as error:
            self._go_on_alone(error)
            return
        if isinstance(event, Outcome):
            self._under_way.discard(event.job.name)
            if event.kind is OutcomeKind.FINISHED:
                del self._left[event.job.name]
            else:
                cause = described(event.as_exception())
                logger.warning("the report is written once more: %s", cause)

    def _go_on_alone(self, error: Exception) -> None:
        logger.warning("no process can be started for the report: %s", described(error))
        self._is_alone = True
        self._open.close()
        self._executor = None

"""The report, written by processes of its own that are warm when the last run ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from .analysis.content import ReportContent
from .analysis.report import write_bitmaps, write_page
from .domain.errors import described
from .domain.paths import ExperimentPaths
from .domain.storage_policy import StoragePolicy
from .execution import ExecutorSettings, Job, Outcome, OutcomeKind, ProcessPoolExecutor

logger = logging.getLogger(__name__)

_ANALYSIS = f"{__package__}.analysis"
PRELOAD = (f"{_ANALYSIS}.charts", f"{_ANALYSIS}.page")
"""What takes a second to import, and is needed at the end alone."""
WRITERS = (write_bitmaps, write_page)
LOOK_SECONDS = 0.5


class Scribe:
    """Writes a report beside whatever else is done at the end of an experiment."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._executor: ProcessPoolExecutor | None = None
        self._outcomes: list[Outcome] = []
        self._again: dict[str, Callable[[], object]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def get_ready(self) -> None:
        """Let a process import what a report needs, unless one does already."""
        if self._executor is None:
            pool = ProcessPoolExecutor(ExecutorSettings(len(WRITERS), PRELOAD))
            self._executor = self._open.enter_context(pool)

    def begin(self, paths: ExperimentPaths, content: ReportContent, policy: StoragePolicy) -> None:
        """Have a report written; `finish` waits for it."""
        self.get_ready()
        for write in WRITERS:
            target = partial(write, paths, content, policy)
            self._again[write.__name__] = target
            self._ready_executor.submit(Job(write.__name__, (), target))
        self._look(0.0)

    def finish(self) -> None:
        """Wait until the report is written; what a process could not write is written here.

        Raises:
            StorageError: when the disk refuses.
        """
        while len(self._outcomes) < len(WRITERS):
            self._look(LOOK_SECONDS)
        for outcome in self._outcomes:
            if outcome.kind is not OutcomeKind.FINISHED:
                logger.warning(
                    "the report is written once more: %s", described(outcome.as_exception())
                )
                self._again[outcome.job.name]()

    def _look(self, timeout_seconds: float) -> None:
        event = self._ready_executor.next_event(timeout_seconds)
        if isinstance(event, Outcome):
            self._outcomes.append(event)

    @property
    def _ready_executor(self) -> ProcessPoolExecutor:
        if self._executor is None:
            raise RuntimeError("call get_ready() first")
        return self._executor

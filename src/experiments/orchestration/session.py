"""What an experiment is carried out with: processes, lock, logs, trackers; all of it ends again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from ..domain.records import ExperimentStatus
from ..durability.lock import FileLock
from ..execution import Executor
from ..execution.admission import Admission
from ..experiment import Experiment
from ..monitoring import GpuPlacement
from ..outputs.closing import Closing
from ..outputs.report_writer import ReportWriter
from ..outputs.uploads import Uploads, tellings_of
from ..tracking.choosing import TrackingChoice
from ..tracking.log_files import log_files
from ..tracking.telling import Assignment
from .campaign import Campaign
from .guard import Guard

_PACKAGE = __package__.rpartition(".")[0]


class Session:
    """One go at an experiment; whoever goes on with it later begins another one.

    Args:
        experiment: what is carried out.
        executor: carries runs out; entered here.
        gpus: chooses among this machine's GPUs.
        logger: of the orchestrator, which the experiment's log holds beside the package's own.
    """

    def __init__(
        self,
        experiment: Experiment,
        executor: Executor,
        gpus: GpuPlacement | None,
        logger: logging.Logger,
    ) -> None:
        self._experiment = experiment
        self._loggers = (logging.getLogger(_PACKAGE), logger)
        self._open = ExitStack()
        self.executor = executor
        self.gpus = gpus
        self.report_writer = ReportWriter()
        self.uploads = Uploads(experiment.paths)
        self.closing = Closing(experiment, self.report_writer, self.uploads)
        self.admission: Admission | None = None
        """How many runs fit at once; None before that was found out."""
        self.guard: Guard | None = None
        """Keeps the runs within their limits; None before they begin."""
        self.is_open = True
        self.campaign: Campaign | None = None
        """The planned runs; None before the experiment is locked."""

    def begin(
        self,
        make_campaign: Callable[[], Campaign],
        describe: Callable[[ExperimentPaths], None],
        tracking: TrackingChoice,
        *,
        at_once: bool,
    ) -> None:
        """Start the processes, make the directory appear, lock it, open the logs.

        Args:
            make_campaign: called when the experiment is locked and up to date.
            describe: writes down where all this comes from.
            tracking: how trackers are reached.
            at_once: whether all runs begin at once, so that a processor has nothing to do now.

        Raises:
            ExperimentsError: when another process works on the experiment.
        """
        with ExitStack() as undo:
            undo.callback(self.close)
            tellings = self._take(tracking, at_once=at_once)
            describe(self._experiment.paths)
            self.campaign = make_campaign()
            self._experiment.begin()
            self._open.enter_context(self.uploads).begin(tellings)
            undo.pop_all()  # all of it has begun

    def _take(self, tracking: TrackingChoice, *, at_once: bool) -> list[Assignment]:
        """Start the processes and take hold of the experiment; returns what is to be uploaded."""
        paths = self._experiment.paths
        with ExitStack() as processes:
            # first, because its imports go on while the rest is set up
            processes.enter_context(self.executor)
            processes.enter_context(self.report_writer)
            tellings = tellings_of(self._experiment, tracking)
            if at_once:
                self.report_writer.get_ready()
            self._experiment.publish()
            self._open.enter_context(FileLock(paths.lock))
            self._experiment.reload()
            self._open.enter_context(log_files(paths, *self._loggers))
            # so that none is left when the lock is given back
            self._open.enter_context(processes.pop_all())
        return tellings

    def keep(self, context: AbstractContextManager[object]) -> None:
        """Enter a context that ends with the session."""
        self._open.enter_context(context)

    def close(self) -> None:
        """End every process and thread, release the lock, close the logs."""
        try:
            self._leave_as_it_was()
            self._open.close()
        finally:
            self.is_open = False

    def _leave_as_it_was(self) -> None:
        """Where no run was begun, the experiment does not stay a running one."""
        experiment = self._experiment
        is_running = self.is_open and experiment.status is ExperimentStatus.RUNNING
        if not is_running or self.campaign is None or self.guard is not None:
            return
        if experiment.unfinished_runs():
            experiment.pause()
        else:
            experiment.stop()
        with suppress(StorageError):
            experiment.save()

"""What an experiment leaves behind when it ends or is interrupted, each file after its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..experiment import Experiment
from ..tracking.manifest import write_manifest
from ..tracking.telling import Ending
from .derived import (
    Conditions,
    report_content,
    storage_policy,
    write_final_state,
    write_results,
    write_store,
)
from .report_writer import ReportWriter
from .retention import keep_what_is_kept
from .uploads import Uploads

MOST_RUNS_TOLD_AT_ONCE = 200
"""With more runs an interruption leaves out metrics and logs, which would take it too long."""


class Closing:
    """Completes an experiment's directory; last of all comes the manifest, which lists the rest.

    Args:
        experiment: its directory exists and is locked by this process; it is saved.
        report_writer: writes the report meanwhile.
        uploads: tell the trackers.
    """

    def __init__(
        self, experiment: Experiment, report_writer: ReportWriter, uploads: Uploads
    ) -> None:
        self._experiment = experiment
        self._report_writer = report_writer
        self._uploads = uploads

    def write(
        self,
        conditions: Conditions,
        state: Mapping[str, Any],
        *,
        is_paused: bool,
        asked_to_stop: Callable[[], bool],
    ) -> None:
        """Write everything that follows from journals and results; without a report in a pause.

        Raises:
            StorageError: when the disk refuses.
        """
        experiment, paths = self._experiment, self._experiment.paths
        policy = storage_policy(experiment)
        if not is_paused:
            self._report_writer.begin(paths, report_content(experiment, conditions), policy)
        write_final_state(experiment, state)
        self._write_results(conditions, is_paused=is_paused)
        if not is_paused:
            self._report_writer.finish()
        self._uploads.conclude(Ending.PAUSE if is_paused else Ending.FINISH, asked_to_stop)
        write_manifest(paths)
        if not experiment.unfinished_runs():
            keep_what_is_kept(paths, policy.storage, experiment.config.trackers)

    def _write_results(self, conditions: Conditions, *, is_paused: bool) -> None:
        if is_paused and len(self._experiment.runs()) > MOST_RUNS_TOLD_AT_ONCE:
            write_results(self._experiment)
        else:
            write_store(self._experiment, conditions)

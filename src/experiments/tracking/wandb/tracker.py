"""Weights & Biases: one remote run for each run of an experiment, told by its own SDK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...domain.records import RunStatus
from ...durability.journal import Record
from ..cleaned import cleaned_conclusion, cleaned_description, cleaned_record
from ..tracker import Connection, RunConclusion, RunDescription, TrackerError, TrackerSettings
from .content import (
    GLOBAL_STEP,
    artifacts,
    history_row,
    log_line,
    notes_of,
    panels,
    run_config,
    summary_of,
    tags_of,
    text_files,
)
from .offline import is_synced, mark_synced, remove_offline_folders, tidy_folder, wandb_sync_command
from .session import WandbSession

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbTracker", "wandb_sync_command"]

UPLOAD_SECONDS = 20
"""How long a small artifact may be on its way."""
SLICE_SECONDS = 5
UPLOAD_BYTES_PER_SECOND = 100_000
"""The slowest upload that a larger one is waited for with."""
LONGEST_OFFLINE_TEXT = 2 << 10
"""Bytes of a text file that the buffer of an offline run takes."""


@dataclass
class _Telling:
    """A run that is, or was, told by this process."""

    description: RunDescription
    run: wandb.Run
    url: str | None
    rows: int = 0
    """Rows of its history so far, those of earlier processes among them."""
    step: int = 0
    conclusion: RunConclusion | None = None
    """What it was finished with."""


class WandbTracker:
    """Tells Weights & Biases; a run's remote id is its `uid`."""

    name = "wandb"

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._session = WandbSession(settings)
        self._online = settings.connection is Connection.ONLINE
        self._buffers = not self._online and not settings.keeps_files
        """Whether only a small buffer for a later upload may be left."""
        self._tellings: dict[str, _Telling] = {}

    @property
    def restarts(self) -> bool:
        """Whether an opened run is begun anew: an offline one cannot be gone on with."""
        return not self._online

    def open_run(self, description: RunDescription, remote_id: str | None) -> str:
        """Create the run, or go on with it; offline, begin it anew in the place of the former."""
        is_known, remote_id = remote_id is not None, remote_id or description.uid
        telling = self._tellings.get(remote_id)
        if telling is not None and telling.conclusion is None:
            return remote_id
        with self._session.guarded("the run could not be opened"):
            if self._online and not is_known:
                self._check_not_synced(remote_id)
            self._session.start()
            clean = cleaned_description(description, self._settings.secrets)
            self._tellings[remote_id] = self._open(clean, remote_id, is_known=is_known)
        return remote_id

    def write_records(self, remote_id: str, records: Sequence[Record]) -> None:
        """Log a row for each record with metrics, and wait until the server has them."""
        telling = self._opened(remote_id)
        with self._session.guarded("the run's records could not be uploaded"):
            for record in records:
                self._write(telling, record)
            self._session.wait_for_rows(telling.run, telling.rows)

    def finish_run(self, remote_id: str, conclusion: RunConclusion) -> None:
        """Tell the summary, tables, figures and files, and wait until everything is stored."""
        former = self._tellings.get(remote_id)
        if former is not None and former.conclusion == conclusion:
            return
        if former is not None and former.conclusion is not None and self._online:
            self.open_run(former.description, remote_id)
        telling = self._opened(remote_id)
        with self._session.guarded("the run's end could not be reported"):
            staged = self._session.stage(telling.run)
            clean = cleaned_conclusion(conclusion, self._settings.secrets, staged)
            self._conclude(telling, clean)
            self._finish(telling, conclusion.status)
            telling.conclusion = conclusion

    def url_of(self, remote_id: str) -> str | None:
        """The run's page; the folder of an offline run."""
        telling = self._tellings.get(remote_id)
        return telling.url if telling else None

    def close(self) -> None:
        """End the SDK's service; a run that is not finished can be gone on with."""
        if not self._session.is_started:
            return
        with self._session.guarded("not everything could be uploaded"):
            for telling in self._tellings.values():
                if telling.conclusion is None:
                    self._finish(telling, RunStatus.INTERRUPTED)
        self._session.close()

    # ---- one run

    def _check_not_synced(self, run_id: str) -> None:
        if is_synced(self._settings.directory, run_id):
            raise TrackerError(
                f"`wandb sync` has already uploaded run {run_id}",
                where=str(self._settings.directory / "wandb"),
                remedy="nothing is left to upload; to upload it again, remove it there and here",
            )

    def _open(self, description: RunDescription, remote_id: str, *, is_known: bool) -> _Telling:
        described: dict[str, Any] = {
            "project": description.project,
            "group": description.experiment_id,
            "job_type": description.run.arm,
            "name": description.name,
            "tags": list(tags_of(description)),
            "notes": notes_of(description),
            "config": run_config(description),
        }
        settings = {
            "git_commit": description.code.commit,
            "git_remote_url": description.code.repository,
            "host": description.host,
            "program": description.code.entry_point,
        }
        if not self._online:
            remove_offline_folders(self._settings.directory, remote_id)
        run = self._session.init(remote_id, settings, is_known=is_known, **described)
        telling = _Telling(description, run, run.url if self._online else run.settings.sync_dir)
        if run.resumed:
            self._catch_up(telling, described["config"])
        run.define_metric(GLOBAL_STEP, hidden=True)
        # without a summary of each row, half of a buffer's size
        summary = "none" if self._buffers else None
        run.define_metric("*", step_metric=GLOBAL_STEP, step_sync=False, summary=summary)
        self._write_texts(run, description)
        return telling

    def _catch_up(self, telling: _Telling, config: dict[str, Any]) -> None:
        """Learn what an existing run was told already; what it is described by may be newer."""
        known: Any = telling.run.config
        known.update(config, allow_val_change=True)
        summary: Any = telling.run.summary
        telling.step = int(summary.get(GLOBAL_STEP) or 0)
        telling.rows = self._session.stored_rows(telling.run)

    def _write_texts(self, run: wandb.Run, description: RunDescription) -> None:
        for name, text in text_files(description).items():
            content = text.encode()
            if not self._buffers or len(content) <= LONGEST_OFFLINE_TEXT:
                path = Path(run.settings.files_dir) / name
                path.write_bytes(content)
                run.save(str(path), base_path=run.settings.files_dir, policy="now")

    def _write(self, telling: _Telling, record: Record) -> None:
        record = cleaned_record(record, self._settings.secrets)
        telling.step = max(telling.step, int(record["step"]))
        if row := history_row(record, pages=not self._buffers):
            self._log(telling, row)
        if line := log_line(record):
            telling.run.write_logs(line)

    def _log(self, telling: _Telling, row: dict[str, Any]) -> None:
        telling.run.log(row)
        telling.rows += 1

    def _conclude(self, telling: _Telling, conclusion: RunConclusion) -> None:
        run = telling.run
        if not self._buffers and (shown := panels(conclusion)):
            self._log(telling, {GLOBAL_STEP: telling.step, **shown})
        run.summary.update(summary_of(conclusion))
        if conclusion.verdict:
            run.notes = notes_of(telling.description, conclusion.verdict)
        if self._buffers:
            return
        for artifact in artifacts(telling.description, conclusion, model=self._online):
            run.log_artifact(artifact)
            if self._online:
                self._wait_for(artifact)

    def _wait_for(self, artifact: wandb.Artifact) -> None:
        """Wait until an artifact is stored, a slice at a time so that the wait is seen to go on."""
        from wandb.sdk.artifacts.exceptions import WaitTimeoutError

        slices = 1 + (UPLOAD_SECONDS + artifact.size // UPLOAD_BYTES_PER_SECOND) // SLICE_SECONDS
        for left in reversed(range(slices)):
            try:
                artifact.wait(SLICE_SECONDS)
                break
            except WaitTimeoutError:
                if not left:
                    raise
                self._settings.gets_on()

    def _finish(self, telling: _Telling, status: RunStatus) -> None:
        if status is RunStatus.INTERRUPTED:
            telling.run.mark_preempting()
        is_in_order = status in (RunStatus.COMPLETED, RunStatus.CANCELLED)
        telling.run.finish(exit_code=0 if is_in_order else 1)
        self._session.wait_for_rows(telling.run, telling.rows)
        tidy_folder(Path(telling.run.settings.sync_dir), keeps_logs=not self._buffers)
        if self._online:
            mark_synced(self._settings.directory, telling.run.id)

    def _opened(self, remote_id: str) -> _Telling:
        telling = self._tellings.get(remote_id)
        is_over = telling is None or telling.conclusion is not None
        if telling is None or is_over or not self._session.is_started:
            raise TrackerError(f"run {remote_id} is not open", remedy="open it (again) first")
        return telling

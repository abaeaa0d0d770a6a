"""ClearML: one task for each run, on the server that `CLEARML_*` variables name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...domain.records import RunKey
from ...domain.redaction import redact
from ...durability.files import write_atomically
from ...durability.journal import Record
from ..tracker import Connection, RunConclusion, RunDescription, TrackerError, TrackerSettings
from .content import (
    DIFF_ARTIFACT,
    LARGEST_DIFF,
    PARTNER,
    PROPERTIES,
    EventMaker,
    counted_before,
    with_verdict,
)
from .sdk import ClearmlSdk
from .settings import read_settings
from .storage import ClearmlStorage, Stored
from .tasks import LONGEST_REASON, ClearmlTasks, Task

SHORTEST_NAME = 3
"""What the server insists on."""
BASELINE = "baseline"


@dataclass
class _Open:
    """A task that is open here."""

    description: RunDescription
    project: str
    folder: tuple[str, str]
    """Where its files lie."""
    events: EventMaker
    error_told: str
    """The beginning of the error that a line of its log tells already."""


class ClearmlTracker:
    """Tells a ClearML server; a run's remote id is its task's."""

    name = "clearml"
    restarts = False

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._server: ClearmlTasks | None = None
        self._secrets = settings.secrets
        self._open: dict[str, _Open] = {}
        self._ids: dict[tuple[str, RunKey], str] = {}

    def open_run(self, description: RunDescription, remote_id: str | None) -> str:
        """Have a task go on, or create one where none has the run's uid.

        Raises:
            TrackerError: when the server is out of reach, refuses, or has no such task any more.
        """
        _check_names(description)
        tasks = self._tasks()
        if remote_id is not None:
            task = tasks.get(remote_id)
        else:
            task = tasks.of_run(description) or tasks.create(description)
        task_id = str(task["id"])
        self._open[task_id] = self._opened(description, task)
        self._ids[description.experiment_id, description.run] = task_id
        tasks.go_on(task)
        self._keep_large_diff(task_id, task)
        self._pair(task_id, task)
        return task_id

    def write_records(self, remote_id: str, records: Sequence[Record]) -> None:
        """Send scalars and lines of text, and wait until the server has them."""
        self._tasks().add_events(list(self._of(remote_id).events.of_records(records)))

    def finish_run(self, remote_id: str, conclusion: RunConclusion) -> None:
        """Send values, tables and files, and set the task's status when all is stored."""
        tasks, run = self._tasks(), self._of(remote_id)
        task = tasks.get(remote_id)
        tasks.go_on(task)
        step = int(task.get("last_iteration") or 0)
        events = list(run.events.of_single_values(conclusion.single_values, step))
        events += [run.events.of_table(*each) for each in conclusion.tables.items()]
        figures = self._upload(remote_id, "figures", conclusion.figures)
        events += [run.events.of_figure(name, file.url) for name, file in figures.items()]
        tasks.add_events(events)
        tasks.add_artifacts(remote_id, self._upload(remote_id, "artifacts", conclusion.artifacts))
        if conclusion.model is not None:
            stored = self._upload(remote_id, "models", {conclusion.model.stem: conclusion.model})
            for file in stored.values():
                tasks.add_model(task, run.description, file.url)
        verdict, error = (
            redact(text, self._secrets) for text in (conclusion.verdict, conclusion.error)
        )
        self._say(remote_id, task, verdict, error)
        tasks.end(remote_id, conclusion.status, error, verdict)

    def url_of(self, remote_id: str) -> str | None:
        """The task's page."""
        run, server = self._open.get(remote_id), self._server
        return server.page(remote_id, run.project) if run and server else None

    def close(self) -> None:
        """End the session; every call before has waited for the server already."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _tasks(self) -> ClearmlTasks:
        """The server, logged in to when it is first needed."""
        if self._server is None:
            self._server = self._connect()
        return self._server

    def _connect(self) -> ClearmlTasks:
        if self._settings.connection is Connection.OFFLINE:
            raise TrackerError(
                "ClearML works only online",
                remedy="train without it; `experiments sync` uploads the results later",
            )
        own = self._settings
        sdk = ClearmlSdk(read_settings(own.environment), own.secrets, own.gets_on)
        self._secrets = sdk.secrets
        sdk.connect()
        try:
            files, web = sdk.places()
            storage = ClearmlStorage(sdk, files)
            storage.check()
        except BaseException:
            sdk.close()
            raise
        return ClearmlTasks(sdk, storage, web)

    def _of(self, remote_id: str) -> _Open:
        if remote_id not in self._open:
            raise TrackerError(
                f"the task {remote_id} is not open here", remedy="open its run first"
            )
        return self._open[remote_id]

    def _opened(self, description: RunDescription, task: Task) -> _Open:
        clean = partial(redact, secrets=self._secrets)
        counted = counted_before(task)
        return _Open(
            description,
            project=str(task.get("project") or ""),
            folder=(description.project, f"{description.name}.{task['id']}"),
            events=EventMaker(str(task["id"]), description.host, counted, clean),
            error_told=str(task.get("status_message") or ""),
        )

    def _pair(self, task_id: str, task: Task) -> None:
        """Link a task with its partner's, where that was opened here too."""
        description = self._open[task_id].description
        if description.partner is None:
            return
        partner = self._ids.get((description.experiment_id, description.partner))
        known = ((task.get("hyperparams") or {}).get(PROPERTIES) or {}).get(PARTNER) or {}
        if partner is None or known.get("value") == partner:
            return
        is_baseline = description.run.arm == BASELINE
        baseline, variant = (task_id, partner) if is_baseline else (partner, task_id)
        self._tasks().pair(baseline, variant)

    def _keep_large_diff(self, task_id: str, task: Task) -> None:
        run = self._open[task_id]
        diff = run.description.code.diff
        artifacts = (task.get("execution") or {}).get("artifacts") or []
        if len(diff) <= LARGEST_DIFF or DIFF_ARTIFACT in {each["key"] for each in artifacts}:
            return
        file = self._tasks().scratch / f"{DIFF_ARTIFACT}.diff"
        write_atomically(file, diff)
        uploaded = self._upload(task_id, "artifacts", {DIFF_ARTIFACT: file})
        self._tasks().add_artifacts(task_id, uploaded)

    def _upload(self, remote_id: str, kind: str, files: Mapping[str, Path]) -> dict[str, Stored]:
        """Store files by name; one that holds a secret stays here."""
        run = self._of(remote_id)
        stored: dict[str, Stored] = {}
        for name, file in files.items():
            there = self._tasks().upload(file, *run.folder, kind, name)
            self._settings.gets_on()
            if there is not None:
                stored[name] = there
            else:
                text = f"{file.name} was not uploaded: it holds a secret"
                self._tasks().add_events([run.events.line(text, "WARNING")])
        return stored

    def _say(self, remote_id: str, task: Task, verdict: str, error: str) -> None:
        """Tell verdict and error in words, unless they were told before."""
        run, lines = self._of(remote_id), []
        comment = str(task.get("comment") or "")
        if verdict and with_verdict(comment, verdict) != comment:
            self._tasks().set_comment(remote_id, with_verdict(comment, verdict))
            lines.append(run.events.line(verdict))
        if error and error[:LONGEST_REASON] != run.error_told:
            run.error_told = error[:LONGEST_REASON]
            lines.append(run.events.line(error, "ERROR"))
        self._tasks().add_events(lines)


def _check_names(description: RunDescription) -> None:
    for what, name in (("project", description.project), ("run", description.name)):
        if len(name.strip()) < SHORTEST_NAME:
            raise TrackerError(
                f"ClearML accepts no {what} with a name as short as {name[:80]!a}",
                remedy=f"give it at least {SHORTEST_NAME} characters",
            )

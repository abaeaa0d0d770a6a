"""What is done to tasks on a ClearML server: found, created, linked, filled and ended."""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

from ...domain.records import RunStatus
from ..tracker import RunDescription, TrackerError
from .content import PARTNER, PROPERTIES, parameter, task_fields, uid_tag
from .sdk import ClearmlSdk
from .storage import ClearmlStorage, Stored

FRAMEWORK = "PyTorch"
POLICY = "final_policy"
"""What a task calls its model."""
RUNNING = "in_progress"
_LOCKED = frozenset({"published", "publishing"})
_NO_SUCH_TASK = (400, 101)
_EXISTS_ALREADY = (400, 801)
LONGEST_REASON = 1000

Task = Mapping[str, Any]
"""A task as the server describes it."""


class ClearmlTasks:
    """The tasks of one server; every method waits until the server has done it."""

    def __init__(self, sdk: ClearmlSdk, storage: ClearmlStorage, web: str | None) -> None:
        self._sdk = sdk
        self._storage = storage
        self._web = web
        self._projects: dict[str, str] = {}

    def get(self, task_id: str) -> Task:
        """The task of an id.

        Raises:
            TrackerError: when there is none any more.
        """
        answer = self._sdk.call_or_none("tasks.get_by_id", _NO_SUCH_TASK, task=task_id)
        if answer is None:
            raise TrackerError(
                f"ClearML no longer has task {task_id}",
                where=self._sdk.settings.api_host,
                remedy=(
                    "check host and keys in .env; if it was deleted on purpose, delete its run "
                    "under clearml in tracking/ledger.json, and all of it is uploaded to a new "
                    "task"
                ),
            )
        task: Task = answer["task"]
        return task

    def of_run(self, description: RunDescription) -> Task | None:
        """The task that an earlier telling has created for a run, the oldest if there are more."""
        answer = self._sdk.call(
            "tasks.get_all",
            system_tags=[uid_tag(description.uid)],
            only_fields=["id", "status"],
            order_by=["created"],
        )
        found = [task for task in answer["tasks"] if task.get("status") not in _LOCKED]
        return self.get(found[0]["id"]) if found else None

    def create(self, description: RunDescription) -> Task:
        """Create a run's task, whole, by one request: a kill leaves all of it or nothing."""
        answer = self._sdk.call(
            "tasks.create",
            project=self._project(description.project),
            output_dest=self._storage.place,
            **task_fields(description),
        )
        return self.get(answer["id"])

    def go_on(self, task: Task) -> None:
        """Put a task in progress, also one that had ended.

        Raises:
            TrackerError: when it was published, after which nothing may change.
        """
        if task["status"] in _LOCKED:
            raise TrackerError(
                f"the task {task['id']} is published, and nothing can be added to it",
                where=self._sdk.settings.api_host,
                remedy=(
                    "delete its run under clearml in tracking/ledger.json, and all of it is "
                    "uploaded to a new task"
                ),
            )
        if task["status"] != RUNNING:
            self._sdk.call("tasks.started", task=task["id"], force=True)

    def pair(self, baseline: str, variant: str) -> None:
        """Have each task of a pair name the other, and the variant's descend from the baseline's.

        They are named where a task may still be edited after it has ended.
        """
        for task, partner in ((baseline, variant), (variant, baseline)):
            self._sdk.call(
                "tasks.edit_hyper_params",
                task=task,
                hyperparams=[parameter(PROPERTIES, PARTNER, partner)],
                replace_hyperparams="none",
                force=True,
            )
        self._sdk.call("tasks.edit", task=variant, parent=baseline, force=True)

    def set_comment(self, task_id: str, comment: str) -> None:
        """Replace a task's comment."""
        self._sdk.call("tasks.edit", task=task_id, comment=comment, force=True)

    def add_artifacts(self, task_id: str, files: Mapping[str, Stored]) -> None:
        """Register files by the artifacts' names; one replaces an earlier one."""
        if files:
            artifacts = [_artifact(name, file) for name, file in files.items()]
            self._sdk.call(
                "tasks.add_or_update_artifacts", task=task_id, artifacts=artifacts, force=True
            )

    def add_model(self, task: Task, description: RunDescription, url: str) -> None:
        """Register the final policy, in the place of one that was registered before."""
        known = self._sdk.call("models.get_all", task=[task["id"]], only_fields=["id"])["models"]
        fields = {
            "uri": url,
            "name": f"{description.name} {POLICY}",
            "framework": FRAMEWORK,
            "tags": list(description.tags),
            "comment": f"the final policy of {description.run.name}, for Stable-Baselines3",
            "task": task["id"],
            "project": task.get("project"),
        }
        if known:
            model = known[0]["id"]
            self._sdk.call("models.edit", model=model, **fields)
        else:
            model = self._sdk.call("models.create", **fields)["id"]
        self._sdk.call(
            "tasks.add_or_update_model",
            task=task["id"],
            name=POLICY,
            model=model,
            type="output",
            iteration=int(task.get("last_iteration") or 0),
        )

    def end(self, task_id: str, status: RunStatus, error: str, verdict: str) -> None:
        """Set the status that a run ended with, and say why."""
        told: dict[str, Any] = {"task": task_id, "force": True}
        match status:
            case RunStatus.COMPLETED:
                told |= {"status_reason": "completed", "status_message": verdict}
                self._sdk.call("tasks.completed", **told)
            case RunStatus.FAILED:
                reason = error[:LONGEST_REASON] or "failed"
                told |= {"status_reason": reason, "status_message": reason}
                self._sdk.call("tasks.failed", **told)
            case RunStatus.INTERRUPTED | RunStatus.SKIPPED | RunStatus.CANCELLED:
                told |= {"status_reason": status.value, "status_message": error[:LONGEST_REASON]}
                self._sdk.call("tasks.stopped", **told)
            case RunStatus.QUEUED | RunStatus.RUNNING:
                pass  # it has not ended
            case _:
                assert_never(status)

    def page(self, task_id: str, project: str) -> str | None:
        """Where a person looks at a task."""
        if self._web is None:
            return None
        return f"{self._web}/projects/{project}/experiments/{task_id}/output/log"

    def upload(self, file: Path, *parts: str) -> Stored | None:
        """As `ClearmlStorage.upload`."""
        return self._storage.upload(file, *parts)

    @property
    def scratch(self) -> Path:
        """A private folder that is removed in the end."""
        return self._sdk.folder

    def add_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """As `ClearmlSdk.add_events`."""
        self._sdk.add_events(events)

    def close(self) -> None:
        """End the session."""
        self._sdk.close()

    def _project(self, name: str) -> str:
        """The id of a project, which is created where it is missing."""
        if name not in self._projects:
            known = self._find_project(name)
            if known is None:
                fields = {"name": name, "description": ""}
                answer = self._sdk.call_or_none("projects.create", _EXISTS_ALREADY, **fields)
                known = answer["id"] if answer else self._find_project(name)  # made meanwhile
            self._projects[name] = str(known)
        return self._projects[name]

    def _find_project(self, name: str) -> str | None:
        pattern = f"^{re.escape(name)}$"
        answer = self._sdk.call("projects.get_all", name=pattern, only_fields=["id", "name"])
        return next((each["id"] for each in answer["projects"] if each["name"] == name), None)


def _artifact(name: str, file: Stored) -> dict[str, Any]:
    preview = f"{file.name}, {file.size:,} bytes"
    return {
        "key": name,
        "type": "custom",
        "mode": "output",
        "uri": file.url,
        "content_size": file.size,
        "hash": file.sha256,
        "timestamp": int(time.time()),
        "type_data": {"preview": preview, "content_type": mimetypes.guess_type(file.name)[0]},
    }

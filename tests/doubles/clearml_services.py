"""The services of a ClearML server: what each call does to its world."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from .clearml_checks import (
    CHANGES,
    FIELDS,
    MODEL,
    SCRIPT,
    STATUS_REQUEST,
    TASK_TYPES,
    check_keys,
    check_name,
    check_parameter,
    plain_object,
)
from .clearml_events import add_event
from .clearml_records import RefusedError, Request, Task

if TYPE_CHECKING:
    from .clearml_world import ClearmlWorld


class Services:
    """Calls by service and action, such as `tasks_create`."""

    def __init__(self, world: ClearmlWorld) -> None:
        self._world = world

    # ---- projects

    def projects_get_all(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = {"id", "name", "only_fields", "search_hidden", "order_by", "page"}
        check_keys(asked, known | {"shallow_search"})
        pattern = re.compile(asked.get("name") or "")
        return {
            "projects": [
                {"id": key, "name": name}
                for key, name in self._world.projects.items()
                if pattern.search(name) and key in (asked.get("id") or [key])
            ]
        }

    def projects_create(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, {"name", "description", "tags", "system_tags"}, {"name"})
        check_name(asked["name"])
        if asked["name"] in self._world.projects.values():
            raise RefusedError(400, 801, "Value combination already exists (unique field: name)")
        self._world.projects[project := self._world.new_id()] = asked["name"]
        return {"id": project}

    def projects_get_by_id(self, asked: dict[str, Any]) -> dict[str, Any]:
        project = asked["project"]
        if project not in self._world.projects:
            raise RefusedError(400, 401, f"Invalid project id: id={project}")
        return {"project": {"id": project, "name": self._world.projects[project]}}

    # ---- tasks

    def tasks_create(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, FIELDS, {"name", "type"})
        self._check_fields(asked)
        task = self._world.new_id()
        now = _iso(time.time())
        fields = {
            **{name: asked.get(name) for name in FIELDS - {"output_dest"}},
            "id": task,
            "status": "created",
            "status_reason": "",
            "status_message": "",
            "created": f"{now}.{self._world.ids:06}+00:00",
            "last_iteration": 0,
            "last_metrics": {},
            "output": {"destination": asked.get("output_dest")} if asked.get("output_dest") else {},
            "execution": {"artifacts": [], **(asked.get("execution") or {})},
            "models": {"input": [], "output": []},
        }
        for name, empty in (("tags", []), ("system_tags", []), ("hyperparams", {})):
            fields[name] = fields[name] or empty
        fields["tags"] = sorted(set(fields["tags"]))
        fields["comment"], fields["script"] = fields["comment"] or "", fields["script"] or {}
        self._world.tasks[task] = Task(task, fields)
        return {"id": task}

    def tasks_get_by_id(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, {"task"}, {"task"})
        return {"task": self._told(self._task(asked["task"]))}

    def tasks_get_all(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = {"id", "name", "system_tags", "tags", "project", "status", "only_fields"}
        check_keys(asked, known | {"order_by", "page", "page_size", "search_hidden"})
        found = [task for task in self._world.tasks.values() if self._matches(task, asked)]
        for order in reversed(asked.get("order_by") or []):
            name = order.lstrip("-")
            found.sort(key=lambda task: task.fields[name], reverse=order.startswith("-"))
        only = asked.get("only_fields")
        told = [self._told(task) for task in found]
        if only:
            roots = {name.partition(".")[0] for name in only} | {"id"}
            told = [{name: task[name] for name in roots if name in task} for task in told]
        return {"tasks": told}

    def _matches(self, task: Task, asked: dict[str, Any]) -> bool:
        if asked.get("name") and not re.search(asked["name"], task.name):
            return False
        for name in ("id", "project", "status"):
            if asked.get(name) and task.fields[name] not in asked[name]:
                return False
        for name in ("tags", "system_tags"):
            if asked.get(name) and not set(asked[name]) & set(task.fields[name]):
                return False
        return True

    def tasks_edit(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, FIELDS | {"task", "force"}, {"task"})
        task = self._task(asked.pop("task"))
        if not asked.pop("force", False) and task.status != "created":
            raise RefusedError(400, 110, f"Invalid task status: status={task.status}")
        self._check_fields(asked)
        if "output_dest" in asked:
            task.fields["output"]["destination"] = asked.pop("output_dest")
        for name, value in asked.items():
            is_part = isinstance(value, dict) and name in {"script", "execution"}
            task.fields[name] = {**task.fields[name], **value} if is_part else value
        return {"updated": 1, "fields": asked}

    def tasks_started(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {**self._change_status(asked, "in_progress"), "started": 1}

    def tasks_completed(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._change_status(asked, "completed")

    def tasks_stopped(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._change_status(asked, "stopped")

    def tasks_failed(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._change_status(asked, "failed")

    def tasks_publish(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._change_status(asked, "published")

    def tasks_delete(self, asked: dict[str, Any]) -> dict[str, Any]:
        del self._world.tasks[self._task(asked["task"]).id]
        return {"deleted": True}

    def _change_status(self, asked: dict[str, Any], status: str) -> dict[str, Any]:
        check_keys(asked, STATUS_REQUEST, {"task"})
        task = self._task(asked["task"])
        is_allowed = status == task.status or status in CHANGES[task.status]
        if not asked.get("force") and not is_allowed:
            raise RefusedError(400, 110, f"Invalid status change: {task.status} to {status}")
        fields = {
            "status": status,
            "status_reason": asked.get("status_reason") or "",
            "status_message": asked.get("status_message") or "",
        }
        task.fields |= fields
        return {"updated": 1, "fields": fields}

    def tasks_ping(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._task(asked["task"])
        return {}

    def tasks_set_requirements(self, asked: dict[str, Any]) -> dict[str, Any]:
        task = self._task(asked["task"])
        task.fields["script"]["requirements"] = asked["requirements"]
        return {"updated": 1}

    def tasks_edit_hyper_params(self, asked: dict[str, Any]) -> dict[str, Any]:
        keys = {"task", "hyperparams", "replace_hyperparams", "force"}
        check_keys(asked, keys, {"task", "hyperparams"})
        task = self._task(asked["task"])
        if any(item["section"] != "properties" for item in asked["hyperparams"]):
            self._check_editable(task, force=bool(asked.get("force")))
        for item in asked["hyperparams"]:
            check_parameter(item, item["section"], item["name"])
            task.fields["hyperparams"].setdefault(item["section"], {})[item["name"]] = item
        return {"updated": 1}

    def tasks_add_or_update_artifacts(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, {"task", "artifacts", "force"}, {"task", "artifacts"})
        task = self._task(asked["task"])
        self._check_editable(task, force=True)
        for artifact in asked["artifacts"]:
            known = {"key", "type", "mode", "uri", "hash", "content_size", "timestamp"}
            check_keys(artifact, known | {"type_data", "display_data"}, {"key", "type"})
        new = {artifact["key"]: artifact for artifact in asked["artifacts"]}
        task.fields["execution"]["artifacts"] = list({**task.artifacts, **new}.values())
        return {"updated": 1}

    def tasks_add_or_update_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        keys = {"task", "name", "model", "type"}
        check_keys(asked, keys | {"iteration"}, keys)
        task = self._task(asked["task"])
        self._check_editable(task, force=True)
        self._model(asked["model"])
        models = task.fields["models"][asked["type"]]
        kept = [each for each in models if each["name"] != asked["name"]]
        new = {"name": asked["name"], "model": asked["model"]}
        task.fields["models"][asked["type"]] = [*kept, new]
        return {"updated": 1}

    # ---- models

    def models_create(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, MODEL, {"uri", "name"})
        self._check_model(asked)
        model = self._world.new_id()
        self._world.models[model] = {**asked, "id": model}
        return {"id": model, "created": True}

    def models_edit(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, MODEL | {"model"}, {"model"})
        model = self._model(asked.pop("model"))
        self._check_model({**model, **asked})
        model.update(asked)
        return {"updated": 1, "fields": asked}

    def models_get_all(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_keys(asked, {"id", "task", "name", "only_fields", "order_by", "page", "page_size"})
        return {
            "models": [
                model
                for key, model in self._world.models.items()
                if key in (asked.get("id") or [key])
                and model.get("task") in (asked.get("task") or [model.get("task")])
            ]
        }

    def models_get_by_id(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._model(asked["model"])}

    def _check_model(self, asked: dict[str, Any]) -> None:
        check_name(asked["name"])
        if asked.get("task"):
            self._task(asked["task"])
        if asked.get("project") and asked["project"] not in self._world.projects:
            raise RefusedError(400, 401, f"Invalid project id: id={asked['project']}")

    # ---- events

    def add_events(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type") != "application/json-lines":
            raise RefusedError(400, 5, "Invalid headers: a batch is json-lines")
        events = [plain_object(line) for line in request.body.split(b"\n") if line.strip()]
        if not events:
            raise RefusedError(400, 17, "Batch request contains no items")
        problems = Counter(self._add_event(event) for event in events)
        added = problems.pop(None, 0)
        if not added:
            raise RefusedError(400, 131, f"Events not added: {dict(problems)}")
        return {"added": added, "errors": problems.total(), "errors_info": dict(problems)}

    def _add_event(self, event: dict[str, Any]) -> str | None:
        task = self._world.tasks.get(event.get("task", ""))
        if task is None or task.status == "published":
            return "Invalid task id"
        try:
            return add_event(task, event)
        except RefusedError as refusal:
            return refusal.message

    # ---- checks

    def _task(self, task: str) -> Task:
        if task not in self._world.tasks:
            raise RefusedError(400, 101, f"Invalid task id: id={task}, company=double")
        return self._world.tasks[task]

    def _model(self, model: str) -> dict[str, Any]:
        if model not in self._world.models:
            raise RefusedError(400, 201, f"Invalid model id: id={model}")
        return self._world.models[model]

    def _check_editable(self, task: Task, *, force: bool) -> None:
        allowed = ("created", "in_progress") if force else ("created",)
        if task.status not in allowed:
            raise RefusedError(400, 110, f"Invalid task status: status={task.status}")

    def _check_fields(self, fields: dict[str, Any]) -> None:
        if "name" in fields:
            check_name(fields["name"])
        if fields.get("type", "training") not in TASK_TYPES:
            raise RefusedError(400, 12, f"Validation error: type={fields['type']}")
        if fields.get("project") and fields["project"] not in self._world.projects:
            raise RefusedError(400, 401, f"Invalid project id: id={fields['project']}")
        if fields.get("parent"):
            self._task(fields["parent"])
        check_keys(fields.get("script") or {}, SCRIPT)
        for tag in (*(fields.get("tags") or ()), *(fields.get("system_tags") or ())):
            if not isinstance(tag, str) or tag.startswith("__$"):
                raise RefusedError(400, 16, f"unsupported tag prefix: {tag}")
        for section, items in (fields.get("hyperparams") or {}).items():
            for name, item in items.items():
                check_parameter(item, section, name)

    @staticmethod
    def _told(task: Task) -> dict[str, Any]:
        """The real server leaves out what is empty of output and execution."""
        fields = dict(task.fields)
        if not fields["execution"]["artifacts"]:
            fields["execution"] = {}
        return {name: value for name, value in fields.items() if value is not None}


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))

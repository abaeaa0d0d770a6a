"""How strict a ClearML server is: the fields it knows, and what they may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .clearml_records import RefusedError

TASK_TYPES = {"training", "testing", "inference", "data_processing", "controller", "custom"}
LEVELS = {"notset", "debug", "verbose", "info", "warn", "warning", "error", "fatal", "critical"}
EVENTS = {
    "training_stats_scalar": {"metric", "variant", "iter", "value"},
    "training_debug_image": {"metric", "variant", "iter", "url", "key"},
    "plot": {"metric", "variant", "iter", "plot_str"},
    "log": {"level", "msg", "worker"},
}
FIELDS = {
    "name",
    "type",
    "tags",
    "system_tags",
    "comment",
    "parent",
    "project",
    "output_dest",
    "script",
    "hyperparams",
    "configuration",
    "execution",
    "models",
    "runtime",
    "container",
}
SCRIPT = {"binary", "repository", "tag", "branch", "version_num", "entry_point", "working_dir"}
SCRIPT |= {"requirements", "diff"}
STATUS_REQUEST = {"task", "force", "status_reason", "status_message", "publish"}
CHANGES = {
    "created": {"queued", "in_progress"},
    "in_progress": {"stopped", "failed", "created", "completed"},
    "stopped": {"closed", "created", "failed", "in_progress", "published", "completed"},
    "failed": {"created", "stopped", "published"},
    "completed": {"published", "in_progress", "created"},
    "published": set(),
}
MODEL = {"uri", "name", "comment", "tags", "system_tags", "framework", "design", "labels", "ready"}
MODEL |= {"public", "project", "parent", "task", "metadata", "iteration"}


def plain_object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text or b"{}", parse_constant=no_constant)
    except ValueError as error:
        raise RefusedError(400, 12, f"Validation error: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(400, 12, "Validation error: it is no object")
    return content


def no_constant(name: str) -> float:
    raise RefusedError(400, 12, f"Validation error: {name} is no JSON")


def check_keys(asked: Mapping[str, Any], known: set[str], needed: set[str] = frozenset()) -> None:
    if unknown := set(asked) - known:
        raise RefusedError(400, 14, f"Fields not defined for object: {sorted(unknown)}")
    if missing := {name for name in needed if asked.get(name) is None}:
        raise RefusedError(400, 11, f"Missing required fields: {sorted(missing)}")


def check_name(name: str) -> None:
    if len(name.strip()) < 3:
        raise RefusedError(400, 12, f"Validation error: name {name!r} is too short")


def check_parameter(item: dict[str, Any], section: str, name: str) -> None:
    known = {"section", "name", "value", "type", "description"}
    check_keys(item, known, {"section", "name", "value"})
    if not all(isinstance(value, str) for value in item.values()):
        raise RefusedError(400, 12, f"Validation error: {item}")
    if (item["section"], item["name"]) != (section, name):
        raise RefusedError(400, 12, f"Validation error: {item} under {section}/{name}")

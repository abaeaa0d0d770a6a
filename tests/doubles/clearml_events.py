"""Events of a ClearML task: scalars, plots, images and lines of its log."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .clearml_checks import EVENTS, LEVELS, check_keys, no_constant
from .clearml_records import Task

_COMMON = {"type", "task", "timestamp", "worker", "model_event", "allow_locked"}


def add_event(task: Task, event: dict[str, Any]) -> str | None:
    """Take an event in; what is wrong with it, if anything is."""
    kind = event.get("type")
    if kind not in EVENTS:
        return f"Invalid event type {kind}"
    check_keys(event, EVENTS[kind] | _COMMON, EVENTS[kind] - {"worker"})
    if not isinstance(event.get("timestamp"), int):
        return "no timestamp in milliseconds"
    if kind != "log":
        return _add_metric_event(task, kind, event)
    if event["level"] not in LEVELS:
        return f"Invalid level {event['level']}"
    task.lines.append(event)
    return None


def _add_metric_event(task: Task, kind: str, event: dict[str, Any]) -> str | None:
    if not isinstance(event["iter"], int):
        return "Invalid iteration"
    place = (event["metric"], event["variant"], event["iter"])
    if kind == "plot":
        task.plots[place] = json.loads(event["plot_str"], parse_constant=no_constant)
    elif kind == "training_debug_image":
        task.images[place] = event["url"]
    elif isinstance(event["value"], bool) or not isinstance(event["value"], int | float):
        return "Invalid value"
    else:
        task.points[place] = event["value"]
        _note_last(task, event)
    task.fields["last_iteration"] = max(task.fields["last_iteration"], event["iter"])
    return None


def _note_last(task: Task, event: dict[str, Any]) -> None:
    metric, variant, value = event["metric"], event["variant"], event["value"]
    variants = task.fields["last_metrics"].setdefault(_hash(metric), {})
    known = variants.get(_hash(variant), {"min_value": value, "max_value": value})
    variants[_hash(variant)] = {
        "metric": metric,
        "variant": variant,
        "value": value,
        "min_value": min(value, known["min_value"]),
        "max_value": max(value, known["max_value"]),
    }


def _hash(name: str) -> str:
    return hashlib.md5(name.encode()).hexdigest()

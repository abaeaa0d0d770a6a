"""The tasks by name, and those of modules that the command line allowed."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from .arithmetic import Arithmetic
from .quiz import MultiturnQa
from .task import Task
from .tool_use import MultiturnCalculator

TASKS: Mapping[str, type] = {
    "arithmetic": Arithmetic,
    "multiturn_qa": MultiturnQa,
    "multiturn_calculator": MultiturnCalculator,
}
"""The package's own tasks."""
_METHODS = ("begin", "demonstrate", "turns", "instructions", "alphabet")


class TaskRefusedError(Exception):
    """A task cannot be used; says why, the remedy and the nearest name."""

    def __init__(
        self, message: str, allowed: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.suggestion = suggestion
        self.is_of_settings = False
        """Whether the task is known, and its settings are not right."""


def find_task(name: str, modules: Sequence[str] = ()) -> type:
    """The class of a task: one of the package's own, or ``module:Class`` of an allowed module.

    Raises:
        TaskRefusedError: when there is none, or its module was not allowed.
    """
    if name in TASKS:
        return TASKS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        near = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.6)
        raise TaskRefusedError(
            "unknown task", f"use one of {', '.join(TASKS)}", near[0] if near else None
        )
    if module not in modules:
        raise TaskRefusedError(
            "names a module, and no module is imported for a file's sake",
            f"allow it with --allow-env-module {module}" if module.isidentifier() else None,
        )
    found = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(found, type) or not all(hasattr(found, each) for each in _METHODS):
        needed = ", ".join(_METHODS)
        raise TaskRefusedError("is no language task", f"a class with {needed}")
    return found


def make_task(name: str, settings: Mapping[str, Any], modules: Sequence[str] = ()) -> Task:
    """The task with its settings.

    Raises:
        TaskRefusedError: when there is none, or the settings are not right.
    """
    kind = find_task(name, modules)
    try:
        return cast("Task", kind(**_known(kind, name, settings)))
    except (TypeError, ValueError) as error:
        refused = TaskRefusedError(str(error))
        refused.is_of_settings = True
        raise refused from None


def _known(kind: type, name: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings, all of which the task has.

    Raises:
        ValueError: naming one that it has not.
    """
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else list(settings)
    for each in settings:
        if each not in known:
            raise ValueError(f"{name} has no setting {each!a}, only {', '.join(known) or 'none'}")
    return settings

"""The tasks by name, and those of modules that the command line allowed."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from ..domain.errors import RefusedError, TrainingError
from .arithmetic import Arithmetic
from .guarded import guarded, shortened
from .quiz import MultiturnQa
from .task import Task
from .tool_use import MultiturnCalculator

TASKS: Mapping[str, type] = {
    "arithmetic": Arithmetic,
    "multiturn_qa": MultiturnQa,
    "multiturn_calculator": MultiturnCalculator,
}
"""The package's own tasks."""
PROGRAM = "__main__"
"""The script or notebook that runs here, of which the processes that train have nothing."""
OWN_MODULE = (
    "put it into a module of your own, such as my_lab.py, and name that: "
    "environment_modules=['my_lab'], or --allow-env-module my_lab"
)
"""The remedy where something stands in the program itself."""
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def find_task(name: str, modules: Sequence[str] = ()) -> type:
    """The class of a task: one of the package's own, or ``module:Class`` of an allowed module.

    Raises:
        RefusedError: when there is none, or its module was not allowed.
    """
    if name in TASKS:
        return TASKS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        near = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.6)
        raise RefusedError(
            "unknown task", f"use one of {', '.join(TASKS)}", near[0] if near else None
        )
    if module not in modules:
        raise RefusedError(
            "names a module, which an experiment file cannot import",
            _remedy(module),
        )
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise RefusedError(
            f"its module cannot be imported ({shortened(error)})", "install or correct the module"
        ) from error
    if not isinstance(found, type) or not callable(getattr(found, "begin", None)):
        raise RefusedError(
            "is not a language task",
            "a class with begin, turns and instructions; for the tiny model alphabet and "
            "demonstrate too",
        )
    return found


def _remedy(module: str) -> str | None:
    if module == PROGRAM:
        return OWN_MODULE
    return f"allow it with --allow-env-module {module}" if _MODULE.fullmatch(module) else None


def make_task(name: str, settings: Mapping[str, Any], modules: Sequence[str] = ()) -> Task:
    """The task with its settings.

    Raises:
        RefusedError: when there is none, or the settings are not right.
    """
    kind = find_task(name, modules)
    try:
        made = kind(**_known(kind, name, settings))
    except Exception as error:
        message = str(error) if name in TASKS else f"the task {name!a}: {shortened(error)}"
        place = "environment_kwargs" if settings else "environment"
        raise RefusedError(message, place=(place,)) from error
    if name in TASKS:
        return cast("Task", made)
    try:
        return guarded(made, name)
    except TrainingError as error:
        raise RefusedError(error.what, error.remedy) from error


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

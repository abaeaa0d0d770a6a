"""Overrides from a command line: `variant_config.hyperparameters.gamma=0.98`, never evaluated.

`tags+=pilot` adds an item to a list that lacks it, `trackers-=wandb` takes one away.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from ..domain.errors import Problem
from .problems import at, nearest, shown
from .reading import parse_value


def apply_overrides(
    document: dict[str, Any], overrides: Iterable[str]
) -> tuple[dict[str, Any], list[Problem]]:
    """A copy of the document with each `PATH=VALUE` set, and what could not be set.

    PATH is dotted; a number is an index of a list; missing objects are made. VALUE is JSON, and a
    bare word is text. A path that leads nowhere is found by the validation that follows. With
    PATH+=VALUE and PATH-=VALUE a list changes by one item; a missing list is an empty one.
    """
    changed = copy.deepcopy(document)
    problems: list[Problem] = []
    for override in overrides:
        path_text, separator, value_text = override.partition("=")
        path_text, change = _split_sign(path_text.strip())
        path = path_text.split(".")
        if not separator or not all(path):
            shown_override = shown(override, path_text)
            problems.append(
                Problem("", "not an override", shown_override, "write PATH=VALUE, PATH dotted")
            )
            continue
        value, found = parse_value(value_text, tuple(path))
        problems += found
        problems += _set(changed, path, value, change)
    return changed, problems


def _split_sign(path: str) -> tuple[str, str]:
    """A path, and what is done there: ``+`` adds to a list, ``-`` takes away, else it is set."""
    return (path[:-1].rstrip(), path[-1]) if path.endswith(("+", "-")) else (path, "")


def _set(document: dict[str, Any], path: list[str], value: Any, change: str = "") -> list[Problem]:
    place: Any = document
    for depth, token in enumerate(path[:-1]):
        if isinstance(place, dict) and place.get(token) is None:
            place[token] = {}
        problem = _unreachable(place, path[: depth + 1])
        if problem:
            return [problem]
        place = place[int(token)] if isinstance(place, list) else place[token]
    problem = _unreachable(place, path)
    if problem:
        return [problem]
    key: Any = int(path[-1]) if isinstance(place, list) else path[-1]
    if change:
        present = place[key] if isinstance(place, list) else place.get(key)
        if not isinstance(present, list | tuple | None):
            allowed = f"set it whole: {'.'.join(path)}=VALUE"
            return [Problem(at(*path), "is not a list", shown(present, path[-1]), allowed)]
        others = [item for item in present or () if item != value]
        value = [*others, value] if change == "+" else others
        if change == "+" and len(others) < len(present or ()):
            value = list(present or ())  # it is there already, and keeps its place
    place[key] = value
    return []


def _unreachable(place: Any, path: list[str]) -> Problem | None:
    if isinstance(place, dict):
        return None
    pointer, token = at(*path), path[-1]
    if not isinstance(place, list):
        return Problem(pointer, "cannot be set: its parent is a single value", shown(place, token))
    if token.isascii() and token.isdigit() and int(token[:9]) < len(place):
        return None
    last = len(place) - 1
    allowed = f"use an index from 0 to {last}" if place else "the list is empty; set it whole"
    return Problem(pointer, "no such item of the list", shown(token), allowed, nearest(token, []))

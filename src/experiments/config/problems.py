"""Turns what is wrong with a document into `Problem`s that a person can act on."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..domain.errors import Problem
from ..domain.redaction import REDACTED, SECRET_VALUE, looks_secret
from .fields import ALLOWED_BY_PATTERN

LONGEST_VALUE = 200
LONGEST_TOKEN = 80
LONGEST_NUMBER = 10**30

_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "is not allowed",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}

_WITHOUT_VALUE = {"missing", "extra_forbidden", "looks"}
_TAGS = {"<flag>", "<name>", "<list>", "<other>", "<welch>", "<habit>"}
"""Which form of a union was tried; pydantic puts it among the keys."""


def at(*tokens: str | int) -> str:
    """JSON pointer (RFC 6901) to a place, safe to print."""
    return "".join(f"/{_token(str(token))}" for token in tokens)


def _token(token: str) -> str:
    if SECRET_VALUE.search(token):
        return REDACTED
    plain = escaped(token.replace("~", "~0").replace("/", "~1"))
    return plain if len(plain) <= LONGEST_TOKEN else f"{plain[: LONGEST_TOKEN - 1]}…"


def escaped(text: str) -> str:
    """The text with everything that does not print as itself (controls, bidi marks) escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def shown(value: Any, name: str = "") -> str | None:
    """The value as a message shows it, at most 200 characters; None where it may be a secret."""
    text = _plain(value)
    if looks_secret(name, text) or _holds_secret(value):
        return None
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _plain(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            quoted = value[: 2 * LONGEST_VALUE].replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped(quoted)}"'
        case int() if abs(value) > LONGEST_NUMBER:
            return f"a whole number of about {int(value.bit_length() * 0.30103) + 1} digits"
        case int() | float():
            return repr(value)
        case list() | tuple():
            simple = len(value) <= 20 and not any(isinstance(v, list | Mapping) for v in value)
            inner = ", ".join(_plain(item) for item in value)
            return f"[{inner}]" if simple else f"a list of {len(value)}"
        case Mapping():
            return "an object"
        case _:
            return f"a Python {type(value).__name__}"


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return bool(SECRET_VALUE.search(value))
    return isinstance(value, list | tuple) and any(_holds_secret(item) for item in value)


def nearest(name: Any, names: Iterable[str]) -> str | None:
    """The valid name that the given one most likely stands for, if any is near."""
    if not isinstance(name, str):
        return None
    by_folded = {valid.casefold(): valid for valid in names}
    found = difflib.get_close_matches(name[:LONGEST_VALUE].casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def from_validation(
    error: ValidationError, model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> list[Problem]:
    """Every error of a pydantic validation as a `Problem`."""
    details = error.errors(include_url=False)
    return [_problem(dict(detail), model, prefix) for detail in details if not _follows(detail)]


def _follows(detail: Mapping[str, Any]) -> bool:
    """Whether a list counts as too short only because what is in it was refused."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _problem(detail: dict[str, Any], model: type[BaseModel], prefix: tuple[str, ...]) -> Problem:
    kind = detail["type"]
    context = {name: _limit(value) for name, value in detail.get("ctx", {}).items()}
    path = tuple(token for token in detail["loc"] if token not in _TAGS)
    name = str(path[-1]) if path else ""
    template = _MESSAGES.get(kind)
    # errors of our own and of kinds without a wording here speak for themselves
    message = template.format(**context) if template else detail["msg"]
    value = None if kind in _WITHOUT_VALUE else shown(detail["input"], name)
    suggestion = None
    allowed = ALLOWED_BY_PATTERN.get(context.get("pattern", ""))
    if kind == "missing":
        allowed = f"needed: {fields_at(model, path[:-1])[name]}"
    elif kind == "extra_forbidden":
        fields = fields_at(model, path[:-1])
        suggestion = nearest(name, fields)
        allowed = None if suggestion else f"use one of {', '.join(fields)}"
    elif kind == "literal_error":
        choices = [
            part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")
        ]
        suggestion = nearest(detail["input"], choices)
    return Problem(at(*prefix, *path), message, value, allowed, suggestion)


def _limit(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fields_at(model: type[BaseModel], path: Iterable[str | int]) -> dict[str, str]:
    """Names of the fields that may stand at a place of the document, with their meaning."""
    models = [model]
    for token in path:
        if isinstance(token, str):
            fields = [kind.model_fields[token] for kind in models if token in kind.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return {
        name: (field.description or name).rstrip(".")
        for kind in models
        for name, field in kind.model_fields.items()
    }


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]
